//! One packet at one hook.

/// What the rules need to know about the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// Its number, below 16.
    pub id: u8,
    /// The direction it sees: 0 egress, 1 ingress.
    pub direction: u8,
    /// Whether a packet of that direction passes it first.
    pub entry: bool,
    /// Whether a packet of that direction passes it last.
    pub terminal: bool,
    /// The hooks behind it in that direction, a bit each.
    pub later: u16,
    /// The hooks beside the path that packets may leave by after it, a bit each.
    pub beside: u16,
}

/// What a hook beside the path sees: a port of the switch that the path leads through, but not along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// The hook is on the path; or the packet is for whom that port belongs to, so its way ends here.
    No,
    /// A packet for another port: flooded, mirrored, or forwarded on. Another one may still go on along the path.
    Copy,
    /// A copy of a broadcast, which must go on along the path, too; or one that a mirror made.
    Broadcast,
    /// A packet for one address, at the port of another one. It may still go on to whom it is for.
    Astray,
    /// The same where the switch floods: it knew no better.
    Flooded,
}

/// Which clock a hook has asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The exact one.
    Exact,
    /// One that costs next to nothing and is late by a timer tick at most: the packet is counted and followed, and not timed.
    Coarse,
}

/// A packet at a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The hook.
    pub hook: Hook,
    /// The packet's identity.
    pub key: u64,
    /// The time there, in nanoseconds of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    /// By which clock.
    pub clock: Clock,
    /// Whether a packet without a slot shall get one.
    pub admit: bool,
    /// What the sight means where the hook is beside the path.
    pub aside: Aside,
    /// Whether the packet may be cut into pieces on its way.
    pub large: bool,
}
