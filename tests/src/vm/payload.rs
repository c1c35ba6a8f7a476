//! What a run carries into its VM: programs, and what to do with them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
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

/// Writes the disk: the files side by side, and the job. Two files of one name are refused, one file named twice is not.
pub(super) fn write(path: &Path, job: &Job, files: &[PathBuf]) -> Result<()> {
    let parent = path.parent().context("no folder for the disk")?;
    let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir_in(parent)?;
    for file in files {
        let target = folder.path().join(file.file_name().unwrap_or_default());
        if target.exists() {
            // Not written over: it may be a link to a file outside.
            ensure!(is_same(file, &target)?, "{}: another file to take along has this name", file.display());
            continue;
        }
        // A link where that is possible: nothing is copied twice.
        if fs::hard_link(file, &target).is_err() {
            fs::copy(file, &target).with_context(|| format!("copy {}", file.display()))?;
        }
    }
    fs::write(folder.path().join("job.json"), serde_json::to_string(job)?)?;
    disk::build(folder.path(), path, 64)?;
    folder.close().context("remove the payload's folder")
}

/// Whether both have the same content.
fn is_same(one: &Path, other: &Path) -> Result<bool> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("read {}", path.display()));
    Ok(read(one)? == read(other)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_named_twice_is_taken_once_and_stays_as_it_is() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (folder, other) = (folder.path(), folder.path().join("other"));
        fs::create_dir(&other)?;
        let (file, namesake) = (folder.join("file"), other.join("file"));
        fs::write(&file, "content")?;
        fs::write(&namesake, "something else")?;
        let job = Job { command: Vec::new(), environment: Vec::new() };
        write(&folder.join("disk"), &job, &[file.clone(), file.clone()])?;
        assert_eq!(fs::read_to_string(&file)?, "content");
        let error = write(&folder.join("disk"), &job, &[file.clone(), namesake.clone()]).unwrap_err();
        assert!(error.to_string().contains("has this name"), "{error}");
        assert_eq!(fs::read_to_string(&file)?, "content");
        Ok(())
    }
}
