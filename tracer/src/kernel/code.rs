//! Places in the kernel's code that tell why a packet is freed, where the kernel gives no reason.

use std::{
    fs,
    io::{Error, ErrorKind},
};

use hoptrace_common::drops::{MAX_PLACES, Meaning};

use super::{meanings::of_function, symbols::parse};

const KALLSYMS: &str = "/proc/kallsyms";
/// The last function of a module ends here at the latest.
const MAX_FUNCTION_BYTES: u64 = 1 << 16;

/// Addresses that agree in their first `bits` bits with `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// The first of them.
    pub start: u64,
    /// How many bits they share.
    pub bits: u32,
}

/// What functions of the running kernel mean that free packets, by where their code is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodePlaces(Vec<(Prefix, Meaning)>);

impl CodePlaces {
    /// Reads all symbols, which takes tens of milliseconds.
    ///
    /// # Errors
    /// When the list can not be read, or does not tell addresses (`kernel.kptr_restrict`).
    pub fn read() -> Result<Self, Error> {
        Self::listed_in(&fs::read_to_string(KALLSYMS)?)
    }

    /// The same, given the list.
    pub(super) fn listed_in(symbols: &str) -> Result<Self, Error> {
        let places = Self::of(symbols);
        if places.0.is_empty() {
            return Err(Error::new(ErrorKind::PermissionDenied, "it hides addresses (kernel.kptr_restrict)"));
        }
        Ok(places)
    }

    /// Prefixes of addresses, and what they mean; no more than the drop program can know.
    pub fn iter(&self) -> impl Iterator<Item = &(Prefix, Meaning)> {
        self.0.iter().take(MAX_PLACES as usize)
    }

    fn of(symbols: &str) -> Self {
        let mut functions: Vec<(u64, Meaning)> = symbols
            .lines()
            .filter_map(parse)
            .map(|(address, name)| {
                let (name, module) =
                    name.split_once('\t').map_or((name, None), |(name, module)| (name, Some(module)));
                let module = module.map(|module| module.trim_matches(['[', ']']));
                (address, of_function(name, module))
            })
            .collect();
        functions.sort_by_key(|(address, _)| *address);
        // Several names for one place mean what any of them means.
        functions.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = Meaning(kept.1.0 | next.1.0);
            }
            same
        });
        let ends = functions.iter().skip(1).map(|(next, _)| *next).chain([u64::MAX]);
        let mut places = Vec::new();
        let mut open: Option<(u64, u64, Meaning)> = None;
        for ((start, meaning), end) in functions.iter().copied().zip(ends) {
            let end = end.min(start.saturating_add(MAX_FUNCTION_BYTES));
            open = match open {
                // Neighbours that mean the same are one.
                Some((first, last, same)) if last == start && same == meaning => Some((first, end, same)),
                before => {
                    add(&mut places, before);
                    Some((start, end, meaning))
                }
            };
        }
        add(&mut places, open);
        Self(places)
    }
}

/// Adds a range of addresses that means anything.
fn add(places: &mut Vec<(Prefix, Meaning)>, range: Option<(u64, u64, Meaning)>) {
    if let Some((start, end, meaning)) = range.filter(|(.., meaning)| meaning.0 != 0) {
        places.extend(prefixes(start, end).into_iter().map(|prefix| (prefix, meaning)));
    }
}

/// The addresses from `start` to the one before `end`.
fn prefixes(mut start: u64, end: u64) -> Vec<Prefix> {
    let mut found = Vec::new();
    while start < end {
        // As many as are aligned here, and still fit.
        let bits = start.trailing_zeros().min((end - start).ilog2());
        found.push(Prefix { start, bits: u64::BITS - bits });
        let Some(next) = start.checked_add(1 << bits) else { break };
        start = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "ffffffff81000000 T _text\n\
                        ffffffff81000100 t veth_xmit\n\
                        ffffffff81000130 t tun_net_xmit\n\
                        ffffffff81000150 t napi_consume_skb\n\
                        ffffffff81000160 d tun_a_variable\n\
                        ffffffffc0001000 t packet_rcv\t[af_packet]\n\
                        ffffffffc0001000 t alias\t[af_packet]\n\
                        ffffffffc0001040 t tbf_odd\t[sch_tbf]\n";

    fn meaning(places: &CodePlaces, address: u64) -> u8 {
        let is_in = |prefix: &Prefix| {
            prefix.bits == 64 - (address ^ prefix.start).checked_ilog2().map_or(0, |bit| bit + 1)
                || (address ^ prefix.start).leading_zeros() >= prefix.bits
        };
        places.iter().find(|(prefix, _)| is_in(prefix)).map_or(0, |(_, meaning)| meaning.0)
    }

    #[test]
    fn a_function_is_all_its_addresses_and_no_other() {
        let places = CodePlaces::of(LIST);
        for (address, expected) in [
            (0x8100_00ff, 0),
            (0x8100_0100, Meaning::SENDING),
            (0x8100_012f, Meaning::SENDING),
            (0x8100_014f, Meaning::SENDING),
            (0x8100_0150, 0),
            (0x8100_0165, 0),
            (0xc000_0fff, 0),
            (0xc000_1000, Meaning::COPY),
            (0xc000_103f, Meaning::COPY),
            (0xc000_1040, Meaning::SENDING),
            (0xc001_103f, Meaning::SENDING),
            (0xc001_1040, 0),
        ] {
            assert_eq!(meaning(&places, 0xffff_ffff_0000_0000 | address), expected, "{address:x}");
        }
    }

    #[test]
    fn a_range_is_few_prefixes() {
        let of = |start, end| {
            prefixes(start, end).iter().map(|prefix| (prefix.start, prefix.bits)).collect::<Vec<_>>()
        };
        assert_eq!(of(0x100, 0x150), [(0x100, 58), (0x140, 60)]);
        assert_eq!(of(0x130, 0x130), []);
        assert_eq!(of(u64::MAX - 1, u64::MAX), [(u64::MAX - 1, 64)]);
        let all: u64 = prefixes(0x1234, 0x98765).iter().map(|prefix| 1 << (64 - prefix.bits)).sum();
        assert_eq!(all, 0x98765 - 0x1234);
    }

    #[test]
    fn the_running_kernel_s_places_fit() {
        let places = CodePlaces::read().expect("this test needs root");
        assert!(places.0.len() < MAX_PLACES as usize, "{}", places.0.len());
        let list = fs::read_to_string(KALLSYMS).unwrap();
        let at = |name: &str| {
            list.lines()
                .filter_map(parse)
                .find(|(_, found)| *found == name)
                .map(|(address, _)| meaning(&places, address + 5))
        };
        assert_eq!(at("packet_rcv"), Some(Meaning::COPY));
        assert_eq!(at("__dev_queue_xmit"), Some(Meaning::SENDING));
        assert_eq!(at("napi_consume_skb"), Some(0));
    }
}
