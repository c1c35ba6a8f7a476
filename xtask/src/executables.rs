//! Building tests and benchmarks without running them.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use hoptrace_tests::lab::Folders;

use crate::process;

/// Builds what cargo makes of `words`; gives name and file of each target of this `kind` (`test`, `bench`). cargo says
/// where they are, a JSON message per line.
pub(crate) fn build(folders: &Folders, words: &[&str], kind: &str) -> Result<Vec<(String, PathBuf)>> {
    let output = process::cargo(words)
        .args(["--no-run", "--quiet", "--message-format=json"])
        .current_dir(&folders.workspace_root)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run cargo {words:?}"))?;
    if !output.status.success() {
        bail!("cargo {words:?}: {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let built: Vec<_> = messages
        .filter(|message| message.pointer("/target/kind/0").and_then(|it| it.as_str()) == Some(kind))
        .filter_map(|message| {
            let name = message.pointer("/target/name")?.as_str()?.to_owned();
            Some((name, PathBuf::from(message.get("executable")?.as_str()?)))
        })
        .collect();
    if built.is_empty() {
        bail!("cargo {words:?} built nothing");
    }
    Ok(built)
}
