//! Some of the hooks of a path.

/// Hooks by their places in a plan; there are sixteen at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookSet(u16);

impl HookSet {
    /// Those, and the hook at `place`.
    #[must_use]
    pub const fn with(self, place: usize) -> Self {
        Self(self.0 | 1 << (place & 0xf))
    }

    /// Whether the hook at `place` is one of them.
    #[must_use]
    pub const fn has(self, place: usize) -> bool {
        self.0 & 1 << (place & 0xf) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As the programs know them: a bit each.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl FromIterator<usize> for HookSet {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        places.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_bits() {
        let set = HookSet::from_iter([0, 3, 15]);
        assert_eq!(set.bits(), 0x8009);
        assert!(set.has(3) && !set.has(4) && !set.is_empty() && HookSet::default().is_empty());
    }
}
