//! The ports of one trace, and how the kernel's arrays are divided among them.

use std::fmt;

use hoptrace_common::{
    config::MAX_HOOKS,
    ports::{MAX_PORTS, port_of_key},
};

/// A port of a trace, in the order in which they came: its number in the kernel's arrays. It is not given to another one later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId(pub u32);

impl PortId {
    /// The first, and in most traces the only one.
    pub const FIRST: Self = Self(0);
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Segments of each port where ports may come later, whose paths nobody knows yet.
const SEGMENTS_OF_ANY: u32 = 48;

/// How many ports there is room for, and what each of them has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// 0: it is a trace of one port, whose facts are constants in the programs.
    ports: u32,
    port_segments: u32,
}

impl Room {
    /// Ports of one trace at most.
    #[allow(clippy::cast_possible_truncation, reason = "a small constant")]
    pub const MOST: u32 = MAX_PORTS as u32;

    /// For one port with so many segments, and no other ever.
    #[must_use]
    pub const fn for_one(segments: u32) -> Self {
        Self { ports: 0, port_segments: segments }
    }

    /// For ports with so many segments each at the start, and `wanted` ports in all.
    #[must_use]
    pub fn for_several(segments: impl ExactSizeIterator<Item = u32>, wanted: Option<u32>) -> Self {
        let now = u32::try_from(segments.len()).unwrap_or(u32::MAX);
        let ports = wanted.unwrap_or(now).max(now).clamp(1, Self::MOST);
        let most = segments.max().unwrap_or(1);
        Self { ports, port_segments: if ports > now { most.max(SEGMENTS_OF_ANY) } else { most } }
    }

    /// Whether it is for one port, and no other ever.
    #[must_use]
    pub const fn is_for_one(self) -> bool {
        self.ports == 0
    }

    /// As the programs are told: 0 for one port.
    #[must_use]
    pub const fn told_ports(self) -> u32 {
        self.ports
    }

    /// How many ports there is room for.
    #[must_use]
    pub const fn ports(self) -> u32 {
        if self.ports == 0 { 1 } else { self.ports }
    }

    /// Segments of each port.
    #[must_use]
    pub const fn port_segments(self) -> u32 {
        self.port_segments
    }

    /// Segments of all ports together.
    #[must_use]
    pub const fn segments(self) -> u32 {
        self.ports() * self.port_segments
    }

    /// Hooks of all ports together.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "sixteen")]
    pub const fn hooks(self) -> u32 {
        self.ports() * MAX_HOOKS as u32
    }

    /// The port whose packet has this identity in the in-flight table.
    #[must_use]
    pub const fn port_of_key(self, key: u64) -> PortId {
        if self.is_for_one() { PortId::FIRST } else { PortId(port_of_key(key)) }
    }

    /// Where `port` is in an array that has a block for each CPU, and in it an element for each port: one place per CPU, given how long the
    /// array is.
    pub fn places(self, port: PortId, len: u32) -> impl Iterator<Item = u32> {
        let ports = self.ports();
        (0..len / ports).map(move |cpu| cpu * ports + port.0)
    }
}

#[cfg(test)]
mod tests {
    use hoptrace_common::ports::key_at;

    use super::*;

    #[test]
    fn one_port_has_what_it_had() {
        let room = Room::for_one(23);
        assert_eq!((room.told_ports(), room.ports(), room.segments(), room.hooks()), (0, 1, 23, 16));
        assert_eq!(room.port_of_key(u64::MAX), PortId::FIRST);
        assert_eq!(room.places(PortId::FIRST, 3).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn several_ports_have_the_same_room_each() {
        let room = Room::for_several([23, 29].into_iter(), None);
        assert_eq!((room.told_ports(), room.port_segments(), room.segments(), room.hooks()), (2, 29, 58, 32));
        assert_eq!(room.port_of_key(key_at(u64::MAX, 1)), PortId(1));
        assert_eq!(room.places(PortId(1), 6).collect::<Vec<_>>(), [1, 3, 5]);
        let more = Room::for_several([23].into_iter(), Some(4));
        assert_eq!((more.ports(), more.port_segments()), (4, SEGMENTS_OF_ANY));
        assert_eq!(Room::for_several([1].into_iter(), Some(5_000)).ports(), Room::MOST);
    }
}
