//! The end-to-end tests as programs, and where each runs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use hoptrace_tests::lab::Folders;
use hoptrace_tests::vm::Series;

use crate::executables;

/// Tests that run in the lab or on the kernel path, and in VMs alike.
const EVERYWHERE: [&str; 13] = [
    "beside",
    "causes",
    "copies",
    "drivers",
    "explain",
    "faults",
    "findings",
    "losses",
    "ordinary",
    "path_merging",
    "ports",
    "repeats",
    "xdp",
];

/// Of the tests that run in VMs, those whose subject is user space, or what the lab shows on this kernel, too: one VM each is enough where all VMs run.
const ON_ONE: [(&str, Series); 7] = [
    ("beside", Series::V6_1),
    ("explain", Series::V6_12),
    ("findings", Series::V6_12),
    ("ordinary", Series::V6_1),
    ("ports", Series::V6_1),
    ("repeats", Series::V6_12),
    ("vm_bonds", Series::V6_1),
];

/// A built file of `tests/tests`.
#[derive(Debug)]
pub(super) struct Binary {
    name: String,
    pub(super) path: PathBuf,
}

impl Binary {
    /// Whether it runs on this machine: it starts VMs itself.
    pub(super) fn is_for_host(&self) -> bool {
        self.name.starts_with("host_")
    }

    /// Whether it runs in the lab.
    pub(super) fn is_for_lab(&self) -> bool {
        !self.is_for_host() && !self.is_for_kernel_path() && !self.name.starts_with("vm_")
    }

    /// Whether it runs on the path that is all in the kernel.
    pub(super) fn is_for_kernel_path(&self) -> bool {
        self.name.starts_with("path_")
    }

    /// Whether it runs in test VMs.
    pub(super) fn is_for_vm(&self) -> bool {
        self.name.starts_with("vm_") || EVERYWHERE.contains(&self.name.as_str())
    }

    /// Whether it runs in the VM of this series, if each runs what one is enough for once.
    pub(super) fn is_shared_out_to(&self, series: Series) -> bool {
        self.is_for_vm() && ON_ONE.iter().all(|(name, only)| *name != self.name || *only == series)
    }
}

/// The name of a test program, without the hash that cargo adds.
pub(super) fn program_name(file: &Path) -> String {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    name.rsplit_once('-').map_or(&*name, |(name, _)| name).to_owned()
}

/// Builds the end-to-end tests.
pub(super) fn build(folders: &Folders) -> Result<Vec<Binary>> {
    let built = executables::build(folders, &["test", "--package", "hoptrace-tests", "--test", "*"], "test");
    let built = built.context("build the end-to-end tests")?;
    let mut binaries: Vec<_> = built.into_iter().map(|(name, path)| Binary { name, path }).collect();
    // cargo names them as they are done; what runs after what must not depend on that.
    binaries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(binaries)
}

#[cfg(test)]
mod tests {
    use super::{Binary, ON_ONE, Series};

    #[test]
    fn what_one_kernel_is_enough_for_runs_on_one_of_them() {
        let on = |name: &str| {
            let binary = Binary { name: name.into(), path: "x".into() };
            Series::ALL.into_iter().filter(|series| binary.is_shared_out_to(*series)).count()
        };
        assert_eq!(["faults", "vm_attach", "explain", "ports", "counts"].map(on), [2, 2, 1, 1, 0]);
        for (name, series) in ON_ONE {
            let binary = Binary { name: name.into(), path: "x".into() };
            assert!(binary.is_for_vm() && binary.is_shared_out_to(series), "{name}");
        }
    }

    #[test]
    fn the_name_says_where_a_test_runs() {
        let places = |name: &str| {
            let binary = Binary { name: name.into(), path: "x".into() };
            (binary.is_for_host(), binary.is_for_lab(), binary.is_for_vm())
        };
        assert_eq!(places("host_vm"), (true, false, false));
        let binary = Binary { name: "path_scale".into(), path: "x".into() };
        assert!(binary.is_for_kernel_path() && !binary.is_for_lab());
        assert_eq!(places("path_scale"), (false, false, false));
        assert_eq!(places("path_merging"), (false, false, true));
        assert_eq!(places("counts"), (false, true, false));
        assert_eq!(places("vm_datapath"), (false, false, true));
        assert_eq!(places("losses"), (false, true, true));
    }
}
