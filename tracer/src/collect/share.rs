//! Where one port's figures are in the kernel's arrays.

use std::rc::Rc;

use aya::Ebpf;
use hoptrace_common::config::MAX_HOOKS;
use zerocopy::{FromBytes, KnownLayout};

use super::{CollectError, Mapped, Maps};
use crate::model::{PortId, Room, SegmentId};

/// The port, and how the arrays are divided.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// Of the whole trace.
    pub room: Room,
    /// Whose figures.
    pub port: PortId,
}

impl Share {
    /// All there is, of a trace of one port with so many segments.
    #[must_use]
    pub const fn whole(segments: u32) -> Self {
        Self { room: Room::for_one(segments), port: PortId::FIRST }
    }

    /// Where hook `place` of the port is, one place per CPU, in an array that is so long.
    pub(super) fn hook(self, place: usize, len: u32) -> impl Iterator<Item = u32> {
        let (stride, hooks) = (self.room.hooks(), u32::try_from(MAX_HOOKS).unwrap_or(u32::MAX));
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        (0..len / stride).map(move |cpu| cpu * stride + self.port.0 * hooks + place)
    }

    /// A segment of the port among those of all ports.
    pub(super) fn segment(self, segment: SegmentId) -> u32 {
        self.port.0 * self.room.port_segments() + u32::from(segment.0)
    }

    /// Where segment `segment` of the port is, one place per CPU, in an array that is so long.
    pub(super) fn segments(self, segment: SegmentId, len: u32) -> impl Iterator<Item = u32> {
        let stride = self.room.segments().max(1);
        (0..len / stride).map(move |cpu| cpu * stride + self.segment(segment))
    }
}

/// What programs count per CPU, in an array with a block for each, and in it an element for each port.
#[derive(Debug)]
pub(crate) struct PerCpu<T> {
    all: Rc<Mapped<T>>,
    share: Share,
}

impl<T: FromBytes + KnownLayout + Copy + 'static> PerCpu<T> {
    /// Those of the port in the object's array `name`.
    pub(crate) fn of(
        object: &Ebpf,
        maps: &Maps,
        name: &'static str,
        share: Share,
    ) -> Result<Self, CollectError> {
        Ok(Self { all: maps.array(object, name)?, share })
    }

    /// The port's, of each CPU.
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        self.of_port(self.share.port)
    }

    /// Those of the first port: there stands what is counted of the host.
    pub(crate) fn of_host(&self) -> impl Iterator<Item = T> {
        self.of_port(PortId::FIRST)
    }

    fn of_port(&self, port: PortId) -> impl Iterator<Item = T> {
        self.share.room.places(port, self.all.len()).filter_map(|place| self.all.read(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_has_places_of_its_own() {
        let room = Room::for_several([20, 24].into_iter(), None);
        let shares = [0, 1].map(|port| Share { room, port: PortId(port) });
        let hooks = shares.map(|share| share.hook(3, 64).collect::<Vec<_>>());
        assert_eq!(hooks, [vec![3, 35], vec![19, 51]], "two CPUs, two ports, sixteen hooks");
        let segments = shares.map(|share| share.segments(SegmentId(5), 96).collect::<Vec<_>>());
        assert_eq!(segments, [vec![5, 53], vec![29, 77]]);
        let one = Share::whole(20);
        assert_eq!(one.hook(3, 32).collect::<Vec<_>>(), [3, 19]);
        assert_eq!(one.segments(SegmentId(5), 40).collect::<Vec<_>>(), [5, 25]);
    }
}
