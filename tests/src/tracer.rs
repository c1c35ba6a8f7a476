//! `hoptrace` as a child process: started, waited for until it admits packets, and ended.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    hoptrace,
    report::{DirectionDrops, DropsReport, OnCpu, Report},
};

/// What stands in the line on stderr that says that packets are admitted.
const READY: &str = ", ready after ";

/// The limit that Linux sets (`fs.pipe-max-size`) unless told otherwise.
const PIPE_BYTES: usize = 1 << 20;

/// A running `hoptrace trace` or `hoptrace packets`.
#[derive(Debug)]
pub struct Tracer {
    child: Running,
    stdout: JoinHandle<Printed>,
    stderr: JoinHandle<String>,
    /// How long it took from starting the program to its first word that packets are admitted.
    pub started_in: Duration,
    /// What it said before that.
    pub notes: Vec<String>,
}

/// Killed when a test fails before it has ended it: others would meet its programs.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both do nothing where it was waited for.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// How a tracer ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed, unless it was started with [`Tracer::start_counting`].
    pub stdout: Vec<u8>,
    /// How many lines it printed, if it was.
    pub lines: u64,
    /// What it said after it was ready.
    pub stderr: String,
}

impl Tracer {
    /// Starts `hoptrace` with these arguments and waits until it admits packets.
    ///
    /// # Errors
    /// When it ends before that; its words are in the error.
    pub fn start(args: &[&str]) -> Result<Self> {
        Self::start_with(hoptrace(args)?, true)
    }

    /// Like [`Tracer::start`], of the `hoptrace` that `program` is.
    ///
    /// # Errors
    /// As [`Tracer::start`].
    pub fn start_as(program: &Path, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(args);
        Self::start_with(command, true)
    }

    /// Like [`Tracer::start`]; what it prints is counted in lines and not kept.
    ///
    /// # Errors
    /// As [`Tracer::start`].
    pub fn start_counting(args: &[&str]) -> Result<Self> {
        Self::start_with(hoptrace(args)?, false)
    }

    fn start_with(mut command: Command, keep: bool) -> Result<Self> {
        let began = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("run hoptrace")?;
        let mut running = Running(child);
        let child = &mut running.0;
        let mut stderr = BufReader::new(child.stderr.take().context("no stderr")?);
        let stdout = child.stdout.take().context("no stdout")?;
        let stdout = if keep { drain(stdout) } else { count(stdout)? };
        let mut notes = Vec::new();
        loop {
            let mut line = String::new();
            if stderr.read_line(&mut line)? == 0 {
                let status = child.wait()?;
                bail!("{command:?} ended with {status} before it was ready: {notes:?}");
            }
            if line.contains(READY) {
                break;
            }
            notes.push(line.trim_end().to_owned());
        }
        let started_in = began.elapsed();
        Ok(Self { child: running, stdout, stderr: drain_text(stderr), started_in, notes })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.0.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, signal).context("send a signal")
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn wait(mut self) -> Result<Ended> {
        let status = self.child.0.wait().context("wait for hoptrace")?;
        let Printed { stdout, lines } = self.stdout.join().ok().context("read its output")?;
        let stderr = self.stderr.join().ok().context("read its words")?;
        Ok(Ended { status, stdout, lines, stderr })
    }

    /// Ends `hoptrace trace --json` with Ctrl-C's signal and gives its report. Its exit code must be 0, or 3 where every packet of a
    /// direction died; and its first finding must say so where any packet did.
    ///
    /// # Errors
    /// When it ends otherwise, or prints anything but one report.
    pub fn finish(self) -> Result<Report> {
        let (printed, everything_died) = self.interrupted()?;
        let report = Report::read(&printed)?;
        check_first_words(&[&report], everything_died)?;
        check_cpus(&report)?;
        Ok(report)
    }

    /// The same of a trace of any number of ports: a report for each, as [`Report::read_each`] reads them. The exit code is 3 where
    /// every packet of a direction of one of them died; and the first finding must say so where any packet of theirs did.
    ///
    /// # Errors
    /// As [`Tracer::finish`].
    pub fn finish_each(self) -> Result<Vec<(String, Report)>> {
        let (printed, everything_died) = self.interrupted()?;
        let each = Report::read_each(&printed)?;
        let reports: Vec<&DropsReport> = each.iter().map(|(_, report)| &**report).collect();
        check_first_words(&reports, everything_died)?;
        reports.into_iter().try_for_each(check_cpus)?;
        Ok(each)
    }

