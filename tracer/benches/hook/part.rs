//! Rows that are set up and measured together.

use anyhow::{Context as _, Result};
use aya::Ebpf;

use crate::course::{Course, Traffic};

/// A row's figures, a round each, in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    pub(crate) ns: Vec<f64>,
}

impl Figures {
    pub(crate) const fn of(name: &'static str) -> Self {
        Self { name, ns: Vec::new() }
    }
}

/// What one round has for all.
pub(crate) struct Round<'r> {
    /// The programs to compare with.
    pub(crate) others: &'r Ebpf,
    pub(crate) course: &'r mut Course,
    /// Runs of each program.
    pub(crate) runs: u32,
    pub(crate) bases: &'r Bases,
}

/// What empty programs take in this round, in nanoseconds.
pub(crate) struct Bases {
    /// One by itself.
    pub(crate) empty_ns: f64,
    /// On the course, by the traffic.
    pub(crate) on_course: Vec<(Traffic, f64)>,
}

impl Bases {
    /// What a program takes that took this on the course, with this traffic.
    pub(crate) fn alone_ns(&self, traffic: Traffic, on_course_ns: f64) -> Result<f64> {
        let base = self.on_course.iter().find(|(of, _)| *of == traffic);
        let (_, base_ns) = base.context("empty programs were not measured with this traffic")?;
        Ok(on_course_ns - base_ns + self.empty_ns)
    }
}

/// Such rows.
pub(crate) trait Part {
    /// Measures every row once.
    fn round(&mut self, round: &mut Round<'_>) -> Result<()>;

    /// Whether the programs did what was measured.
    fn check(&mut self) -> Result<()>;

    /// The figures of every row, in the order of the table.
    fn figures(&self) -> &[Figures];

    fn figures_mut(&mut self) -> &mut [Figures];

    /// Forgets the figures so far.
    fn forget(&mut self) {
        for figures in self.figures_mut() {
            figures.ns.clear();
        }
    }
}
