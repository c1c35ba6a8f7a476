//! Where the kernel has its memory: programs at tracepoints find what of a packet is in pages there.

use std::{fs, io};

use super::CodePlaces;

const KALLSYMS: &str = "/proc/kallsyms";

/// Where two variables of the kernel are, on x86-64: where all memory is mapped, and the descriptions of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBases {
    /// Address of `page_offset_base`.
    pub page_offset: u64,
    /// Address of `vmemmap_base`.
    pub vmemmap: u64,
}

impl MemoryBases {
    /// `None`: the kernel does not tell (it lists its functions only).
    fn of(symbols: &str) -> Option<Self> {
        let of = |name: &str| {
            symbols.lines().filter(|line| line.ends_with(name)).find_map(|line| {
                let (address, rest) = line.split_once(' ')?;
                let (_, found) = rest.split_once(' ')?;
                let address = u64::from_str_radix(address, 16).ok();
                address.filter(|address| *address != 0 && found == name)
            })
        };
        Some(Self { page_offset: of("page_offset_base")?, vmemmap: of("vmemmap_base")? })
    }
}

/// What the list of the kernel's symbols tells. Reads all of them, which takes tens of milliseconds.
///
/// # Errors
/// When the list can not be read, or does not tell addresses (`kernel.kptr_restrict`).
pub fn places_and_memory() -> io::Result<(CodePlaces, Option<MemoryBases>)> {
    let symbols = fs::read_to_string(KALLSYMS)?;
    Ok((CodePlaces::listed_in(&symbols)?, MemoryBases::of(&symbols)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_have_to_be_told() {
        let list = "ffffffff81000000 T _text\nffffffff82000010 D page_offset_base\nffffffff82000018 D vmemmap_base\n";
        let bases = MemoryBases { page_offset: 0xffff_ffff_8200_0010, vmemmap: 0xffff_ffff_8200_0018 };
        assert_eq!(MemoryBases::of(list), Some(bases));
        assert_eq!(MemoryBases::of("ffffffff82000010 D page_offset_base\n"), None);
        assert_eq!(
            MemoryBases::of("0000000000000000 D page_offset_base\n0000000000000000 D vmemmap_base\n"),
            None
        );
    }
}
