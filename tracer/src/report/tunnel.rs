//! A tunnel in words, for all drawings.

use std::fmt::Display;

use crate::model::{Printable, Tunnel};

/// Ends, and other hosts, that are named; of the rest only how many.
const NAMED: usize = 3;

/// `vxlan tunnel, network 77`, its ends, and by what this host sends to which others, with `between` each.
pub(super) fn tunnel_in_words(tunnel: &Tunnel, between: &str) -> String {
    let network =
        tunnel.key.as_deref().map_or_else(String::new, |key| format!(", network {}", Printable(key)));
    let mut parts = vec![format!("{} tunnel{network}", Printable(&tunnel.kind))];
    if !tunnel.ends.is_empty() {
        let names = tunnel.ends.iter().map(|name| Printable(name));
        parts.push(format!("by {}", some_of(names)));
    }
    let by = tunnel.underlay.iter().map(|name| Printable(name));
    let by = if tunnel.underlay.is_empty() { String::new() } else { format!(" over {}", some_of(by)) };
    let from = tunnel.local.map_or_else(String::new, |local| format!("from {local} "));
    let to = if tunnel.remotes.is_empty() {
        String::new()
    } else {
        format!("to {}", some_of(tunnel.remotes.iter()))
    };
    let way = format!("{from}{to}{by}").trim().to_owned();
    if !way.is_empty() {
        parts.push(way);
    }
    parts.join(between)
}

fn some_of(items: impl ExactSizeIterator<Item = impl Display>) -> String {
    let more = items.len().saturating_sub(NAMED);
    let named: Vec<String> = items.take(NAMED).map(|item| item.to_string()).collect();
    if more == 0 { named.join(", ") } else { format!("{} and {more} more", named.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out_and_the_many_are_counted() {
        let mut tunnel = Tunnel { kind: "gre".to_owned(), ..Tunnel::default() };
        assert_eq!(tunnel_in_words(&tunnel, "\n"), "gre tunnel");
        tunnel.key = Some("77".to_owned());
        tunnel.ends = (1..=5).map(|number| format!("gre-{number}")).collect();
        tunnel.remotes = (1..=2).map(|number| [192, 0, 2, number].into()).collect();
        tunnel.underlay = vec!["ens4".to_owned()];
        assert_eq!(
            tunnel_in_words(&tunnel, "\n"),
            "gre tunnel, network 77\nby gre-1, gre-2, gre-3 and 2 more\nto 192.0.2.1, 192.0.2.2 over ens4"
        );
        tunnel.remotes.clear();
        assert!(tunnel_in_words(&tunnel, "\n").ends_with("2 more\nover ens4"));
    }
}
