//! The kernel of a test VM.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};

use super::{disk, tidy};
use crate::exec::run;
use crate::fingerprint::fingerprint;
use crate::kernels::{Unpacked, boot_order, read_module};
use crate::lab::Progress;

/// What must be loaded before the disks can be mounted. Which of it is built in differs between kernels.
const BOOT_MODULES: [&str; 5] = ["virtio_pci", "virtio_blk", "crc32c_generic", "crc32c_intel", "ext4"];

/// The modules, and the disk made of them.
const ROOM_MIB: u64 = 512;

/// A series of Debian's kernels that the tests run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// 6.1, Debian 12's own: without TCX.
    V6_1,
    /// 6.12, Debian 13's own, also in Debian 12's security archive.
    V6_12,
}

impl Series {
    /// Every one of them.
    pub const ALL: [Self; 2] = [Self::V6_12, Self::V6_1];

    /// As users name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// Meta packages that name it, the preferred one first.
    const fn meta_packages(self) -> &'static [&'static str] {
        match self {
            // The plain name is the release's own kernel: on Debian 12 that is 6.1.
            Self::V6_1 => &["linux-image-6.1-cloud-amd64", "linux-image-cloud-amd64"],
            Self::V6_12 => &["linux-image-6.12-cloud-amd64"],
        }
    }
}

/// Which kernel to boot.
#[derive(Debug, Clone)]
pub enum KernelChoice {
    /// The newest of a Debian series.
    Debian(Series),
    /// Any other.
    Own {
        /// Image to boot.
        image: PathBuf,
        /// Its modules: the folder that is named after the release.
        modules_dir: PathBuf,
    },
}

/// A kernel ready to boot.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    /// Disk with its modules; to be mounted on `/lib/modules`.
    pub(super) modules_disk: PathBuf,
    /// Names and bytes of modules to load first, in order.
    pub(super) boot_modules: Vec<(String, Vec<u8>)>,
}

impl KernelChoice {
    /// The kernel with its disk of modules, from the cache where they are there.
    pub(super) fn ensure(
        &self,
        target_dir: &Path,
        cache_dir: &Path,
        progress: Progress<'_>,
    ) -> Result<Kernel> {
        let (name, image, modules_dir) = match self {
            Self::Debian(series) => {
                let Unpacked { name, image, modules_dir } =
                    Unpacked::ensure(target_dir, series.meta_packages(), progress)?;
                (name, image, modules_dir)
            }
            Self::Own { image, modules_dir } => {
                (own_name(modules_dir)?, image.clone(), fs::canonicalize(modules_dir)?)
            }
        };
        let folder = cache_dir.join(format!("modules-{name}"));
        let release = modules_dir.file_name().context("the folder of modules has no name")?;
        if !folder.exists() {
            tidy::ensure_room(cache_dir, ROOM_MIB, "the disk of modules")?;
            progress(&format!("building the disk of modules of {}", release.to_string_lossy()));
            build(&modules_dir, &folder)?;
        }
        let boot = boot_order(&folder.join("boot"), &BOOT_MODULES)?;
        Ok(Kernel { image, modules_disk: folder.join("disk.ext4"), boot_modules: read(&boot)? })
    }
}

/// Makes `folder`: the disk, and beside it the modules to boot with and their dependencies.
fn build(modules_dir: &Path, folder: &Path) -> Result<()> {
    let scratch = folder.with_extension(std::process::id().to_string());
    drop(fs::remove_dir_all(&scratch));
    let tree = scratch.join("tree/lib/modules");
    fs::create_dir_all(&tree)?;
    let release = modules_dir.file_name().context("the folder of modules has no name")?.to_string_lossy();
    // Debian links `build` and `source` to places that are not there.
    run("cp", &["--archive", &modules_dir.to_string_lossy(), &tree.to_string_lossy()])?;
    for link in ["build", "source"] {
        drop(fs::remove_file(tree.join(&*release).join(link)));
    }
    run("depmod", &["--basedir", &scratch.join("tree").to_string_lossy(), &release])?;
    disk::build(&tree, &scratch.join("disk.ext4"), 0)?;
    keep_boot_modules(&tree.join(&*release), &scratch.join("boot"))?;
    fs::remove_dir_all(scratch.join("tree"))?;
    fs::rename(&scratch, folder).with_context(|| format!("move to {}", folder.display()))
}

/// `modules.dep` and the few modules the initramfs carries, so that the tree need not stay.
fn keep_boot_modules(tree: &Path, boot: &Path) -> Result<()> {
    for module in boot_order(tree, &BOOT_MODULES)? {
        let target = boot.join(module.strip_prefix(tree)?);
        fs::create_dir_all(target.parent().context("a module without a folder")?)?;
        fs::copy(&module, &target).with_context(|| format!("copy {}", module.display()))?;
    }
    fs::create_dir_all(boot)?;
    fs::copy(tree.join("modules.dep"), boot.join("modules.dep")).context("copy modules.dep").map(drop)
}

fn read(modules: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>> {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    modules.iter().map(|path| Ok((name(path), read_module(path)?))).collect()
}

/// Changes when the modules were built anew.
fn own_name(modules_dir: &Path) -> Result<String> {
    let of = modules_dir.join("modules.order");
    let built = fs::metadata(&of)
        .and_then(|it| it.modified())
        .with_context(|| format!("look at {}", of.display()))?;
    let at = built.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let place = fs::canonicalize(modules_dir)?;
    Ok(format!("own-{:016x}", fingerprint(format!("{} {at}", place.display()).as_bytes())))
}
