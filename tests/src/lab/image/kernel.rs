//! The guests' kernel, and the modules their initramfs needs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::kernels::{Unpacked, read_module};
use crate::lab::Progress;

/// Meta packages that name a kernel, the preferred one first.
const META_PACKAGES: [&str; 2] = ["linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64"];

/// Modules the guest loads, in order; the rest of virtio, IPv6 and the serial ports are built in.
const MODULES: [&str; 3] = ["net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net"];

/// What a guest needs of a kernel.
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    /// Names and bytes of modules in the order to load them.
    pub(super) modules: Vec<(String, Vec<u8>)>,
}

/// The cached kernel, or a new one.
pub(super) fn ensure(target_dir: &Path, progress: Progress<'_>) -> Result<Kernel> {
    let Unpacked { image, modules_dir, .. } = Unpacked::ensure(target_dir, &META_PACKAGES, progress)?;
    let builtin = std::fs::read_to_string(modules_dir.join("modules.builtin")).unwrap_or_default();
    let modules = MODULES
        .iter()
        .map(|module| format!("kernel/{module}.ko"))
        .filter(|module| !builtin.contains(module.as_str()))
        .map(|module| {
            let path = modules_dir.join(&module);
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, read_module(&path)?))
        })
        .collect::<Result<_>>()
        .context("the guest's kernel")?;
    Ok(Kernel { image, modules })
}
