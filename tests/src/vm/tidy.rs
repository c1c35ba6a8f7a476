//! Room on the disk, and what interrupted runs have left there.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Consoles of ended runs that are kept, for whoever wants to know what went wrong.
const KEPT_CONSOLES: usize = 5;

/// Whether there is room for what is about to be built.
pub(super) fn ensure_room(folder: &Path, needed_mib: u64, what: &str) -> Result<()> {
    let found = rustix::fs::statvfs(folder).with_context(|| format!("look at {}", folder.display()))?;
    let free_mib = (found.f_bavail * found.f_frsize) >> 20;
    ensure!(
        free_mib >= needed_mib,
        "no room for {what}: it needs {needed_mib} MiB in {}, and {free_mib} MiB are free",
        folder.display()
    );
    Ok(())
}

/// Removes half-built things of processes that are gone: `NAME.PID`.
pub(super) fn remove_half_built(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let builder = path.extension().and_then(|pid| pid.to_str()?.parse::<u32>().ok());
        if builder.is_some_and(|pid| !is_running(pid)) {
            remove_tree(&path);
        }
    }
}

/// Removes the disks of runs whose process is gone, and all but the newest consoles.
pub(super) fn remove_old_runs(runs_dir: &Path) {
    let entries = fs::read_dir(runs_dir).into_iter().flatten().flatten();
    let mut ended: Vec<_> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let pid =
                name.to_str().and_then(|name| name.strip_prefix("run-")?.split('-').next()?.parse().ok());
            pid.is_some_and(|pid| !is_running(pid))
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    ended.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
    for (age, (_, folder)) in ended.iter().enumerate() {
        if age >= KEPT_CONSOLES {
            remove_tree(folder);
            continue;
        }
        for file in fs::read_dir(folder).into_iter().flatten().flatten() {
            if file.file_name() != "console.log" {
                remove_tree(&file.path());
            }
        }
    }
}

fn is_running(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Best effort: what stays costs disk space only. Never where something is mounted below: it would be emptied, too.
pub(super) fn remove_tree(path: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let Ok(real) = fs::canonicalize(path) else { return };
    let mut points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    if points.any(|point| Path::new(point).starts_with(&real)) {
        return;
    }
    drop(if real.is_dir() { fs::remove_dir_all(&real) } else { fs::remove_file(&real) });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No process has it: the largest id is smaller.
    const NOBODY: u32 = u32::MAX;

    #[test]
    fn only_what_nobody_builds_any_more_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let stale = file(&format!("userland.{NOBODY}"));
        let kept = [
            file(&format!("userland.{}", std::process::id())),
            file("userland-0123.ext4"),
            file("modules-6.1.9-1_amd64"),
        ];
        fs::create_dir_all(stale.join("usr")).unwrap();
        for path in &kept {
            fs::write(path, "").unwrap();
        }
        remove_half_built(folder.path());
        assert!(!stale.exists());
        assert!(kept.iter().all(|path| path.exists()));
    }

    #[test]
    fn consoles_of_the_last_runs_stay() {
        let folder = tempfile::tempdir().unwrap();
        let run = |number: u32| folder.path().join(format!("run-{}", NOBODY - number));
        for number in 0..7 {
            fs::create_dir(run(number)).unwrap();
            for name in ["console.log", "payload.ext4"] {
                fs::write(run(number).join(name), "").unwrap();
            }
        }
        remove_old_runs(folder.path());
        let consoles = (0..7).filter(|number| run(*number).join("console.log").exists()).count();
        let disks = (0..7).filter(|number| run(*number).join("payload.ext4").exists()).count();
        assert_eq!((consoles, disks), (KEPT_CONSOLES, 0));
    }

    #[test]
    fn too_little_room_is_told_before() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ensure_room(folder.path(), 0, "nothing").is_ok());
        let error = ensure_room(folder.path(), u64::MAX, "the world").unwrap_err().to_string();
        assert!(error.starts_with("no room for the world"), "{error}");
    }
}
