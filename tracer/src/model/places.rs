//! Hooks and segments of a port, by their numbers.

/// A hook: its place in the port's plan, below sixteen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookId(pub u8);

impl HookId {
    /// As an index into [`Plan::hooks`](super::Plan::hooks).
    #[must_use]
    pub const fn place(self) -> usize {
        self.0 as usize
    }

    /// The hook at `place`, below sixteen.
    #[must_use]
    pub fn at(place: usize) -> Self {
        Self(u8::try_from(place).unwrap_or(u8::MAX))
    }
}

/// A segment: its number among those of its port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u8);

impl SegmentId {
    /// The one that is so many behind.
    #[must_use]
    pub const fn behind(self, places: u8) -> Self {
        Self(self.0.saturating_add(places))
    }
}
