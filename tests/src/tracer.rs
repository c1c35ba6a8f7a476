//! `hoptrace` as a child process: started, waited for until it admits packets, and ended.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStderr, ChildStdout, ExitStatus, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::hoptrace;

/// The word its first line on stderr begins with once packets are admitted.
const READY: &str = "tracing ";

/// A running `hoptrace trace` or `hoptrace packets`.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<String>,
    /// How long it took from starting the program to its first word that packets are admitted.
    pub started_in: Duration,
    /// What it said before that.
    pub notes: Vec<String>,
}

/// How a tracer ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it said after it was ready.
    pub stderr: String,
}

impl Tracer {
    /// Starts `hoptrace` with these arguments and waits until it admits packets.
    ///
    /// # Errors
    /// When it ends before that; its words are in the error.
    pub fn start(args: &[&str]) -> Result<Self> {
        let began = Instant::now();
        let mut child = hoptrace(args)?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("run hoptrace")?;
        let mut stderr = BufReader::new(child.stderr.take().context("no stderr")?);
        let stdout = drain(child.stdout.take().context("no stdout")?);
        let mut notes = Vec::new();
        loop {
            let mut line = String::new();
            if stderr.read_line(&mut line)? == 0 {
                let status = child.wait()?;
                bail!("hoptrace {args:?} ended with {status} before it was ready: {notes:?}");
            }
            if line.starts_with(READY) {
                break;
            }
            notes.push(line.trim_end().to_owned());
        }
        let started_in = began.elapsed();
        Ok(Self { child, stdout, stderr: drain_text(stderr), started_in, notes })
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, signal).context("send a signal")
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn wait(mut self) -> Result<Ended> {
        let status = self.child.wait().context("wait for hoptrace")?;
        let stdout = self.stdout.join().ok().context("read its output")?;
        let stderr = self.stderr.join().ok().context("read its words")?;
        Ok(Ended { status, stdout, stderr })
    }

    /// Ends it with Ctrl-C's signal and gives its JSON report; its exit code must be 0.
    ///
    /// # Errors
    /// When it ends otherwise, or prints anything but one JSON object.
    pub fn finish(self) -> Result<Value> {
        self.signal(Signal::INT)?;
        let ended = self.wait()?;
        ensure!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
        serde_json::from_slice(&ended.stdout)
            .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&ended.stdout)))
    }
}

fn drain(mut stdout: ChildStdout) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read before an error is all there is.
        let _ = stdout.read_to_end(&mut bytes);
        bytes
    })
}

fn drain_text(mut stderr: BufReader<ChildStderr>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    })
}
