//! What the kernel says of the programs that are attached.

use aya::maps::PerCpuArray;

use super::{Attached, missed::missed_runs};
use crate::model::Mechanism;

/// What programs at tracepoints measure of themselves: runs, those that were measured, and their time.
const COSTS: &str = "COSTS";

impl Attached {
    /// Instructions the verifier followed, in all programs together: most of what loading takes. From kernel 5.16.
    #[must_use]
    pub fn verified_instructions(&self) -> u32 {
        let of = |name: &str| self.ebpf.program(name)?.info().ok()?.verified_instruction_count();
        self.of_hooks.iter().chain(&self.others).copied().filter_map(of).sum()
    }

    /// Runs and time of the hooks' programs since statistics were switched on: (runs, nanoseconds). Without those that
    /// [`Attached::host_wide_statistics`] is about.
    #[must_use]
    pub fn run_statistics(&self) -> (u64, u64) {
        self.statistics(|name| !self.host_wide.contains(&name))
    }

    /// The same of those at tracepoints, which run for every packet that any device of the host sends, or receives. Where all hooks are
    /// there, the programs measure themselves.
    #[must_use]
    pub fn host_wide_statistics(&self) -> (u64, u64) {
        if self.mechanism == Mechanism::Tracepoints {
            return self.measured().unwrap_or_default();
        }
        self.statistics(|name| self.host_wide.contains(&name))
    }

    fn measured(&self) -> Option<(u64, u64)> {
        let costs: PerCpuArray<_, [u64; 3]> = self.ebpf.map(COSTS)?.try_into().ok()?;
        let of_cpus = costs.get(&0, 0).ok()?;
        let sum = of_cpus
            .iter()
            .fold((0, 0), |(runs, time_ns), [_, measured, more_ns]| (runs + measured, time_ns + more_ns));
        Some(sum)
    }

    fn statistics(&self, which: impl Fn(&str) -> bool) -> (u64, u64) {
        let names = self.of_hooks.iter().copied().filter(|name| which(name));
        names
            .map(|name| self.statistics_of(name))
            .fold((0, 0), |(runs, time_ns), (more_runs, more_ns)| (runs + more_runs, time_ns + more_ns))
    }

    fn statistics_of(&self, name: &str) -> (u64, u64) {
        let info = self.ebpf.program(name).and_then(|program| program.info().ok());
        info.map_or((0, 0), |info| {
            (info.run_count(), u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX))
        })
    }

    /// How often the kernel did not run a program of hooks at tracepoints because its CPU was in the middle of it.
    #[must_use]
    pub fn missed_runs(&self) -> u64 {
        self.host_wide.iter().map(|name| missed_runs(&self.ebpf, name)).sum()
    }
}
