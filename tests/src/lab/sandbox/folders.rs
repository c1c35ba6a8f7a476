//! Where a lab keeps what must be on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

/// The workspace, its target folder, and what is below it.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Top of the workspace.
    pub workspace_root: PathBuf,
    /// Where cargo puts what it builds.
    pub target_dir: PathBuf,
}

impl Folders {
    /// Finds the workspace from the folder cargo runs in, or else the current one.
    ///
    /// # Errors
    /// Where no folder above holds a workspace.
    pub fn find() -> Result<Self> {
        let start = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(std::env::current_dir, |dir| Ok(dir.into()))?;
        let is_root = |dir: &&Path| {
            fs::read_to_string(dir.join("Cargo.toml")).is_ok_and(|manifest| manifest.contains("[workspace]"))
        };
        let root = start.ancestors().find(is_root).context("not inside the hoptrace workspace")?;
        let target_dir = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => std::path::absolute(dir)?,
            None => root.join("target"),
        };
        Ok(Self { workspace_root: root.into(), target_dir })
    }

    /// Folder of all labs.
    #[must_use]
    pub fn lab_dir(&self) -> PathBuf {
        self.target_dir.join("lab")
    }

    /// A new folder for one run; its name carries our process id. Removes those of runs whose process is gone, except
    /// the newest few, which may be wanted to find out what went wrong.
    pub(super) fn new_run(&self) -> Result<PathBuf> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let lab_dir = self.lab_dir();
        fs::create_dir_all(&lab_dir)?;
        prune(&lab_dir);
        let folder =
            lab_dir.join(format!("run-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        // A leftover of an earlier process with our id.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("log")).with_context(|| format!("create {}", folder.display()))?;
        Ok(folder)
    }
}

const KEPT_FAILED_RUNS: usize = 3;

fn prune(lab_dir: &Path) {
    let Ok(entries) = fs::read_dir(lab_dir) else { return };
    let mut dead: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix("run-")?.split('-').next());
            pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    dead.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
    for (_, path) in dead.into_iter().skip(KEPT_FAILED_RUNS) {
        // Best effort: another lab may be pruning the same folder.
        drop(fs::remove_dir_all(path));
    }
}
