//! Floods past each contender, and whether hoptrace's ledger knows every packet of them.

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::lab::{Flood, Guest, Lab};
use hoptrace_tests::soak::{Account, Ends};

use crate::contender::Contender;

/// Before each flood goes one of so many times fewer packets.
const LEAD_IN: u64 = 4;

const CONTENDERS: [(&str, Contender); 8] = [
    ("untraced", Contender::Untraced),
    ("empty", Contender::Program("empty")),
    ("clock", Contender::Program("clock")),
    ("floor", Contender::Program("floor")),
    ("hoptrace", Contender::Hoptrace),
    ("hoptrace_wire", Contender::HoptraceWire),
    ("hoptrace_waterfalls", Contender::HoptraceWaterfalls),
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
    pub(crate) fn new(lab: &'a Lab) -> Result<Self> {
        let figures = CONTENDERS.map(|(name, contender)| Figures {
            name,
            contender,
            sent: 0,
            arrived: 0,
            per_second: Vec::new(),
            per_cpu_second: Vec::new(),
        });
        let guest = lab.guests.first().context("the lab has no guest")?;
        Ok(Self { lab, guest, figures: figures.into(), ledgers: Vec::new(), disturbed: 0 })
    }

    /// Measures every contender in a forward and a backward pass.
    pub(crate) fn round(&mut self, packets: u64) -> Result<()> {
        let count = self.figures.len();
        let mut floods: Vec<Vec<Flood>> = vec![Vec::new(); count];
        for place in (0..count).chain((0..count).rev()) {
            let Some(figures) = self.figures.get(place) else { continue };
            let (name, contender) = (figures.name, figures.contender);
            let flood = self.flood(contender, packets).with_context(|| format!("flood past {name}"))?;
            if let Some(floods) = floods.get_mut(place) {
                floods.push(flood);
            }
        }
        for (figures, floods) in self.figures.iter_mut().zip(&floods) {
            figures.sent += floods.iter().map(|flood| flood.sent).sum::<u64>();
            figures.arrived += floods.iter().map(|flood| flood.arrived).sum::<u64>();
            figures.per_second.push(mean_rate(floods, Flood::per_second));
            figures.per_cpu_second.push(mean_rate(floods, Flood::per_cpu_second));
        }
        Ok(())
    }

    fn flood(&mut self, contender: Contender, packets: u64) -> Result<Flood> {
        // Neighbour entries are static here: switches that never heard the wire would flood everything.
        self.lab.introduce(self.guest)?;
        let running = contender.start(self.lab)?;
        let before = Ends::now(self.lab, self.guest)?;
        // The first part goes by unmeasured: caches, and the time hoptrace takes to see that much is going on.
        self.lab.flood(self.guest, packets / LEAD_IN, None)?;
        let flood = self.lab.flood(self.guest, packets, None)?;
        let after = Ends::now(self.lab, self.guest)?;
        ensure!(flood.arrived > 0, "nothing of the flood arrived: {flood:?}");
        self.disturbed += u32::from(running.was_disturbed()?);
        if let Some(report) = running.end()? {
            self.ledgers.push(before.account(&after, &report)?);
        }
        Ok(flood)
    }

    pub(crate) fn forget(&mut self) {
        for figures in &mut self.figures {
            (figures.sent, figures.arrived) = (0, 0);
            figures.per_second.clear();
            figures.per_cpu_second.clear();
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
