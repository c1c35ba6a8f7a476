//! What must be reported.

use serde::Serialize;

/// A way through the path, as reports name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// VM → wire.
    Egress,
    /// Wire → VM.
    Ingress,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Egress, Self::Ingress];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

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

/// Why they died, by kernel: the last entry whose version the kernel has reached holds.
#[derive(Debug, Clone, Copy)]
pub struct Cause(pub &'static [((u32, u32), Why)]);

impl Cause {
    /// What a kernel of this version says.
    #[must_use]
    pub fn on(&self, kernel: (u32, u32)) -> Why {
        let known = self.0.iter().rev().find(|(since, _)| *since <= kernel);
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
    /// They get through, changed or late perhaps: none must be blamed on anything.
    Survives,
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

    /// Nothing runs into it in this direction, and nothing must be blamed there.
    #[must_use]
    pub const fn silent(direction: Direction) -> Self {
        Self::survives(direction)
    }

    /// Packets of this direction get through.
    #[must_use]
    pub const fn survives(direction: Direction) -> Self {
        Self { direction, outcome: Outcome::Survives }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Why};

    #[test]
    fn the_newest_entry_that_the_kernel_has_holds() {
        let cause = Cause(&[((6, 1), Why::Lost), ((6, 6), Why::Ovs("METER"))]);
        assert_eq!(cause.on((6, 1)), Why::Lost);
        assert_eq!(cause.on((6, 12)), Why::Ovs("METER"));
        assert_eq!(cause.on((5, 19)), Why::Lost);
    }
}
