//! Running code in the network namespaces of the wire and of guests that are namespaces.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Guest, Lab};
use crate::exec;

/// Moves the calling thread, and nothing else, into a network namespace.
pub(crate) fn enter(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("enter network namespace {}", path.display()))
}

/// Runs `work` on a thread of its own in a network namespace.
fn within<T: Send>(path: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(path)?;
            work()
        });
        thread.join().map_err(|_| anyhow!("a thread in {} panicked", path.display()))?
    })
}

impl Lab {
    /// Runs `work` on a thread of its own in the wire's network namespace; sockets it makes stay there.
    ///
    /// # Errors
    /// Where the namespace cannot be entered, or `work` fails or panics.
    pub fn in_wire<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        within(&self.wire.netns_path(), work)
    }
}

impl Guest {
    /// Where the guest's network namespace is, if it is one.
    ///
    /// # Errors
    /// Where the guest is a VM.
    pub fn netns_path(&self) -> Result<PathBuf> {
        let netns = self.netns.as_deref();
        let netns = netns.with_context(|| format!("{} is a VM, not a namespace", self.domain))?;
        Ok(Path::new("/run/netns").join(netns))
    }

    /// Runs `work` on a thread of its own in the guest's network namespace; sockets it makes stay there.
    ///
    /// # Errors
    /// Where the guest is a VM, or as [`Lab::in_wire`].
    pub fn in_netns<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        within(&self.netns_path()?, work)
    }

    /// A command that will run in the guest's network namespace.
    ///
    /// # Errors
    /// Where the guest is a VM.
    pub fn command<I, S>(&self, program: &str, args: I) -> Result<Command>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        let mut command = exec::command("nsenter");
        command.arg(format!("--net={}", self.netns_path()?.display())).arg("--").arg(program).args(args);
        Ok(command)
    }
}
