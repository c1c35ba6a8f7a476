//! What tracing costs: time per run from the kernel's BPF statistics, and our own CPU.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use aya::sys::{Stats, enable_stats};
use hoptrace_common::counters::MEASURED_ONE_OF;
use rustix::time::{ClockId, clock_gettime};

/// Above this many runs per second statistics are on for a part of the time only: they read the clock twice per run.
const BUSY_RUNS_PER_S: f64 = 20_000.0;
/// Runs are counted over this time at least: the first look comes right after the start.
const SHORTEST_WINDOW_S: f64 = 0.05;
/// The part, in ticks: on for one of so many.
const BUSY_TICKS: u32 = 50;
/// The same where the cost is to be held.
const WATCHED_TICKS: u32 = 10;

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
    busy_ticks: u32,
    /// The programs' time at the last tick; `None`: there was none yet.
    last_ns: Option<u64>,
    /// Time in which the programs' time was measured, and theirs.
    measured: (Duration, Duration),
}

impl CostMeter {
    /// Starts measuring. Where the programs measure themselves (`by_themselves`), the kernel's statistics stay off. Best before the
    /// programs are attached: the kernel patches its code for that. `watched`: often, because the cost is to be held.
    #[must_use]
    pub fn start(by_themselves: bool, watched: bool) -> Self {
        Self {
            started: Instant::now(),
            cpu_before: process_cpu(),
            statistics: if by_themselves { None } else { enable_stats(Stats::RunTime).ok() },
            by_themselves,
            window: Instant::now(),
            last_runs: 0,
            tick: 0,
            busy: false,
            busy_ticks: if watched { WATCHED_TICKS } else { BUSY_TICKS },
            last_ns: None,
            measured: (Duration::ZERO, Duration::ZERO),
        }
    }

    /// Whether the programs' time can be measured: the kernel may not let this process switch its statistics on.
    #[must_use]
    pub const fn can_measure(&self) -> bool {
        self.by_themselves || self.statistics.is_some()
    }

    /// What this process did so far does not count: it loaded programs.
    #[must_use]
    pub fn from_now(self) -> Self {
        let measured = (Duration::ZERO, Duration::ZERO);
        Self { started: Instant::now(), cpu_before: process_cpu(), window: Instant::now(), measured, ..self }
    }

    /// Decides whether to keep statistics on; `(runs, time_ns)` is what was counted so far. Gives the share of one CPU's time that the
    /// programs took since the last tick, if it was measured.
    pub fn tick(&mut self, (runs, time_ns): (u64, u64)) -> Option<f64> {
        let cost = self.cost_since(time_ns);
        self.last_ns = Some(time_ns);
        if self.by_themselves {
            self.window = Instant::now();
            return cost;
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
        let wanted = !self.busy || self.tick.is_multiple_of(self.busy_ticks);
        if wanted && self.statistics.is_none() {
            self.statistics = enable_stats(Stats::RunTime).ok();
        } else if !wanted {
            self.statistics = None;
        }
        cost
    }

    fn cost_since(&mut self, time_ns: u64) -> Option<f64> {
        let elapsed = self.window.elapsed();
        if !(self.by_themselves || self.statistics.is_some()) || elapsed.as_secs_f64() < SHORTEST_WINDOW_S {
            return None;
        }
        // Before the first tick the programs were attached, which takes its time.
        let measured_ns = time_ns.saturating_sub(self.last_ns?);
        let one_of = if self.by_themselves { MEASURED_ONE_OF } else { 1 };
        let taken = Duration::from_nanos(measured_ns.saturating_mul(one_of));
        // While much happens, one window of some stands for all of them.
        let stands_for = if self.busy { self.busy_ticks } else { 1 };
        self.measured.0 += elapsed * stands_for;
        self.measured.1 += taken * stands_for;
        Some(taken.as_secs_f64() / elapsed.as_secs_f64())
    }

    /// CPU of the hooks' programs, in percent of one core, while it was measured; `None`: it was not.
    #[must_use]
    pub fn hooks_cpu_pct(&self) -> Option<f64> {
        let (time, taken) = self.measured;
        (!time.is_zero()).then(|| 100.0 * taken.as_secs_f64() / time.as_secs_f64())
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
