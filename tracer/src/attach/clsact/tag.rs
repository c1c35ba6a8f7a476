//! How a filter of ours is told from any other: by its handle and its name.

/// The names of our programs, and so of our filters, start with this.
const PREFIXES: [&str; 2] = ["hop_", "several_"];

/// Whether a program of this name may be a hoptrace's.
pub(in crate::attach) fn is_program(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The upper half of our filters' handles. Handles that the kernel chooses by itself count up from 1.
const MAGIC: u32 = 0x686f << 16;
const MAGIC_MASK: u32 = 0xffff << 16;
const MADE_CLSACT: u32 = 1 << 15;

/// A number that no other running tracer of this network namespace has: less than [`OwnerId::COUNT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::attach) struct OwnerId(u16);

impl OwnerId {
    /// As many as there are.
    pub(in crate::attach) const COUNT: u16 = 1 << 15;

    /// Larger numbers begin again at 0.
    pub(in crate::attach) const fn new(number: u16) -> Self {
        Self(number % Self::COUNT)
    }

    pub(in crate::attach) const fn number(self) -> u16 {
        self.0
    }
}

/// What a handle of ours says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::attach) struct Tag {
    /// Whose it is.
    pub(in crate::attach) owner: OwnerId,
    /// Whether the interface's `clsact` is a hoptrace's, too, and has to go with the last filter.
    pub(in crate::attach) made_clsact: bool,
}

impl Tag {
    pub(in crate::attach) const fn handle(self) -> u32 {
        MAGIC | if self.made_clsact { MADE_CLSACT } else { 0 } | self.owner.0 as u32
    }

    /// `None` for a filter that is not ours.
    pub(in crate::attach) fn of(handle: u32, name: &str) -> Option<Self> {
        let is_ours = handle & MAGIC_MASK == MAGIC && is_program(name);
        let number = u16::try_from(handle & !MAGIC_MASK).unwrap_or_default();
        is_ours.then(|| Self { owner: OwnerId::new(number), made_clsact: handle & MADE_CLSACT != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_carry_owner_and_clsact() {
        for number in [0, 1, 0x7fff] {
            for made_clsact in [false, true] {
                let tag = Tag { owner: OwnerId::new(number), made_clsact };
                assert_eq!(Tag::of(tag.handle(), "hop_in"), Some(tag));
            }
        }
    }

    #[test]
    fn filters_of_others_are_not_ours() {
        let ours = Tag { owner: OwnerId::new(7), made_clsact: true }.handle();
        for (handle, name) in [(1, "hop_in"), (0x8000_0001, "hop_in"), (ours, "cil_from_netdev"), (ours, "")]
        {
            assert_eq!(Tag::of(handle, name), None, "{handle:x} {name}");
        }
    }
}
