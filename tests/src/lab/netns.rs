//! Running code in the wire's network namespace.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Lab;

/// Moves the calling thread, and nothing else, into a network namespace.
pub(crate) fn enter(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("enter network namespace {}", path.display()))
}

impl Lab {
    /// Runs `work` on a thread of its own in the wire's network namespace; sockets it makes stay there.
    ///
    /// # Errors
    /// Where the namespace cannot be entered, or `work` fails or panics.
    pub fn in_wire<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = self.wire.netns_path();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&path)?;
                work()
            });
            thread.join().map_err(|_| anyhow!("a thread in the wire namespace panicked"))?
        })
    }
}
