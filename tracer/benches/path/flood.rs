//! Floods past each contender, and whether hoptrace's ledger knows every packet of them.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::lab::{Flood, Guest, Lab};
use hoptrace_tests::soak::{Account, Ends};

use crate::contender::Contender;

/// Before each flood goes one of so many times fewer packets.
const LEAD_IN: u64 = 4;

/// To which others are compared: always measured.
const ALWAYS: [&str; 2] = ["untraced", "clock"];

const CONTENDERS: [(&str, Contender); 11] = [
    ("untraced", Contender::Untraced),
    ("empty", Contender::Program("empty")),
    ("clock", Contender::Program("clock")),
    ("floor", Contender::Program("floor")),
    ("hoptrace", Contender::Hoptrace),
    ("hoptrace_timed_16", Contender::HoptraceTimed16),
    ("hoptrace_wire", Contender::HoptraceWire),
    ("hoptrace_waterfalls", Contender::HoptraceWaterfalls),
    ("hoptrace_drops", Contender::Drops),
    ("hoptrace_drops_of_host", Contender::DropsOfHost),
    ("tcpdump", Contender::Tcpdump),
];

/// A contender's figures, a round each.
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    contender: Contender,
    pub(crate) sent: u64,
    /// Of them those that the receiver read; the others found no room in its socket.
    pub(crate) arrived: u64,
    pub(crate) per_second: Vec<f64>,
    pub(crate) per_cpu_second: Vec<f64>,
    /// CPU time of the contender's own processes, in nanoseconds for each datagram.
    pub(crate) own_cpu_ns: Vec<f64>,
    /// Packets that it had no room for, of all interfaces.
    pub(crate) missed: u64,
}

impl Figures {
    /// What a datagram takes of all CPUs in each round, in nanoseconds: of the sender's, and of the contender's own. The receiver's part
    /// is the same for all, and left out.
    pub(crate) fn whole_cpu_ns(&self) -> Vec<f64> {
        let sender = self.per_cpu_second.iter().map(|rate| 1e9 / rate.max(1e-9));
        sender.zip(&self.own_cpu_ns).map(|(sender, own)| sender + own).collect()
    }
}

/// A flood, and what a contender did meanwhile.
#[derive(Clone, Copy)]
struct Passed {
    flood: Flood,
    /// Datagrams that went by, those of the first part among them, and what they took of the contender's own processes.
    datagrams: u64,
    own_cpu: Duration,
    missed: u64,
}

/// The figures so far.
pub(crate) struct Bench<'a> {
    lab: &'a Lab,
    guest: &'a Guest,
    figures: Vec<Figures>,
    ledgers: Vec<Account>,
    disturbed: u32,
}

impl<'a> Bench<'a> {
    /// All contenders whose name contains one of the words in `only`, if there are any, and an `other` build of hoptrace.
    pub(crate) fn new(lab: &'a Lab, only: &[String], other: Option<PathBuf>) -> Result<Self> {
        let is_wanted = |name: &str| {
            only.is_empty() || ALWAYS.contains(&name) || only.iter().any(|word| name.contains(word))
        };
        for word in only {
            ensure!(
                CONTENDERS.iter().any(|(name, _)| name.contains(word)),
                "--only {word}: no contender is called so"
            );
        }
        let wanted = CONTENDERS.into_iter().filter(|(name, _)| is_wanted(name));
        let all = wanted.chain(other.map(|program| ("hoptrace_other", Contender::Other(program))));
        let figures = all.map(|(name, contender)| Figures {
            name,
            contender,
            sent: 0,
            arrived: 0,
            per_second: Vec::new(),
            per_cpu_second: Vec::new(),
            own_cpu_ns: Vec::new(),
            missed: 0,
        });
        let guest = lab.guests.first().context("the lab has no guest")?;
        Ok(Self { lab, guest, figures: figures.collect(), ledgers: Vec::new(), disturbed: 0 })
    }

