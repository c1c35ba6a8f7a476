//! Which of a path's interfaces get hooks, and what that changes.

use super::{Direction, Outcome};

/// As `hoptrace --hooks` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hooks {
    /// All of them.
    All,
    /// One of the veth pair: qvo.
    Few,
}

impl Hooks {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Few => "few",
        }
    }

    /// What is to be reported where with all hooks it is `outcome`: what would die behind qvb, dies behind the hook before that.
    pub(super) fn see(self, outcome: Outcome, direction: Direction) -> Outcome {
        let seen = |after| if after == "qvb" { before_qvb(direction) } else { after };
        match (self, outcome) {
            (Self::All, outcome) => outcome,
            (Self::Few, Outcome::Dies { after, cause }) => Outcome::Dies { after: seen(after), cause },
            (Self::Few, Outcome::Ends { after, cause }) => Outcome::Ends { after: seen(after), cause },
            (Self::Few, Outcome::Changes { after, refused_after }) => {
                Outcome::Changes { after: seen(after), refused_after: refused_after.map(seen) }
            }
            (Self::Few, Outcome::Survives) => Outcome::Survives,
        }
    }
}

const fn before_qvb(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "tap",
        Direction::Ingress => "qvo",
    }
}
