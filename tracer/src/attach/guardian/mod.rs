//! A process that outlives the tracer, and removes the tracer's filters should it be killed.
//!
//! It is this program again, with the hidden command [`COMMAND`], and holds the other end of a socket pair. The tracer
//! tells it each interface before anything is attached there; when the socket ends, because the tracer has closed it or
//! is gone, the guardian removes what is left there of that tracer, and ends as well.

mod process;

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::clsact::{Footprint, Owner, Step};

pub use process::run as run_guardian;

/// The hidden command.
pub const COMMAND: &str = "guardian";
/// Its name in the list of processes.
const NAME: &str = "hoptrace-guardian";
/// The running program, also where its file was replaced meanwhile.
const PROGRAM: &str = "/proc/self/exe";
/// What it says once no signal for the tracer ends it any more.
const READY: &str = "ready";
/// A start takes milliseconds.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The tracer's end.
#[derive(Debug)]
pub(super) struct Guardian {
    child: Child,
    line: UnixStream,
    ready: bool,
}

impl Guardian {
    /// Starts it; it holds the owner's number, too.
    pub(super) fn start(owner: &Owner, footprint: &Footprint) -> io::Result<Self> {
        let (line, other_end) = UnixStream::pair()?;
        let child = Command::new(PROGRAM)
            .arg0(NAME)
            .arg(COMMAND)
            .current_dir("/")
            .stdin(OwnedFd::from(other_end))
            .stdout(owner.share()?)
            .stderr(Stdio::null())
            .spawn()?;
        let mut guardian = Self { child, line, ready: false };
        guardian.line.set_read_timeout(Some(START_LIMIT))?;
        guardian.line.write_all(footprint.to_string().as_bytes())?;
        Ok(guardian)
    }

    /// Nothing may be attached before.
    pub(super) fn wait_until_ready(&mut self) -> io::Result<()> {
        if self.ready {
            return Ok(());
        }
        let mut said = String::new();
        BufReader::new(&self.line).read_line(&mut said)?;
        match said.trim() {
            READY => self.ready = true,
            "" => return Err(io::Error::other("it ended at once")),
            words => return Err(io::Error::other(words.to_owned())),
        }
        Ok(())
    }

    /// Tells it of a place where something is about to be attached.
    pub(super) fn tell(&mut self, step: Step) -> io::Result<()> {
        self.line.write_all(step.to_string().as_bytes())
    }
}

impl Drop for Guardian {
    /// Lets it look for what is left, and waits until it has ended.
    fn drop(&mut self) {
        // Both fail only where it is gone.
        let _ = self.line.shutdown(Shutdown::Both);
        let _ = self.child.wait();
    }
}
