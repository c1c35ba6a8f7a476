//! `cargo xtask build`: the release build of `hoptrace`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use hoptrace_tests::lab::Folders;

use crate::process;
use crate::progress::{heading, step};

pub(crate) fn run() -> Result<ExitCode> {
    let binary = release(&Folders::find()?)?;
    step(&binary.display().to_string());
    Ok(ExitCode::SUCCESS)
}

/// Builds and returns the program.
pub(crate) fn release(folders: &Folders) -> Result<PathBuf> {
    heading("build");
    process::run(
        process::cargo(&["build", "--quiet", "--release", "--package", "hoptrace", "--bin", "hoptrace"])
            .current_dir(&folders.workspace_root),
    )?;
    Ok(folders.target_dir.join("release/hoptrace"))
}

/// Builds the library's examples, beside the program.
pub(crate) fn examples(folders: &Folders) -> Result<()> {
    process::run(
        process::cargo(&["build", "--quiet", "--release", "--package", "hoptrace", "--examples"])
            .current_dir(&folders.workspace_root),
    )
}
