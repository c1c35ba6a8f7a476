//! Fetching and unpacking kernel packages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::exec::{command, finish, finish_briefly, run};
use crate::lab::Progress;

/// Folder of the cache that holds unpacked kernels, one folder for each package.
const CACHE: &str = "kernels";

/// An unpacked kernel.
#[derive(Debug, Clone)]
pub(crate) struct Unpacked {
    /// Package, version and architecture: another kernel has another name.
    pub(crate) name: String,
    /// The image to boot.
    pub(crate) image: PathBuf,
    /// Its modules, in a folder named after the release.
    pub(crate) modules_dir: PathBuf,
}

impl Unpacked {
    /// The newest kernel that one of `meta_packages` names, the preferred one first; from the cache where it is there.
    ///
    /// # Errors
    /// Where apt knows none of the packages, or the package cannot be fetched or unpacked.
    pub(crate) fn ensure(target_dir: &Path, meta_packages: &[&str], progress: Progress<'_>) -> Result<Self> {
        let cache_dir = target_dir.join(CACHE);
        let name = match newest(&cache_dir, meta_packages, progress) {
            Ok(name) => name,
            // Without the archive an older kernel of the series is better than none.
            Err(error) => match cached(&cache_dir, meta_packages) {
                Some(name) => {
                    progress(&format!("{error:#}; going on with {name}"));
                    name
                }
                None => return Err(error),
            },
        };
        let folder = cache_dir.join(&name);
        Self::in_folder(name, &folder)
    }

    fn in_folder(name: String, folder: &Path) -> Result<Self> {
        let usr = folder.join("usr/lib/modules");
        let modules = if usr.exists() { usr } else { folder.join("lib/modules") };
        Ok(Self {
            name,
            image: find(&folder.join("boot"), |name| name.starts_with("vmlinuz-"))?,
            modules_dir: find(&modules, |_| true)?,
        })
    }
}

/// The name under which the newest kernel is in the cache by now.
fn newest(cache_dir: &Path, meta_packages: &[&str], progress: Progress<'_>) -> Result<String> {
    let package = resolve(meta_packages)?;
    let name = file_name(&package)?;
    if cache_dir.join(&name).exists() {
        return Ok(name);
    }
    progress(&format!("fetching {package}"));
    if let Err(error) = fetch(cache_dir, &package, &name) {
        // What the archive had when it was last asked may be gone by now.
        progress(&format!("{error:#}; asking the archive anew"));
        finish_briefly(command("apt-get").args(["update", "--quiet=2"])).context("fetch a kernel package")?;
        let package = resolve(meta_packages)?;
        let name = file_name(&package)?;
        fetch(cache_dir, &package, &name).context("fetch a kernel package")?;
        return Ok(name);
    }
    Ok(name)
}

/// Unpacks the package beside its place in the cache and renames it into it, so that a folder that exists is complete.
fn fetch(cache_dir: &Path, package: &str, name: &str) -> Result<()> {
    let folder = cache_dir.join(name);
    let scratch = cache_dir.join(format!("{name}.{}", std::process::id()));
    let made = unpack(package, &scratch);
    if made.is_ok() && fs::rename(scratch.join("tree"), &folder).is_err() && !folder.exists() {
        bail!("cannot move the unpacked kernel to {}", folder.display());
    }
    // Best effort: a leftover scratch folder costs disk space only.
    drop(fs::remove_dir_all(&scratch));
    made
}

/// The kernel of the preferred series that came into the cache last.
fn cached(cache_dir: &Path, meta_packages: &[&str]) -> Option<String> {
    meta_packages.iter().find_map(|meta| {
        let series = meta.strip_prefix("linux-image-")?.split('-').next()?;
        let prefix = format!("linux-image-{series}.");
        let complete = |name: &str| name.starts_with(&prefix) && name.ends_with("_amd64");
        let entries = fs::read_dir(cache_dir).ok()?.flatten();
        let found = entries.filter(|entry| entry.file_name().to_str().is_some_and(complete));
        let newest = found.max_by_key(|entry| entry.metadata().and_then(|data| data.modified()).ok())?;
        newest.file_name().into_string().ok()
    })
}

/// The package that holds the newest kernel of the preferred series.
fn resolve(meta_packages: &[&str]) -> Result<String> {
    for meta in meta_packages {
        let Ok(depends) = run("apt-cache", &["depends", "--important", meta]) else { continue };
        let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        if let Some(name) = names.into_iter().find(|name| name.starts_with("linux-image-")) {
            return Ok(name.to_owned());
        }
    }
    bail!("apt knows none of {} (run `apt-get update`)", meta_packages.join(", "))
}

/// Name and version of the archive apt would fetch: `'URI' NAME_VERSION_ARCHITECTURE.deb SIZE HASH`.
fn file_name(package: &str) -> Result<String> {
    let said = run("apt-get", &["download", "--print-uris", "--quiet=2", package])?;
    let name = said.split_whitespace().find_map(|word| word.strip_suffix(".deb"));
    name.map(str::to_owned).with_context(|| format!("apt-get does not name the archive of {package}: {said}"))
}

fn unpack(package: &str, scratch: &Path) -> Result<()> {
    drop(fs::remove_dir_all(scratch));
    let tree = scratch.join("tree");
    fs::create_dir_all(&tree)?;
    finish_briefly(command("apt-get").args(["download", "--quiet", package]).current_dir(scratch))?;
    let archive = find(scratch, |name| Path::new(name).extension().is_some_and(|suffix| suffix == "deb"))?;
    finish(command("dpkg-deb").arg("--extract").arg(&archive).arg(&tree)).map(drop)
}

fn find(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&wanted) {
            return Ok(entry.path());
        }
    }
    bail!("the kernel package has no such file in {}", folder.display())
}
