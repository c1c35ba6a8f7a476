//! The end-to-end tests on other kernels, in test VMs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use hoptrace_tests::lab::Folders;
use hoptrace_tests::vm::{KernelChoice, Machine, PAYLOAD_DIR, Series, Verdict};

use super::binaries::Binary;
use super::inside::INSIDE_COMMAND;
use crate::progress::{heading, result_line, step};
use crate::vm::{PathKind, in_vm};

/// How long the tests on one kernel may take before the VM is taken for hanging.
const TIME_LIMIT: Duration = Duration::from_mins(50);

/// What each VM runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// All tests that are for VMs.
    All,
    /// What does not depend on the kernel is shared out among them.
    One,
}

/// The kernels to test on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kernels {
    /// Debian 12's own kernel.
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13's own kernel.
    #[value(name = "6.12")]
    V6_12,
    /// Each of them.
    All,
}

impl Kernels {
    fn series(self) -> Vec<Series> {
        match self {
            Self::V6_1 => vec![Series::V6_1],
            Self::V6_12 => vec![Series::V6_12],
            Self::All => Series::ALL.to_vec(),
        }
    }
}

/// Runs the tests on all these kernels at once, each in a VM that seldom uses more than one CPU; whether all passed.
pub(super) fn run(
    kernels: Kernels,
    share: Share,
    folders: &Folders,
    hoptrace: &Path,
    binaries: &[Binary],
) -> Result<bool> {
    let files_for = |series: Series| -> Vec<PathBuf> {
        let is_wanted = |binary: &&Binary| match share {
            Share::All => binary.is_for_vm(),
            Share::One => binary.is_shared_out_to(series),
        };
        binaries.iter().filter(is_wanted).map(|binary| binary.path.clone()).collect()
    };
    let names: Vec<_> = kernels.series().iter().map(|series| series.name()).collect();
    heading(&format!("end-to-end tests on kernel {}", names.join(" and ")));
    // One after the other: they share what they are made of.
    let machines = kernels.series().into_iter().map(|series| {
        let machine = Machine::new(folders, &KernelChoice::Debian(series), &step)?.named(series.name());
        Ok((series, machine))
    });
    let machines = machines.collect::<Result<Vec<_>>>()?;
    let on = |series: Series, machine: &Machine| {
        let started = Instant::now();
        let verdict = on_machine(machine, folders, hoptrace, &files_for(series))?;
        let word = if verdict == Verdict::Exited(0) { "passed" } else { "FAILED" };
        let (name, took_s) = (series.name(), started.elapsed().as_secs_f32());
        result_line(&format!("kernel {name}: {word} in {took_s:.0} s: {verdict}"));
        anyhow::Ok(verdict == Verdict::Exited(0))
    };
    std::thread::scope(|scope| {
        let running: Vec<_> =
            machines.iter().map(|(series, machine)| scope.spawn(|| on(*series, machine))).collect();
        let mut passed = true;
        for thread in running {
            passed &= thread.join().map_err(|_| anyhow!("the thread of a VM panicked"))??;
        }
        Ok(passed)
    })
}

fn on_machine(machine: &Machine, folders: &Folders, hoptrace: &Path, files: &[PathBuf]) -> Result<Verdict> {
    let inside =
        |file: &Path| format!("{PAYLOAD_DIR}/{}", file.file_name().unwrap_or_default().to_string_lossy());
    let mut command = vec![format!("{PAYLOAD_DIR}/xtask"), INSIDE_COMMAND.to_owned(), inside(hoptrace)];
    command.extend(files.iter().map(|file| inside(file)));
    in_vm(machine, folders, hoptrace, Some(PathKind::Guests), command, files, TIME_LIMIT)
}
