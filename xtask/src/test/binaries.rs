//! The end-to-end tests as programs, and where each runs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use hoptrace_tests::lab::Folders;

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
    use super::Binary;

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
