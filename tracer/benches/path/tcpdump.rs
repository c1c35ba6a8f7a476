//! `tcpdump` at an interface.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// One that captures the heads of all packets and writes them nowhere.
pub(crate) struct Tcpdump {
    child: Child,
    words: BufReader<ChildStderr>,
}

impl Tcpdump {
    /// It captures when this returns.
    pub(crate) fn start(interface: &str) -> Result<Self> {
        let mut child = Command::new("tcpdump")
            .args(["-i", interface, "-s", "96", "-w", "/dev/null"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("run tcpdump")?;
        let mut words = BufReader::new(child.stderr.take().context("no stderr")?);
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            ensure!(words.read_line(&mut line)? > 0, "tcpdump on {interface} ended before it listened");
        }
        Ok(Self { child, words })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it. It may have missed packets, and is no witness here: gives how many it says.
    pub(crate) fn end(mut self) -> Result<u64> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, Signal::INT).context("end tcpdump")?;
        let mut said = String::new();
        self.words.read_to_string(&mut said)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "tcpdump: {status}: {said}");
        missed(&said).with_context(|| format!("tcpdump does not say what it missed: {said}"))
    }
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        // Both do nothing where it was waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Packets for which there was no room, as its last words have it.
pub(crate) fn missed(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("dropped by kernel"))?;
    line.split_whitespace().next()?.parse().ok()
}
