//! Modules that must be loaded before any file system is there: in which order, and their bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::exec::command;

/// The files of the `wanted` modules and of all they need, each behind what it needs. What is built in, or what this
/// kernel does not have at all, is left out.
///
/// # Errors
/// Where `modules_dir` has no `modules.dep` (depmod(8)).
pub(crate) fn boot_order(modules_dir: &Path, wanted: &[&str]) -> Result<Vec<PathBuf>> {
    let path = modules_dir.join("modules.dep");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(order(&text, wanted).into_iter().map(|module| modules_dir.join(module)).collect())
}

/// `modules.dep`: `FILE: NEEDED…`, what is needed listed with all its own needs, the first to load last.
fn order<'a>(dependencies: &'a str, wanted: &[&str]) -> Vec<&'a str> {
    let needs: BTreeMap<&str, (&str, &str)> = dependencies
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(file, needed)| (stem(file), (file, needed)))
        .collect();
    let mut files: Vec<&str> = Vec::new();
    for (file, needed) in wanted.iter().filter_map(|name| needs.get(name)) {
        for file in needed.split_whitespace().rev().chain([*file]) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    files
}

fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split(".ko").next().unwrap_or(name)
}

/// A module's bytes, whatever it is compressed with. `path` may lack the suffix of the compression.
///
/// # Errors
/// Where there is no such file or its compression is unknown.
pub(crate) fn read_module(path: &Path) -> Result<Vec<u8>> {
    let stem = path.with_file_name(stem(&path.to_string_lossy()));
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
    bail!("there is no module {}", stem.display())
}

#[cfg(test)]
mod tests {
    use super::order;

    const DEPENDENCIES: &str = "kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
";

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let files = order(DEPENDENCIES, &["virtio_pci", "virtio_blk", "ext4"]);
        let names: Vec<_> = files.iter().map(|file| super::stem(file)).collect();
        assert_eq!(names, ["virtio_ring", "virtio", "virtio_pci", "virtio_blk"]);
        assert!(files.last().is_some_and(|file| file.ends_with(".ko.xz")));
    }
}
