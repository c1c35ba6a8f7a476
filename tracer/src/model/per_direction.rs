//! What there is of each direction.

use super::Direction;

/// One of each direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerDirection<T> {
    /// Of packets from the VM to the wire.
    pub egress: T,
    /// Of those from the wire to the VM.
    pub ingress: T,
}

impl<T> PerDirection<T> {
    /// That of one.
    #[must_use]
    pub const fn of(&self, direction: Direction) -> &T {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }

    /// What `each` makes of both.
    pub fn map<U>(self, each: impl Fn(T) -> U) -> PerDirection<U> {
        PerDirection { egress: each(self.egress), ingress: each(self.ingress) }
    }

    /// As the programs have them: egress first.
    pub fn array(self) -> [T; 2] {
        [self.egress, self.ingress]
    }

    /// The same, to be changed.
    pub const fn of_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::Egress => &mut self.egress,
            Direction::Ingress => &mut self.ingress,
        }
    }
}

impl PerDirection<u64> {
    /// Of both together.
    #[must_use]
    pub const fn sum(self) -> u64 {
        self.egress + self.ingress
    }
}

impl std::ops::AddAssign for PerDirection<u64> {
    fn add_assign(&mut self, more: Self) {
        self.egress += more.egress;
        self.ingress += more.ingress;
    }
}
