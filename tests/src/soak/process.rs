//! What a process takes.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// CPU and memory of a process, from `/proc`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ProcessUse {
    /// User and system time so far, of all threads.
    pub cpu: Duration,
    /// Memory that is resident, in KiB.
    pub rss_kib: u64,
    /// The most of it that ever was, in KiB.
    pub peak_rss_kib: u64,
}

impl ProcessUse {
    /// Reads them.
    ///
    /// # Errors
    /// Where the process is gone.
    pub fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).with_context(|| format!("read {path}"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        Ok(Self {
            cpu: cpu(&stat).context("no times in /proc/PID/stat")?,
            rss_kib: kib(&status, "VmRSS:").context("no VmRSS in /proc/PID/status")?,
            peak_rss_kib: kib(&status, "VmHWM:").context("no VmHWM in /proc/PID/status")?,
        })
    }
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc(5)), in ticks.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{cpu, kib};

    #[test]
    fn times_stand_behind_a_name_with_spaces() {
        let stat = "17 (a ) name) S 1 17 17 0 -1 4194304 85 0 0 0 30 20 0 0 20 0 1 0 5 1 2";
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!(cpu(stat).map(|cpu| cpu.as_millis()), Some(u128::from(50 * 1000 / ticks)));
    }

    #[test]
    fn a_line_of_the_status_is_found_by_its_name() {
        assert_eq!(kib("VmPeak:\t  99 kB\nVmRSS:\t    1234 kB\n", "VmRSS:"), Some(1234));
        assert_eq!(kib("", "VmRSS:"), None);
    }
}
