//! Debian's cloud kernel: fetched and unpacked, never installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::lab::Progress;
use crate::lab::exec::{command, finish, run};

/// Meta packages that name a kernel, the preferred one first.
const META_PACKAGES: [&str; 2] = ["linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64"];

/// Modules the guest loads, in order; the rest of virtio, IPv6 and the serial ports are built in.
const MODULES: [&str; 3] = ["net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net"];

/// An unpacked kernel.
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    /// Uncompressed modules in the order to load them.
    pub(super) modules: Vec<PathBuf>,
}

/// The cached kernel, or a new one.
pub(super) fn ensure(cache_dir: &Path, progress: Progress<'_>) -> Result<Kernel> {
    let folder = cache_dir.join("kernel");
    if !folder.exists() {
        let package = resolve()?;
        progress(&format!("fetching {package}"));
        // Unpacked beside its place and renamed into it, so that a folder that exists is complete.
        let scratch = cache_dir.join(format!("kernel.{}", std::process::id()));
        let made = unpack(&package, &scratch);
        if made.is_ok() && fs::rename(scratch.join("kernel"), &folder).is_err() && !folder.exists() {
            bail!("cannot move the unpacked kernel to {}", folder.display());
        }
        // Best effort: a leftover scratch folder costs disk space only.
        drop(fs::remove_dir_all(&scratch));
        made?;
    }
    let modules =
        MODULES.iter().map(|module| folder.join(file_name(module))).filter(|path| path.exists()).collect();
    Ok(Kernel { image: folder.join("vmlinuz"), modules })
}

/// The package that holds the newest kernel of the preferred series.
fn resolve() -> Result<String> {
    for meta in META_PACKAGES {
        let Ok(depends) = run("apt-cache", &["depends", "--important", meta]) else { continue };
        let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        if let Some(name) = names.into_iter().find(|name| name.starts_with("linux-image-")) {
            return Ok(name.to_owned());
        }
    }
    bail!(
        "apt knows none of {} (run `apt-get update`; the guest needs a Debian cloud kernel)",
        META_PACKAGES.join(", ")
    )
}

fn unpack(package: &str, scratch: &Path) -> Result<()> {
    drop(fs::remove_dir_all(scratch));
    let (tree, out) = (scratch.join("tree"), scratch.join("kernel"));
    fs::create_dir_all(&tree)?;
    fs::create_dir_all(&out)?;
    finish(command("apt-get").args(["download", "--quiet", package]).current_dir(scratch))?;
    let archive = find(scratch, |name| Path::new(name).extension().is_some_and(|suffix| suffix == "deb"))?;
    finish(command("dpkg-deb").arg("--extract").arg(&archive).arg(&tree))?;
    fs::rename(find(&tree.join("boot"), |name| name.starts_with("vmlinuz-"))?, out.join("vmlinuz"))?;
    let usr = tree.join("usr/lib/modules");
    let modules_dir = if usr.exists() { usr } else { tree.join("lib/modules") };
    let version_dir = find(&modules_dir, |_| true)?;
    let builtin = fs::read_to_string(version_dir.join("modules.builtin")).unwrap_or_default();
    for module in MODULES {
        if !builtin.contains(&format!("kernel/{module}.ko")) {
            fs::write(out.join(file_name(module)), read_module(&version_dir.join("kernel").join(module))?)?;
        }
    }
    Ok(())
}

/// A module's bytes, whatever it is compressed with.
fn read_module(stem: &Path) -> Result<Vec<u8>> {
    for (suffix, tool) in
        [("ko", None), ("ko.xz", Some("xz")), ("ko.zst", Some("zstd")), ("ko.gz", Some("gzip"))]
    {
        let path = stem.with_extension(suffix);
        if !path.exists() {
            continue;
        }
        let Some(tool) = tool else { return Ok(fs::read(path)?) };
        let output = command(tool).arg("-dc").arg(&path).output().with_context(|| format!("run {tool}"))?;
        if !output.status.success() {
            bail!("{tool} cannot unpack {}", path.display());
        }
        return Ok(output.stdout);
    }
    bail!("the kernel package has no module {}", stem.display())
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

fn file_name(module: &str) -> String {
    format!("{}.ko", module.rsplit('/').next().unwrap_or(module))
}
