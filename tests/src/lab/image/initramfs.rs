//! The guest's root file system, in memory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::kernel::Kernel;
use crate::cpio::Cpio;
use crate::fingerprint::fingerprint;

const INIT: &str = include_str!("init.sh");
/// A statically linked busybox, where distributions put it.
const BUSYBOX: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];

/// Writes the initramfs and returns its path. The name carries a hash of the contents: a running guest's file is never
/// written to.
pub(super) fn build(cache_dir: &Path, kernel: &Kernel, agent: &Path) -> Result<PathBuf> {
    let mut archive = Cpio::default();
    for folder in ["bin", "dev", "modules", "proc", "sys"] {
        archive.directory(folder);
    }
    archive.device("dev/console", 5, 1);
    archive.device("dev/null", 1, 3);
    archive.executable("bin/busybox", &read_busybox()?);
    let mut names = Vec::new();
    for (name, bytes) in &kernel.modules {
        archive.executable(&format!("modules/{name}"), bytes);
        names.push(name.as_str());
    }
    archive.executable("init", INIT.replace("@MODULES@", &names.join(" ")).as_bytes());
    archive.executable("agent", &read(agent)?);
    let bytes = archive.finish();

    let path = cache_dir.join(format!("initramfs-{:016x}.cpio", fingerprint(&bytes)));
    if !path.exists() {
        let scratch = path.with_extension(std::process::id().to_string());
        fs::write(&scratch, bytes).with_context(|| format!("write {}", scratch.display()))?;
        fs::rename(&scratch, &path)?;
    }
    Ok(path)
}

fn read_busybox() -> Result<Vec<u8>> {
    let Some(path) = BUSYBOX.iter().map(Path::new).find(|path| path.exists()) else {
        bail!("no busybox found; the guest needs package busybox-static");
    };
    read(path)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}
