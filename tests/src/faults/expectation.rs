//! What must be reported.

use super::fault::Ran;
use crate::report::Direction;

/// Why packets died, as far as the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nothing says: they were not seen again.
    Lost,
    /// A reason of the kernel's core, seen where the packet was freed. `NOT_SPECIFIED` is one.
    Core(&'static str),
    /// A reason of Open vSwitch.
    Ovs(&'static str),
}

/// Who forwards packets.
#[derive(Debug, Clone, Copy)]
pub struct Platform {
    /// Version of the running kernel.
    pub kernel: (u32, u32),
    /// Whether Open vSwitch forwards in the kernel.
    pub has_kernel_datapath: bool,
}

/// Why they died, by kernel: the last entry whose version the kernel has reached holds.
#[derive(Debug, Clone, Copy)]
pub struct Cause {
    by_kernel: &'static [((u32, u32), Why)],
    by_switch: bool,
}

impl Cause {
    /// What the kernel says.
    #[must_use]
    pub const fn new(by_kernel: &'static [((u32, u32), Why)]) -> Self {
        Self { by_kernel, by_switch: false }
    }

    /// What the kernel's Open vSwitch says. Where `ovs-vswitchd` forwards, the kernel knows nothing of it.
    #[must_use]
    pub const fn by_switch(by_kernel: &'static [((u32, u32), Why)]) -> Self {
        Self { by_kernel, by_switch: true }
    }

    /// What is said there.
    #[must_use]
    pub fn on(&self, platform: Platform) -> Why {
        if self.by_switch && !platform.has_kernel_datapath {
            return Why::Lost;
        }
        let known = self.by_kernel.iter().rev().find(|(since, _)| *since <= platform.kernel);
        known.map_or(Why::Lost, |(_, why)| *why)
    }
}

/// What becomes of the packets that run into a fault.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// They die behind this hook.
    Dies {
        /// The last hook that sees them.
        after: &'static str,
        /// What the kernel says about it.
        cause: Cause,
    },
    /// The path as it is known ends behind this hook: they die there where something says so, else they have come to its end.
    Ends {
        /// The path's last hook.
        after: &'static str,
        /// What the kernel says about it.
        cause: Cause,
    },
    /// They get through, changed or late perhaps: none must be blamed on anything.
    Survives,
    /// They get through; those whose identity changed on the way are other packets: lost behind this hook, and joined midway
    /// where another hook knows them for packets.
    Changes {
        /// The last hook that sees them as they were.
        after: &'static str,
        /// Where a bridge refuses those whose source became a group: the hook before it.
        refused_after: Option<&'static str>,
    },
}

impl Outcome {
    /// What it comes to there, and of `ran` what dies.
    pub(super) fn on(self, platform: Platform, ran: Ran) -> (Self, Ran) {
        match self {
            Self::Ends { after, cause } if cause.on(platform) != Why::Lost => {
                (Self::Dies { after, cause }, ran)
            }
            Self::Ends { .. } => (Self::Survives, Ran { taken: 0, ..ran }),
            other => (other, ran),
        }
    }
}

/// What must be reported about one direction.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Which.
    pub direction: Direction,
    /// Of its packets.
    pub outcome: Outcome,
}

impl Expected {
    /// Packets on the way out die behind this hook.
    #[must_use]
    pub const fn egress(after: &'static str, cause: Cause) -> Self {
        Self { direction: Direction::Egress, outcome: Outcome::Dies { after, cause } }
    }

    /// Packets on the way in die behind this hook.
    #[must_use]
    pub const fn ingress(after: &'static str, cause: Cause) -> Self {
        Self { direction: Direction::Ingress, outcome: Outcome::Dies { after, cause } }
    }

    /// Packets on the way out come to the end of what is known of the path.
    #[must_use]
    pub const fn ends(after: &'static str, cause: Cause) -> Self {
        Self { direction: Direction::Egress, outcome: Outcome::Ends { after, cause } }
    }

    /// Nothing runs into it in this direction, and nothing must be blamed there.
    #[must_use]
    pub const fn silent(direction: Direction) -> Self {
        Self::survives(direction)
    }

    /// Packets of this direction get through, some with another identity behind this hook.
    #[must_use]
    pub const fn changes(
        direction: Direction,
        after: &'static str,
        refused_after: Option<&'static str>,
    ) -> Self {
        Self { direction, outcome: Outcome::Changes { after, refused_after } }
    }

    /// Packets of this direction get through.
    #[must_use]
    pub const fn survives(direction: Direction) -> Self {
        Self { direction, outcome: Outcome::Survives }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Platform, Why};

    #[test]
    fn the_newest_entry_that_the_kernel_has_holds() {
        let platform = |kernel, has_kernel_datapath| Platform { kernel, has_kernel_datapath };
        let entries = &[((6, 1), Why::Lost), ((6, 6), Why::Ovs("METER"))];
        let cause = Cause::by_switch(entries);
        assert_eq!(cause.on(platform((6, 1), true)), Why::Lost);
        assert_eq!(cause.on(platform((6, 12), true)), Why::Ovs("METER"));
        assert_eq!(cause.on(platform((5, 19), true)), Why::Lost);
        assert_eq!(cause.on(platform((6, 12), false)), Why::Lost);
        assert_eq!(Cause::new(entries).on(platform((6, 12), false)), Why::Ovs("METER"));
    }
}