    /// Measures every contender in a forward and a backward pass.
    pub(crate) fn round(&mut self, packets: u64) -> Result<()> {
        let count = self.figures.len();
        let mut passed: Vec<Vec<Passed>> = vec![Vec::new(); count];
        for place in (0..count).chain((0..count).rev()) {
            let Some(figures) = self.figures.get(place) else { continue };
            let (name, contender) = (figures.name, figures.contender.clone());
            let flood = self.flood(&contender, packets).with_context(|| format!("flood past {name}"))?;
            if let Some(passed) = passed.get_mut(place) {
                passed.push(flood);
            }
        }
        for (figures, passed) in self.figures.iter_mut().zip(&passed) {
            let floods: Vec<Flood> = passed.iter().map(|passed| passed.flood).collect();
            figures.sent += floods.iter().map(|flood| flood.sent).sum::<u64>();
            figures.arrived += floods.iter().map(|flood| flood.arrived).sum::<u64>();
            figures.missed += passed.iter().map(|passed| passed.missed).sum::<u64>();
            figures.per_second.push(mean_rate(&floods, Flood::per_second));
            figures.per_cpu_second.push(mean_rate(&floods, Flood::per_cpu_second));
            figures.own_cpu_ns.push(own_cpu_ns(passed));
        }
        Ok(())
    }

    fn flood(&mut self, contender: &Contender, packets: u64) -> Result<Passed> {
        // Neighbour entries are static here: switches that never heard the wire would flood everything.
        self.lab.introduce(self.guest)?;
        let running = contender.start(self.lab)?;
        let (before, cpu_before) = (Ends::now(self.lab, self.guest)?, running.cpu()?);
        // The first part goes by unmeasured: caches, and the time hoptrace takes to see that much is going on.
        let lead_in = self.lab.flood(self.guest, packets / LEAD_IN, None)?;
        let flood = self.lab.flood(self.guest, packets, None)?;
        let (after, cpu_after) = (Ends::now(self.lab, self.guest)?, running.cpu()?);
        ensure!(flood.arrived > 0, "nothing of the flood arrived: {flood:?}");
        self.disturbed += u32::from(running.was_disturbed()?);
        let said = running.end()?;
        if let Some(report) = said.report {
            self.ledgers.push(before.account(&after, &report)?);
        }
        Ok(Passed {
            flood,
            datagrams: lead_in.sent + flood.sent,
            own_cpu: cpu_after.saturating_sub(cpu_before),
            missed: said.missed,
        })
    }

    pub(crate) fn forget(&mut self) {
        for figures in &mut self.figures {
            (figures.sent, figures.arrived, figures.missed) = (0, 0, 0);
            for rounds in [&mut figures.per_second, &mut figures.per_cpu_second, &mut figures.own_cpu_ns] {
                rounds.clear();
            }
        }
    }

    pub(crate) fn figures(&self) -> impl Iterator<Item = &Figures> {
        self.figures.iter()
    }

    /// Floods past programs to compare with during which another program had BPF statistics on.
    pub(crate) const fn disturbed(&self) -> u32 {
        self.disturbed
    }

    pub(crate) fn into_ledgers(self) -> Vec<Account> {
        self.ledgers
    }
}

/// Of passes of the same size: the harmonic mean is that of all of them together.
#[allow(clippy::cast_precision_loss, reason = "two passes")]
fn mean_rate(floods: &[Flood], rate: fn(&Flood) -> f64) -> f64 {
    floods.len() as f64 / floods.iter().map(|flood| 1.0 / rate(flood)).sum::<f64>()
}

/// Nanoseconds for each datagram that went by.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn own_cpu_ns(passed: &[Passed]) -> f64 {
    let cpu: Duration = passed.iter().map(|passed| passed.own_cpu).sum();
    let datagrams: u64 = passed.iter().map(|passed| passed.datagrams).sum();
    cpu.as_nanos() as f64 / datagrams.max(1) as f64
}
