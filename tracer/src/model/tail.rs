//! Which packets are told one by one.

/// Parts in one: the unit of [`Tail::Slowest`].
pub const PARTS_PER_MILLION: u32 = 1_000_000;

/// The packets that are sent to user space because they were slow, each with its times at all hooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tail {
    /// None.
    #[default]
    None,
    /// Those whose way took longer than so many nanoseconds.
    SlowerThan(u64),
    /// About this share of each direction's packets, the slowest, in parts per million.
    Slowest(u32),
    /// So many of each direction's packets, the slowest of all.
    Top(usize),
}
