//! Which packets of which ports, as commands are told.

use crate::{
    cli::{CliError, Exit},
    model::{PacketFilter, Printable},
    trace::Targets,
};

/// What is to be traced.
#[derive(Debug)]
pub(in crate::cli) struct Asked {
    /// The ports.
    pub(in crate::cli) targets: Targets,
    /// The packets.
    pub(in crate::cli) filter: PacketFilter,
}

/// One port.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct PortArgs {
    /// Instance name, display name, UUID, MAC, fixed IP, Neutron port id or interface name
    vm: String,
    /// Which packets: icmp, icmp6, tcp, udp, sctp, igmp, vrrp, arp, rarp or proto NUMBER; host ADDRESS; port NUMBER; joined with `and`
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
}

impl PortArgs {
    /// What is to be traced.
    ///
    /// # Errors
    /// When the filter makes no sense.
    pub(in crate::cli) fn asked(&self) -> Result<Asked, CliError> {
        Ok(Asked { targets: Targets::from(&self.vm), filter: PacketFilter::from_words(&self.filter)? })
    }
}

/// Any number of ports.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct PortsArgs {
    /// Which VMs: instance name, display name, UUID, MAC, fixed IP, Neutron port id or interface name, as many as are wanted. Behind
    /// them which packets: icmp, icmp6, tcp, udp, sctp, igmp, vrrp, arp, rarp or proto NUMBER; host ADDRESS; port NUMBER; joined with `and`
    #[arg(value_name = "VM|FILTER")]
    words: Vec<String>,
    /// Every port of this host that can be traced
    #[arg(long)]
    all: bool,
}

/// What a command traces that no VM is named to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Unnamed {
    /// Nothing: that is an error.
    Nothing,
    /// Every port of the host.
    All,
}

impl PortsArgs {
    /// What is to be traced. The first word of tcpdump's language ends the names; where a VM must be named, the first word is its name.
    ///
    /// # Errors
    /// When no port is meant, or the filter makes no sense.
    pub(in crate::cli) fn asked(&self, unnamed: Unnamed) -> Result<Asked, CliError> {
        let must_be_named = unnamed == Unnamed::Nothing && !self.all;
        let ends_names = |(place, word): (usize, &String)| match place {
            0 => !must_be_named && PacketFilter::can_begin_with(word),
            _ => PacketFilter::has_word(word),
        };
        let end = self.words.iter().enumerate().position(|(place, word)| ends_names((place, word)));
        let (names, filter) = self.words.split_at(end.unwrap_or(self.words.len()));
        let usage = |message: String| CliError::with_exit(Exit::Usage, message);
        let targets = match names {
            [] if must_be_named => {
                return Err(usage(
                    "no VM is named: name one or several (`hoptrace list` shows them), or trace every port with --all"
                        .to_owned(),
                ));
            }
            [] => Targets::All,
            [first, ..] if self.all => {
                let first = Printable(first);
                return Err(usage(format!("--all is every port: {first} cannot be named beside it")));
            }
            names => Targets::Named(names.to_vec()),
        };
        Ok(Asked { targets, filter: PacketFilter::from_words(filter)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &str, all: bool, unnamed: Unnamed) -> Result<(Targets, String), String> {
        let words = words.split_whitespace().map(|word| word.replace('_', " ")).collect();
        let asked = PortsArgs { words, all }.asked(unnamed);
        asked.map(|asked| (asked.targets, asked.filter.to_string())).map_err(|error| {
            assert_eq!(error.exit(), Exit::Usage);
            error.to_string()
        })
    }

    fn named(names: &[&str], filter: &str) -> (Targets, String) {
        (Targets::Named(names.iter().map(|name| (*name).to_owned()).collect()), filter.to_owned())
    }

    #[test]
    fn names_end_where_the_filter_begins() {
        for unnamed in [Unnamed::Nothing, Unnamed::All] {
            let asked = |words| asked(words, false, unnamed);
            assert_eq!(asked("web-1"), Ok(named(&["web-1"], "")));
            assert_eq!(asked("web-1 db-1 10.0.0.3 icmp"), Ok(named(&["web-1", "db-1", "10.0.0.3"], "icmp")));
            assert_eq!(
                asked("web-1 tcp_port_80"),
                Ok(named(&["web-1"], "tcp and port 80")),
                "in one quoted word"
            );
            assert!(asked("web-1 not icmp").unwrap_err().contains("not supported yet: `not`"));
            assert!(asked("web-1 and icmp").unwrap_err().contains("`and` has nothing before it"));
        }
    }

    #[test]
    fn without_a_name_it_is_all_or_an_error() {
        assert_eq!(asked("", false, Unnamed::All), Ok((Targets::All, String::new())));
        assert_eq!(asked("icmp", false, Unnamed::All), Ok((Targets::All, "icmp".to_owned())));
        assert_eq!(asked("icmp", true, Unnamed::Nothing), Ok((Targets::All, "icmp".to_owned())));
        assert_eq!(asked("gateway", false, Unnamed::All), Ok(named(&["gateway"], "")), "no filter begins so");
        let said = asked("", false, Unnamed::Nothing).unwrap_err();
        assert!(said.contains("hoptrace list") && said.contains("--all") && !said.contains('\n'), "{said}");
        assert_eq!(asked("icmp icmp", false, Unnamed::Nothing), Ok(named(&["icmp"], "icmp")), "a VM's name");
    }

    #[test]
    fn all_takes_no_names() {
        for unnamed in [Unnamed::Nothing, Unnamed::All] {
            let said = asked("web-1\x1b icmp", true, unnamed).unwrap_err();
            assert_eq!(said, "--all is every port: web-1\\u{1b} cannot be named beside it");
        }
    }
}
