//! The guest: Debian's cloud kernel and an initramfs with busybox and the guest agent.

mod initramfs;
mod kernel;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Progress;
use crate::static_binary;

/// The program that every guest runs.
pub(crate) const AGENT: &str = "guest-agent";

/// What QEMU boots.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GuestImage {
    /// Kernel image.
    pub kernel: PathBuf,
    /// Uncompressed initramfs.
    pub initramfs: PathBuf,
}

impl GuestImage {
    /// Builds the image, or takes from `cache_dir` what is still good. Needs the network where no kernel is cached.
    ///
    /// # Errors
    /// Where the kernel package cannot be fetched or unpacked, or the agent does not build.
    pub fn ensure(workspace_root: &Path, target_dir: &Path, progress: Progress<'_>) -> Result<Self> {
        let cache_dir = target_dir.join("lab-cache");
        std::fs::create_dir_all(&cache_dir)?;
        let kernel = kernel::ensure(target_dir, progress)?;
        let agent = static_binary::build(workspace_root, target_dir, AGENT)?;
        let initramfs = initramfs::build(&cache_dir, &kernel, &agent)?;
        Ok(Self { kernel: kernel.image, initramfs })
    }
}
