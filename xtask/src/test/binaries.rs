//! The end-to-end tests as programs, and where each runs.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use hoptrace_tests::lab::Folders;

use crate::process;

/// Tests that run in the lab and in VMs alike.
const EVERYWHERE: [&str; 1] = ["losses"];

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
        !self.is_for_host() && !self.name.starts_with("vm_")
    }

    /// Whether it runs in test VMs.
    pub(super) fn is_for_vm(&self) -> bool {
        self.name.starts_with("vm_") || EVERYWHERE.contains(&self.name.as_str())
    }
}

/// Builds the end-to-end tests; cargo says where they are, a JSON message per line.
pub(super) fn build(folders: &Folders) -> Result<Vec<Binary>> {
    let output = process::cargo(&["test", "--package", "hoptrace-tests", "--test", "*", "--no-run"])
        .args(["--quiet", "--message-format=json"])
        .current_dir(&folders.workspace_root)
        .stderr(Stdio::inherit())
        .output()
        .context("build the end-to-end tests")?;
    if !output.status.success() {
        bail!("the end-to-end tests do not build: {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let binaries: Vec<Binary> = messages
        .filter(|message| message.pointer("/target/kind/0").and_then(|kind| kind.as_str()) == Some("test"))
        .filter_map(|message| {
            let name = message.pointer("/target/name")?.as_str()?.to_owned();
            Some(Binary { name, path: PathBuf::from(message.get("executable")?.as_str()?) })
        })
        .collect();
    if binaries.is_empty() {
        bail!("cargo built no end-to-end tests");
    }
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
        assert_eq!(places("counts"), (false, true, false));
        assert_eq!(places("vm_datapath"), (false, false, true));
        assert_eq!(places("losses"), (false, true, true));
    }
}
