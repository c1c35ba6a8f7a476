//! Packets that came after they were given up: lost at one hook, and first seen again at a later one. Pure.

mod figures;
mod given_up;

pub(super) use figures::LateFigures;
pub(super) use given_up::GivenUp;

use hoptrace_common::{
    config::OFF_PATH_SEGMENT,
    inflight::{Ended, State},
};

use crate::model::{Direction, Plan, SegmentId};

/// A packet that came after it was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Late {
    /// As it was given up.
    pub(crate) lost: Ended,
    /// As it came.
    pub(crate) came: Ended,
    /// Another one was given up that looks the same: which of them it is, and so how late, is not known.
    pub(crate) is_one_of_several: bool,
}

impl Late {
    /// The direction it entered in.
    pub(super) const fn direction(&self) -> Direction {
        Direction::of_index(self.lost.control.direction())
    }

    /// The segment it was late in.
    pub(super) fn segment(&self, plan: &Plan) -> SegmentId {
        let (from, to) = (usize::from(self.lost.control.last()), usize::from(self.came.first));
        let between = plan
            .segments
            .iter()
            .find(|it| it.direction == self.direction() && it.from.place() == from && it.to.place() == to);
        let slow = between.and_then(|it| it.slow).filter(|_| self.lost.control.upcalled());
        slow.or(between.map(|it| it.index)).unwrap_or(SegmentId(OFF_PATH_SEGMENT))
    }

    /// Whether both hooks have asked the exact clock.
    pub(super) const fn is_timed(&self) -> bool {
        !self.lost.control.untimed() && !self.came.control.untimed()
    }

    /// How long it took between the two hooks, in nanoseconds, where that is known.
    pub(super) fn latency_ns(&self) -> Option<u64> {
        let is_known = self.is_timed() && !self.is_one_of_several;
        is_known.then(|| self.came.first_ns.wrapping_sub(self.lost.seen_ns))
    }

    /// The segment of the whole way, and how long that took, where that is known. `None`: it did not go the whole way.
    pub(super) fn whole_way(&self, plan: &Plan) -> Option<(SegmentId, Option<u64>)> {
        let Self { lost, came, .. } = self;
        let is_whole =
            !lost.control.joined() && matches!(came.control.state(), State::Done) && !came.control.dead();
        let hook = plan.hooks.get(usize::from(came.control.last())).filter(|_| is_whole)?;
        let totals = if hook.is_neighbour() { plan.neighbour_totals } else { plan.totals };
        let took_ns = self.latency_ns().map(|_| came.seen_ns.wrapping_sub(lost.first_ns));
        Some((*totals.of(self.direction()), took_ns))
    }
}
