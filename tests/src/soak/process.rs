//! What a process takes.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

/// CPU and memory of a process, from `/proc`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ProcessUse {
    /// User and system time so far, of all threads.
    pub cpu: Duration,
    /// Memory that is resident, in KiB.
    pub rss_kib: u64,
}

impl ProcessUse {
    /// Reads them.
    ///
    /// # Errors
    /// Where the process is gone.
    pub fn of(pid: u32) -> Result<Self> {
        let (stat, status) = (read(pid, "stat")?, read(pid, "status")?);
        Ok(Self {
            cpu: cpu(&stat).context("no times in /proc/PID/stat")?,
            rss_kib: kib(&status, "VmRSS:").context("no VmRSS in /proc/PID/status")?,
        })
    }
}

/// How long the threads of a process that live have had a CPU, to the nanosecond: what is in [`ProcessUse::cpu`] is in ticks, of which a short
/// measurement has few. Interrupts that came meanwhile are in it.
///
/// # Errors
/// Where the process is gone, or the kernel does not tell (it is built without `CONFIG_SCHED_INFO`).
pub fn time_on_cpu(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&path).with_context(|| format!("read {path}"))?;
    let mut sum = Duration::ZERO;
    for thread in threads {
        let path = thread?.path().join("schedstat");
        // A thread that has ended meanwhile is no error.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        sum += on_cpu(&text).with_context(|| format!("no time in {}", path.display()))?;
    }
    ensure!(!sum.is_zero(), "{path} does not tell how long its threads ran");
    Ok(sum)
}

/// The first number of `/proc/PID/task/TID/schedstat`.
fn on_cpu(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The most memory that a process ever had resident, in bytes, without its view of BPF maps: that is the maps' own memory.
///
/// # Errors
/// Where the process is gone.
pub fn own_peak_bytes(pid: u32) -> Result<u64> {
    let peak = kib(&read(pid, "status")?, "VmHWM:").context("no VmHWM in /proc/PID/status")?;
    Ok(peak.saturating_sub(maps_kib(&read(pid, "smaps")?)) << 10)
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("read {path}"))
}

/// What of BPF maps is resident. In `/proc/PID/smaps` (proc(5)) a line that ends with the file's name comes before the figures of each mapping.
fn maps_kib(smaps: &str) -> u64 {
    let (mut is_map, mut sum) = (false, 0);
    for line in smaps.lines() {
        match line.strip_prefix("Rss:") {
            Some(_) if is_map => sum += kib(line, "Rss:").unwrap_or(0),
            None if line.contains('-') => is_map = line.ends_with(" anon_inode:bpf-map"),
            _ => {}
        }
    }
    sum
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
    use super::{cpu, kib, maps_kib, on_cpu};

    #[test]
    fn times_stand_behind_a_name_with_spaces() {
        let stat = "17 (a ) name) S 1 17 17 0 -1 4194304 85 0 0 0 30 20 0 0 20 0 1 0 5 1 2";
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!(cpu(stat).map(|cpu| cpu.as_millis()), Some(u128::from(50 * 1000 / ticks)));
    }

    #[test]
    fn the_time_on_a_cpu_stands_first() {
        assert_eq!(on_cpu("3013592 15409 7\n").map(|time| time.as_nanos()), Some(3_013_592));
        assert_eq!(on_cpu(""), None);
    }

    #[test]
    fn a_line_of_the_status_is_found_by_its_name() {
        assert_eq!(kib("VmPeak:\t  99 kB\nVmRSS:\t    1234 kB\n", "VmRSS:"), Some(1234));
        assert_eq!(kib("", "VmRSS:"), None);
    }

    #[test]
    fn what_is_resident_of_maps_is_not_the_process_s_own() {
        let mapping = |name: &str| {
            format!("7f00-7f10 rw-s 0000 00:0e 1054  {name}\nSize: 99 kB\nRss:  30 kB\nPss: 7 kB\n")
        };
        let smaps =
            [mapping("anon_inode:bpf-map"), mapping("/usr/lib/a-b.so"), mapping("anon_inode:bpf-map")]
                .concat();
        assert_eq!(maps_kib(&smaps), 60);
    }
}
