//! The machine the figures were measured on.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::mitigations::Mitigations;

/// As it stands in the JSON.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) cpu_model: String,
    pub(crate) cores: usize,
    /// Of the first CPU, where there is frequency scaling.
    pub(crate) governor: Option<String>,
    #[serde(flatten)]
    mitigations: Mitigations,
    /// Of one minute, before the benchmark: what else the machine was busy with.
    pub(crate) load_before: f64,
}

impl Machine {
    pub(crate) fn describe() -> Result<Self> {
        let cpus = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
        let load = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
        Ok(Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cpu_model: cpu_model(&cpus),
            cores: std::thread::available_parallelism()?.get(),
            governor: fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .map(|governor| governor.trim().to_owned())
                .ok(),
            mitigations: Mitigations::read(),
            load_before: load.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0),
        })
    }

    /// In one line.
    pub(crate) fn in_short(&self) -> String {
        let Self { kernel, cpu_model, cores, mitigations, load_before, .. } = self;
        let mitigations = mitigations.in_short();
        format!("{cpu_model}, {cores} CPUs, kernel {kernel}; {mitigations}; load before: {load_before}")
    }
}

/// What `/proc/cpuinfo` calls the first CPU. Hypervisors tend to take the name's number away: the model's own is told, too.
pub(crate) fn cpu_model(cpus: &str) -> String {
    let field = |name: &str| {
        let line = cpus.lines().find(|line| line.split(':').next().map(str::trim) == Some(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    };
    let name = field("model name").unwrap_or("unknown");
    match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name.to_owned(),
    }
}

/// The time, in UTC, as in RFC 3339.
pub(crate) fn date() -> Result<String> {
    let date = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().context("run date")?;
    Ok(String::from_utf8_lossy(&date.stdout).trim().to_owned())
}
