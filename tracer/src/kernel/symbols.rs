//! Addresses in the kernel to names.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader},
};

const KALLSYMS: &str = "/proc/kallsyms";
/// No function is longer; an address further behind a symbol is in nothing that has a name.
const MAX_OFFSET: u64 = 1 << 20;

/// Hexadecimal digits of an address in the list.
const ADDRESS_DIGITS: usize = 16;

/// Names of the kernel's functions, modules included.
#[derive(Debug, Clone, Copy, Default)]
pub struct Symbols;

impl Symbols {
    /// The places that `addresses` are in: `nf_hook_slow+0x9a`, `tun_net_xmit+0x4d8 [tun]`. Missing are those the kernel
    /// does not tell (`kernel.kptr_restrict`) or has no name for. Reads all symbols, which takes tens of milliseconds.
    ///
    /// # Errors
    /// When the kernel's list of symbols can not be read.
    pub fn resolve(addresses: &[u64]) -> io::Result<BTreeMap<u64, String>> {
        resolve_in(BufReader::with_capacity(1 << 16, File::open(KALLSYMS)?), addresses)
    }
}

/// The nearest symbol before an address.
#[derive(Debug, Clone)]
struct Nearest {
    start: u64,
    name: String,
}

fn resolve_in(mut symbols: impl BufRead, addresses: &[u64]) -> io::Result<BTreeMap<u64, String>> {
    let mut nearest: BTreeMap<u64, Option<Nearest>> = addresses.iter().map(|at| (*at, None)).collect();
    let mut line = String::new();
    while symbols.read_line(&mut line)? > 0 {
        if let Some((start, name)) = parse(&line) {
            // The first of several names for one place is the function's own.
            for (_, best) in nearest
                .range_mut(start..start.saturating_add(MAX_OFFSET))
                .filter(|(_, best)| best.as_ref().is_none_or(|best| best.start < start))
            {
                *best = Some(Nearest { start, name: name.to_owned() });
            }
        }
        line.clear();
    }
    let named = nearest.into_iter().filter_map(|(at, best)| {
        let best = best?;
        let offset = at - best.start;
        Some((
            at,
            match best.name.split_once('\t') {
                Some((name, module)) => format!("{name}+{offset:#x} {module}"),
                None => format!("{}+{offset:#x}", best.name),
            },
        ))
    });
    Ok(named.collect())
}

/// `ffffffff81000000 T _text`, of a module with `\t[tun]` behind it: the address and the rest. Functions only. The kernel writes all digits of
/// an address, so that the places of a line's parts are known.
pub(super) fn parse(line: &str) -> Option<(u64, &str)> {
    let (address, rest) = line.trim_end().split_at_checked(ADDRESS_DIGITS)?;
    let [b' ', b'T' | b't' | b'W' | b'w', b' ', ..] = rest.as_bytes() else { return None };
    let address = u64::from_str_radix(address, 16).ok().filter(|address| *address != 0)?;
    Some((address, rest.get(3..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "ffffffff81000000 T _text\n\
                        ffffffff81000100 t nf_hook_slow\n\
                        ffffffff81000100 t alias\n\
                        ffffffff81000150 d a_variable\n\
                        ffffffff81000200 T kfree_skb_list\n\
                        ffffffffc0001000 t tun_net_xmit\t[tun]\n";

    fn place(address: u64) -> Option<String> {
        resolve_in(LIST.as_bytes(), &[address]).unwrap().remove(&address)
    }

    #[test]
    fn an_address_is_in_the_function_before_it() {
        assert_eq!(place(0xffff_ffff_8100_019a).as_deref(), Some("nf_hook_slow+0x9a"));
        assert_eq!(place(0xffff_ffff_8100_0200).as_deref(), Some("kfree_skb_list+0x0"));
        assert_eq!(place(0xffff_ffff_c000_14d8).as_deref(), Some("tun_net_xmit+0x4d8 [tun]"));
        assert_eq!(place(0xffff_ffff_80ff_ffff), None, "before all of them");
        assert_eq!(place(0xffff_ffff_9000_0000), None, "far behind the last one");
    }

    #[test]
    fn several_at_a_time() {
        let found = resolve_in(LIST.as_bytes(), &[0xffff_ffff_8100_0101, 0xffff_ffff_8100_0104]).unwrap();
        assert_eq!(found.into_values().collect::<Vec<_>>(), ["nf_hook_slow+0x1", "nf_hook_slow+0x4"]);
    }

    #[test]
    fn hidden_addresses_name_nothing() {
        let hidden: Vec<String> = LIST
            .lines()
            .map(|line| format!("0000000000000000{}", line.get(16..).unwrap_or_default()))
            .collect();
        let hidden = hidden.join("\n");
        assert!(resolve_in(hidden.as_bytes(), &[0xffff_ffff_8100_019a]).unwrap().is_empty());
        assert!(resolve_in("garbage\n\n".as_bytes(), &[1]).unwrap().is_empty());
    }

    #[test]
    fn the_running_kernel_names_its_own_functions() {
        let list = std::fs::read_to_string(KALLSYMS).unwrap();
        let (address, name) = list
            .lines()
            .filter_map(parse)
            .find(|(_, name)| *name == "kfree_skb_list_reason")
            .expect("this test needs root");
        let found = Symbols::resolve(&[address + 5]).unwrap();
        assert_eq!(found.get(&(address + 5)), Some(&format!("{name}+0x5")));
    }
}
