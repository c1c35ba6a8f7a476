//! aya's loader, without what it reads of the kernel in vain.

use std::thread;

use aya::EbpfLoader;
use rustix::{
    io,
    process::chroot,
    thread::{UnshareFlags, unshare_unsafe},
};

/// A folder in which `/sys/kernel/btf/vmlinux` is not below.
const ELSEWHERE: &str = "/sys/kernel/btf";

/// A loader that relocates no program by the kernel's types: none of ours is. aya has no way to say so before it has read and parsed
/// all of them, which takes tens of milliseconds; so it is made in a thread that does not find them. Where a thread may not do that, they are parsed.
pub(super) fn loader() -> EbpfLoader<'static> {
    let made = thread::Builder::new().spawn(|| {
        // Nothing else is done in this thread, and no other one shares its root.
        let _parsed = look_elsewhere();
        EbpfLoader::new()
    });
    made.ok().and_then(|made| made.join().ok()).unwrap_or_default()
}

/// Gives this thread a root of its own, where the kernel's types are not.
fn look_elsewhere() -> io::Result<()> {
    // SAFETY: root and current folder are no longer this process's; the files stay shared, so that no descriptor changes its meaning.
    unsafe { unshare_unsafe(UnshareFlags::FS) }?;
    chroot(ELSEWHERE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_no_types_and_this_thread_still_finds_them() {
        let words = format!("{:?}", loader());
        assert!(words.contains("btf: None"), "this test needs root");
        assert!(std::path::Path::new(crate::kernel::KERNEL_BTF).exists());
    }
}
