//! The machine the figures were measured on.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// As it stands in the JSON.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) cpu_model: String,
    pub(crate) cores: usize,
    /// UTC, as in RFC 3339.
    pub(crate) date: String,
    /// Of one minute, before the benchmark: what else the machine was busy with.
    pub(crate) load_before: f64,
}

impl Machine {
    pub(crate) fn describe() -> Result<Self> {
        let cpus = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let load = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
        let date = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().context("run date")?;
        Ok(Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cpu_model: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            date: String::from_utf8_lossy(&date.stdout).trim().to_owned(),
            load_before: load.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0),
        })
    }
}
