//! The first root file system of a test VM: `vm-init` and the modules it needs to reach the disks.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::contract::BOOT_MODULES;
use super::kernel::Kernel;
use crate::cpio::Cpio;

/// Writes it to `path`.
pub(super) fn write(path: &Path, kernel: &Kernel, init: &Path) -> Result<()> {
    let mut archive = Cpio::default();
    for folder in ["dev", "modules", "root"] {
        archive.directory(folder);
    }
    archive.device("dev/console", 5, 1);
    archive.device("dev/null", 1, 3);
    let mut order = String::new();
    for (name, bytes) in &kernel.boot_modules {
        archive.executable(&format!("modules/{name}"), bytes);
        order.push_str(name);
        order.push('\n');
    }
    archive.executable(BOOT_MODULES.trim_start_matches('/'), order.as_bytes());
    let bytes = fs::read(init).with_context(|| format!("read {}", init.display()))?;
    archive.executable("init", &bytes);
    fs::write(path, archive.finish()).with_context(|| format!("write {}", path.display()))
}
