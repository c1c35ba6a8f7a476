//! Building the guest agent: static, because the guest has no libraries.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::lab::exec::{command, finish};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the agent with cargo (a no-op when it is up to date) and returns the binary.
pub(super) fn build(workspace_root: &Path, target_dir: &Path) -> Result<PathBuf> {
    // Flags with an explicit target never reach host builds, so nothing else is built anew because of them.
    finish(
        command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
            .args(["build", "--quiet", "--release", "--package", "hoptrace-tests", "--bin", "guest-agent"])
            .args(["--target", TARGET])
            .arg("--target-dir")
            .arg(target_dir)
            .env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Cstrip=symbols")
            .current_dir(workspace_root),
    )
    .context("build the guest agent")?;
    Ok(target_dir.join(TARGET).join("release/guest-agent"))
}
