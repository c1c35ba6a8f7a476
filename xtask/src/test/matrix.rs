//! The end-to-end tests on other kernels, in test VMs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use hoptrace_tests::lab::Folders;
use hoptrace_tests::vm::{KernelChoice, Machine, PAYLOAD_DIR, Series, Verdict};

use super::binaries::Binary;
use super::inside::INSIDE_COMMAND;
use crate::progress::{heading, result_line, step};
use crate::vm::{PathKind, in_vm};

/// How long the tests on one kernel may take before the VM is taken for hanging.
const TIME_LIMIT: Duration = Duration::from_mins(25);

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

/// Runs the tests on each kernel, also after one has failed; whether all passed.
pub(super) fn run(kernels: Kernels, folders: &Folders, hoptrace: &Path, binaries: &[Binary]) -> Result<bool> {
    let files: Vec<PathBuf> =
        binaries.iter().filter(|binary| binary.is_for_vm()).map(|binary| binary.path.clone()).collect();
    let inside =
        |file: &Path| format!("{PAYLOAD_DIR}/{}", file.file_name().unwrap_or_default().to_string_lossy());
    let mut passed = true;
    for series in kernels.series() {
        heading(&format!("end-to-end tests on kernel {}", series.name()));
        let started = Instant::now();
        let machine = Machine::new(folders, &KernelChoice::Debian(series), &step)?;
        let mut command = vec![format!("{PAYLOAD_DIR}/xtask"), INSIDE_COMMAND.to_owned(), inside(hoptrace)];
        command.extend(files.iter().map(|file| inside(file)));
        let verdict =
            in_vm(&machine, folders, hoptrace, Some(PathKind::Guests), command, &files, TIME_LIMIT)?;
        let word = if verdict == Verdict::Exited(0) { "passed" } else { "FAILED" };
        let name = series.name();
        result_line(&format!("kernel {name}: {word} in {:.0} s: {verdict}", started.elapsed().as_secs_f32()));
        passed &= verdict == Verdict::Exited(0);
    }
    Ok(passed)
}
