//! The report of `hoptrace trace`.

use std::fmt;
use std::ops::Deref;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::prints_as_json;
use super::{
    Direction, DirectionDrops, Directions, DropsReport, GuestTimes, Latencies, Neighbour, Packet, Segment,
    Upcalls, ports,
};

/// What a hook counted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The hook.
    pub hook: String,
    /// Sights.
    pub seen: u64,
    /// Frames for groups.
    pub groups: u64,
}

/// What a trace says of a direction: what `drops` says of it, and more.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DirectionReport {
    #[serde(flatten)]
    drops: DirectionDrops,
    /// Pairs of hooks, in path order.
    pub segments: Vec<Segment>,
    /// From the first hook to the last.
    pub total: Latencies,
    /// From the first hook to a neighbour's port, or from there to the last hook.
    pub neighbour_total: Latencies,
    /// The hooks, in path order.
    pub hooks: Vec<Hook>,
    /// The slowest packets, slowest first.
    pub slowest: Vec<Packet>,
}

impl DirectionReport {
    /// A hook.
    ///
    /// # Errors
    /// Where there is no such hook.
    pub fn hook(&self, name: &str) -> Result<&Hook> {
        let found = self.hooks.iter().find(|hook| hook.hook == name);
        found.with_context(|| format!("no hook {name} in {:?}", self.hooks))
    }

    /// The segment between two hooks.
    ///
    /// # Errors
    /// Where there is no such segment.
    pub fn segment(&self, from: &str, to: &str) -> Result<&Segment> {
        let found = self.segments.iter().find(|segment| segment.is(from, to));
        found.with_context(|| format!("no segment {from} → {to} in {:?}", self.segments))
    }

    /// The segments of the path itself.
    pub fn on_path(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| !segment.off_path)
    }
}

impl Deref for DirectionReport {
    type Target = DirectionDrops;

    fn deref(&self) -> &DirectionDrops {
        &self.drops
    }
}

/// What a trace reports: what `drops` reports, and more.
#[derive(Clone, PartialEq, Deserialize)]
pub struct Report {
    #[serde(skip)]
    drops: DropsReport,
    /// Both directions.
    pub directions: Directions<DirectionReport>,
    /// Hops between hooks that are no neighbours on the path.
    pub off_path: Latencies,
    /// The guest's own times.
    pub guest: GuestTimes,
    /// Ports beside the path.
    pub neighbours: Vec<Neighbour>,
    /// What the switch gave to user space.
    #[serde(deserialize_with = "Option::deserialize")]
    pub upcalls: Option<Upcalls>,
}

impl Report {
    /// Reads what `hoptrace trace --json` printed, of one port.
    ///
    /// # Errors
    /// Where it is no such report, or a member of this is missing in it.
    pub fn read(printed: &[u8]) -> Result<Self> {
        Self::of(ports::beside_the_trace(printed)?)
    }

    /// Reads the same of any number of ports: each is a report of its own, with what is said of the trace, under its instance's name
    /// ([`Instance::title`](super::Instance::title)), in the order of the trace.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_each(printed: &[u8]) -> Result<Vec<(String, Self)>> {
        let named = |json| {
            let report = Self::of(json)?;
            Ok((report.path.instance.title().to_owned(), report))
        };
        ports::each_beside_the_trace(printed)?.into_iter().map(named).collect()
    }

    fn of(json: Value) -> Result<Self> {
        let read = Self::deserialize(&json).with_context(|| format!("not as tests know it: {json}"))?;
        Ok(Self { drops: DropsReport::of(json)?, ..read })
    }

    /// One direction.
    #[must_use]
    pub const fn direction(&self, direction: Direction) -> &DirectionReport {
        self.directions.get(direction)
    }

    /// VM → wire.
    #[must_use]
    pub const fn egress(&self) -> &DirectionReport {
        &self.directions.egress
    }

    /// Wire → VM.
    #[must_use]
    pub const fn ingress(&self) -> &DirectionReport {
        &self.directions.ingress
    }

    /// The port beside the path that is there.
    ///
    /// # Errors
    /// Where none is.
    pub fn neighbour(&self, place: &str) -> Result<&Neighbour> {
        let found = self.neighbours.iter().find(|port| port.place == place);
        found.with_context(|| format!("no {place} among {:?}", self.neighbours))
    }
}

impl Deref for Report {
    type Target = DropsReport;

    fn deref(&self) -> &DropsReport {
        &self.drops
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.drops, f)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

prints_as_json!(Hook, DirectionReport);
