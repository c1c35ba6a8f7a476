//! Rows that are set up and measured together.

use anyhow::{Context as _, Result};
use aya::Ebpf;

use crate::course::{Course, HOT, Traffic};

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
    /// What an empty program takes by itself.
    pub(crate) empty_ns: f64,
    /// What empty programs take on the course, by the traffic.
    pub(crate) bases: &'r [(Traffic, f64)],
}

impl Round<'_> {
    /// What a program takes that took this on the course, with [`HOT`] traffic.
    pub(crate) fn alone_hot_ns(&self, on_course_ns: f64) -> Result<f64> {
        self.alone_ns(HOT, on_course_ns)
    }

    /// What a program takes that took this on the course, with this traffic.
    pub(crate) fn alone_ns(&self, traffic: Traffic, on_course_ns: f64) -> Result<f64> {
        let base = self.bases.iter().find(|(of, _)| *of == traffic);
        Ok(on_course_ns - base.context("empty programs were not measured with this traffic")?.1
            + self.empty_ns)
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
