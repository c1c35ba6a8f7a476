//! What tracing costs: time per run from the kernel's BPF statistics, and our own CPU.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use aya::sys::{Stats, enable_stats};
use rustix::time::{ClockId, clock_gettime};

/// Above this many runs per second statistics are on for a part of the time only: they read the clock twice per run.
const BUSY_RUNS_PER_S: f64 = 20_000.0;
/// Runs are counted over this time at least: the first look comes right after the start.
const SHORTEST_WINDOW_S: f64 = 0.05;
/// The part, in ticks: on for one of so many.
const BUSY_TICKS: u32 = 50;

/// Measures in windows: always while little happens, a fiftieth of the time while much does.
#[derive(Debug)]
pub struct CostMeter {
    started: Instant,
    cpu_before: Duration,
    /// Statistics are on while this is held.
    statistics: Option<OwnedFd>,
    window: Instant,
    last_runs: u64,
    tick: u32,
    busy: bool,
    by_themselves: bool,
}

impl CostMeter {
    /// Starts measuring. Where the programs measure themselves (`by_themselves`), the kernel's statistics stay off. Best before the
    /// programs are attached: the kernel patches its code for that.
    #[must_use]
    pub fn start(by_themselves: bool) -> Self {
        Self {
            started: Instant::now(),
            cpu_before: process_cpu(),
            statistics: if by_themselves { None } else { enable_stats(Stats::RunTime).ok() },
            by_themselves,
            window: Instant::now(),
            last_runs: 0,
            tick: 0,
            busy: false,
        }
    }

    /// What this process did so far does not count: it loaded programs.
    #[must_use]
    pub fn from_now(self) -> Self {
        Self { started: Instant::now(), cpu_before: process_cpu(), window: Instant::now(), ..self }
    }

    /// Decides whether to keep statistics on; `runs` is the number the kernel counted so far.
    pub fn tick(&mut self, runs: u64) {
        if self.by_themselves {
            return;
        }
        self.tick = self.tick.wrapping_add(1);
        if self.statistics.is_some() {
            let seconds = self.window.elapsed().as_secs_f64().max(SHORTEST_WINDOW_S);
            #[allow(clippy::cast_precision_loss, reason = "a rate")]
            let rate = runs.saturating_sub(self.last_runs) as f64 / seconds;
            self.busy = rate > BUSY_RUNS_PER_S;
        }
        self.last_runs = runs;
        self.window = Instant::now();
        let wanted = !self.busy || self.tick.is_multiple_of(BUSY_TICKS);
        if wanted && self.statistics.is_none() {
            self.statistics = enable_stats(Stats::RunTime).ok();
        } else if !wanted {
            self.statistics = None;
        }
    }

    /// CPU of this process since the start, in percent of one core.
    #[must_use]
    pub fn cpu_pct(&self) -> f64 {
        let cpu = process_cpu().saturating_sub(self.cpu_before);
        100.0 * cpu.as_secs_f64() / self.started.elapsed().as_secs_f64().max(1e-3)
    }
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
