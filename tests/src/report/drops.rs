//! Packets that died, and the report of `hoptrace drops`: what it says, a trace's report says, too.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::prints_as_json;
use super::{Direction, Directions, Evidence, Explanation, Finding, Ledger, Path, TracerCost, ports};

/// Packets that died behind a hook, for one reason, at one place.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The last hook that saw them.
    pub after: String,
    /// The kernel's reason.
    #[serde(deserialize_with = "Option::deserialize")]
    pub reason: Option<String>,
    /// Whose reason it is, if not the kernel core's.
    #[serde(deserialize_with = "Option::deserialize")]
    pub subsystem: Option<String>,
    /// The function that freed them; none: lost.
    #[serde(deserialize_with = "Option::deserialize")]
    pub location: Option<String>,
    /// How many.
    pub count: u64,
    /// On which CPUs.
    pub cpus: Vec<OnCpu>,
    /// When the first of them died, in nanoseconds since 1970.
    pub first_ns: u64,
    /// When the last of them did.
    pub last_ns: u64,
    /// In bursts.
    #[serde(deserialize_with = "Option::deserialize")]
    pub bursts: Option<Bursts>,
    /// One of them.
    #[serde(deserialize_with = "Option::deserialize")]
    pub example: Option<DropExample>,
    /// What the switch's rules do with it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub explain: Option<Explanation>,
    /// What that means, and what to do.
    #[serde(deserialize_with = "Option::deserialize")]
    pub advice: Option<String>,
}

impl Dropped {
    /// Its advice contains these words.
    ///
    /// # Errors
    /// Where it does not.
    pub fn advises(&self, words: &str) -> Result<()> {
        match &self.advice {
            Some(advice) if advice.contains(words) => Ok(()),
            _ => bail!("no advice with `{words}`: {self}"),
        }
    }

    /// Where the example went to.
    #[must_use]
    pub fn example_port(&self) -> Option<u16> {
        self.example.as_ref()?.destination_port
    }
}

/// That packets died in bursts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bursts {
    /// How many.
    pub count: u64,
    /// The longest took so long at most, in nanoseconds.
    pub longest_ns: u64,
    /// From the beginning of one to that of the next, on average.
    pub every_ns: u64,
}

/// Packets that one CPU freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnCpu {
    /// Its number.
    pub cpu: usize,
    /// How many.
    pub count: u64,
}

/// One packet that died.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropExample {
    /// `udp`.
    pub protocol: String,
    /// Length of the frame, in bytes.
    pub len_bytes: u64,
    /// Where it went to.
    #[serde(deserialize_with = "Option::deserialize")]
    pub destination_port: Option<u16>,
}

/// Packets that died before the first hook.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyDrop {
    /// The first hook.
    pub before: String,
    /// The kernel's reason.
    #[serde(deserialize_with = "Option::deserialize")]
    pub reason: Option<String>,
    /// The function that freed them.
    pub location: String,
    /// How many.
    pub count: u64,
    /// On which CPUs.
    pub cpus: Vec<OnCpu>,
    /// One of them.
    #[serde(deserialize_with = "Option::deserialize")]
    pub example: Option<DropExample>,
}

/// What both reports say of a direction.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectionDrops {
    /// Where every packet went.
    pub ledger: Ledger,
    /// Packets that died.
    pub drops: Vec<Dropped>,
    /// Packets that died before the first hook.
    pub early_drops: Vec<EarlyDrop>,
    /// What the switch's rules do with a packet that went through.
    #[serde(deserialize_with = "Option::deserialize")]
    pub explain: Option<Explanation>,
}

impl DirectionDrops {
    /// Packets that died behind a hook: as the list of drops says, not the ledger.
    #[must_use]
    pub fn died(&self) -> u64 {
        self.drops.iter().map(|drop| drop.count).sum()
    }

    /// The only place where packets died.
    ///
    /// # Errors
    /// Where there are several, or none.
    pub fn only_drop(&self) -> Result<&Dropped> {
        match self.drops.as_slice() {
            [drop] => Ok(drop),
            _ => bail!("not one place where packets died: {self}"),
        }
    }
}

/// What both reports say.
#[derive(Clone, Default, PartialEq, Deserialize)]
pub struct DropsReport {
    /// Which report, and which version of it.
    pub schema: String,
    /// What is to know first, the worst first.
    pub findings: Vec<Finding>,
    /// Counters of the host that rose, and questions without an answer.
    pub evidence: Vec<Evidence>,
    /// What else is to know.
    pub notes: Vec<String>,
    /// Frees of packets from more places than are kept apart.
    pub drops_without_site: u64,
    /// What tracing cost.
    pub tracer: TracerCost,
    /// The path of the port.
    pub path: Path,
    /// Both directions.
    pub directions: Directions<DirectionDrops>,
    /// The whole report, as it was printed.
    #[serde(skip)]
    json: Value,
}

impl DropsReport {
    /// Reads what `hoptrace drops --json` printed, of one port.
    ///
    /// # Errors
    /// Where it is no such report, or a member of this is missing in it.
    pub fn read(printed: &[u8]) -> Result<Self> {
        Self::of(ports::beside_the_trace(printed)?)
    }

    pub(super) fn of(json: Value) -> Result<Self> {
        let read = Self::deserialize(&json).with_context(|| format!("not as tests know it: {json}"))?;
        Ok(Self { json, ..read })
    }

    /// One direction.
    #[must_use]
    pub const fn direction(&self, direction: Direction) -> &DirectionDrops {
        self.directions.get(direction)
    }

    /// VM → wire.
    #[must_use]
    pub const fn egress(&self) -> &DirectionDrops {
        &self.directions.egress
    }

    /// Wire → VM.
    #[must_use]
    pub const fn ingress(&self) -> &DirectionDrops {
        &self.directions.ingress
    }

    /// What it says first.
    ///
    /// # Errors
    /// Where it says nothing.
    pub fn first(&self) -> Result<&Finding> {
        self.findings.first().with_context(|| format!("no finding in {self}"))
    }

    /// The finding of that code.
    ///
    /// # Errors
    /// Where there is none.
    pub fn finding(&self, code: &str) -> Result<&Finding> {
        let found = self.findings.iter().find(|finding| finding.code == code);
        found.with_context(|| format!("no {code} in {:?}", self.findings))
    }

    /// What a counter at an interface or daemon says.
    #[must_use]
    pub fn evidence_at(&self, at: &str, counter: &str) -> Option<&Evidence> {
        self.evidence.iter().find(|it| it.at == at && it.counter == counter)
    }

    /// As [`Self::evidence_at`].
    ///
    /// # Errors
    /// Where nothing is said of it.
    pub fn told_at(&self, at: &str, counter: &str) -> Result<&Evidence> {
        let found = self.evidence_at(at, counter);
        found.with_context(|| format!("{counter} at {at} is not told: {:?}", self.evidence))
    }
}

prints_as_json!(Dropped, DropExample, EarlyDrop, DirectionDrops);

impl fmt::Display for DropsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json.fmt(f)
    }
}

impl fmt::Debug for DropsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
