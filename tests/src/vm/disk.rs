//! Disk images made of folders.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::exec::run;

/// An ext4 image at `path` with everything in `folder` and `spare_mib` to write to. A file that exists is complete.
pub(super) fn build(folder: &Path, path: &Path, spare_mib: u64) -> Result<()> {
    let said = run("du", &["--summarize", "--block-size=1M", &folder.to_string_lossy()])?;
    let used_mib: u64 = said.split_whitespace().next().and_then(|word| word.parse().ok()).context("du")?;
    let scratch = path.with_extension(std::process::id().to_string());
    let file = fs::File::create(&scratch).with_context(|| format!("create {}", scratch.display()))?;
    // A tenth more for what the file system needs itself; holes take no space on disk.
    file.set_len((used_mib + used_mib / 10 + 32 + spare_mib) << 20)?;
    drop(file);
    let (folder, image) = (folder.to_string_lossy(), scratch.to_string_lossy());
    run("mke2fs", &["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", &folder, &image])?;
    fs::rename(&scratch, path).with_context(|| format!("write {}", path.display()))
}
