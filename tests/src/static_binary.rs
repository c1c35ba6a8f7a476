//! Building programs that need no libraries: what runs in a guest, and the first process of a test VM.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::exec::{command, finish};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds `name`, a program of this crate, with cargo (a no-op when it is up to date) and returns the binary.
pub(crate) fn build(workspace_root: &Path, target_dir: &Path, name: &str) -> Result<PathBuf> {
    // Flags with an explicit target never reach host builds, so nothing else is built anew because of them.
    finish(
        command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
            .args(["build", "--quiet", "--release", "--package", "hoptrace-tests", "--bin", name])
            .args(["--target", TARGET])
            .arg("--target-dir")
            .arg(target_dir)
            .env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Cstrip=symbols")
            .current_dir(workspace_root),
    )
    .with_context(|| format!("build {name}"))?;
    Ok(target_dir.join(TARGET).join("release").join(name))
}
