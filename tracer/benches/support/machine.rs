//! The machine the figures were measured on.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// As it stands in the JSON.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) cpu_model: String,
    pub(crate) cores: usize,
    /// Of the first CPU, where there is frequency scaling.
    pub(crate) governor: Option<String>,
    /// What the kernel does about each flaw of the CPU, as `/sys/devices/system/cpu/vulnerabilities` says.
    pub(crate) mitigations: BTreeMap<String, String>,
    /// Of one minute, before the benchmark: what else the machine was busy with.
    pub(crate) load_before: f64,
}

impl Machine {
    pub(crate) fn describe() -> Result<Self> {
        let cpus = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let load = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
        Ok(Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cpu_model: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            governor: fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .map(|governor| governor.trim().to_owned())
                .ok(),
            mitigations: mitigations(),
            load_before: load.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0),
        })
    }
}

/// Flaws the CPU does not have are left out.
fn mitigations() -> BTreeMap<String, String> {
    let folder = fs::read_dir("/sys/devices/system/cpu/vulnerabilities");
    let files = folder.into_iter().flatten().flatten();
    files
        .filter_map(|file| {
            let state = fs::read_to_string(file.path()).ok()?.trim().to_owned();
            (state != "Not affected").then(|| (file.file_name().to_string_lossy().into_owned(), state))
        })
        .collect()
}

/// The time, in UTC, as in RFC 3339.
pub(crate) fn date() -> Result<String> {
    let date = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().context("run date")?;
    Ok(String::from_utf8_lossy(&date.stdout).trim().to_owned())
}