    /// The same of `hoptrace drops --json`; or of a trace, what `drops` would say of it.
    ///
    /// # Errors
    /// As [`Tracer::finish`].
    pub fn finish_drops(self) -> Result<DropsReport> {
        let (printed, everything_died) = self.interrupted()?;
        let report = DropsReport::read(&printed)?;
        check_first_words(&[&report], everything_died)?;
        check_cpus(&report)?;
        Ok(report)
    }

    /// What it printed when it was interrupted, and whether it says that every packet of a direction died.
    fn interrupted(self) -> Result<(Vec<u8>, bool)> {
        self.signal(Signal::INT)?;
        let ended = self.wait()?;
        let code = ended.status.code();
        ensure!(code == Some(0) || code == Some(EVERYTHING_DIED), "{}: {}", ended.status, ended.stderr);
        Ok((ended.stdout, code == Some(EVERYTHING_DIED)))
    }
}

/// Whether every packet that the kernel is known to have freed was freed on a CPU, and no other one: the lab has few CPUs and places.
fn check_cpus(report: &DropsReport) -> Result<()> {
    for way in [report.egress(), report.ingress()] {
        for drop in &way.drops {
            let freed = if drop.location.is_none() { 0 } else { drop.count };
            ensure!(on_cpus(&drop.cpus) == freed, "not {freed} on CPUs: {drop}");
        }
        for early in &way.early_drops {
            ensure!(on_cpus(&early.cpus) == early.count, "not all on CPUs: {early}");
        }
    }
    Ok(())
}

fn on_cpus(cpus: &[OnCpu]) -> u64 {
    cpus.iter().map(|on| on.count).sum()
}

/// The exit code where every packet of a direction died.
const EVERYTHING_DIED: i32 = 3;

/// Whether the exit code and the first finding of a trace say of losses what the ledgers of its ports do.
fn check_first_words(ports: &[&DropsReport], said: bool) -> Result<()> {
    let ways = || ports.iter().flat_map(|port| [port.egress(), port.ingress()]);
    let died = |way: &DirectionDrops| {
        way.ledger.died() + way.early_drops.iter().map(|early| early.count).sum::<u64>()
    };
    let everything = |way: &DirectionDrops| {
        died(way) > 0 && way.ledger.completed == 0 && way.ledger.in_flight == 0 && way.ledger.merged == 0
    };
    let report = ports.first().context("no port was traced")?;
    ensure!(ways().any(everything) == said, "exit code 3 is {said}: {report}");
    let lossy = ways().any(|way| died(way) > 0);
    let first = report.first()?;
    ensure!(!lossy || first.severity == "critical", "first words: {first}");
    Ok(())
}

/// What came to standard output.
#[derive(Debug, Default)]
struct Printed {
    stdout: Vec<u8>,
    lines: u64,
}

fn drain(mut stdout: ChildStdout) -> JoinHandle<Printed> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read before an error is all there is.
        let _ = stdout.read_to_end(&mut bytes);
        Printed { stdout: bytes, lines: 0 }
    })
}

/// Has another program count: this one may be built without optimisation. The pipe between them is as large as pipes get
/// by default, so that on a busy machine the tracer does not wait for the counter's turn after every few lines.
fn count(stdout: ChildStdout) -> Result<JoinHandle<Printed>> {
    fcntl_setpipe_size(&stdout, PIPE_BYTES).context("enlarge the pipe from hoptrace")?;
    let counter =
        Command::new("wc").arg("-l").stdin(stdout).stdout(Stdio::piped()).spawn().context("run wc")?;
    Ok(std::thread::spawn(move || {
        let ended = counter.wait_with_output().ok();
        let said = ended.map(|output| String::from_utf8_lossy(&output.stdout).trim().parse());
        Printed { stdout: Vec::new(), lines: said.and_then(Result::ok).unwrap_or(0) }
    }))
}

fn drain_text(mut stderr: BufReader<ChildStderr>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    })
}
