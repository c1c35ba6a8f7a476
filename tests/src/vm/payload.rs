//! What a run carries into its VM: programs, and what to do with them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::disk;

/// What `vm-init` runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment beside what `vm-init` sets.
    pub environment: Vec<(String, String)>,
}

/// Writes the disk: the files side by side, and the job.
pub(super) fn write(path: &Path, job: &Job, files: &[PathBuf]) -> Result<()> {
    let folder = path.with_extension("tree");
    fs::create_dir_all(&folder)?;
    for file in files {
        let target = folder.join(file.file_name().unwrap_or_default());
        // A link where that is possible: nothing is copied twice.
        if fs::hard_link(file, &target).is_err() {
            fs::copy(file, &target).with_context(|| format!("copy {}", file.display()))?;
        }
    }
    fs::write(folder.join("job.json"), serde_json::to_string(job)?)?;
    disk::build(&folder, path, 64)?;
    fs::remove_dir_all(&folder).context("remove the payload's folder")
}
