//! The two directions of a path.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A way through the path, as reports name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something of both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directions<T> {
    /// VM → wire.
    pub egress: T,
    /// Wire → VM.
    pub ingress: T,
}

impl<T> Directions<T> {
    /// One of them.
    pub const fn get(&self, direction: Direction) -> &T {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }

    /// Both, with their names.
    pub fn both(&self) -> [(Direction, &T); 2] {
        Direction::ALL.map(|direction| (direction, self.get(direction)))
    }
}
