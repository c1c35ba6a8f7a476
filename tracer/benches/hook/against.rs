//! Hooks of two builds in one run: of this one, and of another that was kept.
//!
//! What a packet takes whose slot is not in the caches differs by some percent from one process to the next, because memory lies differently in each.
//! So both builds' programs are held by processes of their own, started anew in each round, each of which looks after its table as a trace does; and all
//! of them are run from here, on one course, in turns: [`Holder`] asks, [`hold`] answers. A ratio is the median of so many pairs of processes.

use std::io::{BufRead as _, BufReader, Lines, Write as _, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{ProgramFd, loaded_programs};
use hoptrace_common::filter::Filter;

use crate::course::{DISTINCT, HOT, STATIONS, Traffic};
use crate::packets::{Kind, packet};
use crate::part::{Figures, Part, Round};
use crate::support::object::classifier;
use crate::tracer::Tracer;

/// Names of the rows: of this build and of the other.
pub(crate) const ROWS: [[&str; 2]; 2] = [["this_hot", "against_hot"], ["this_distinct", "against_distinct"]];
/// Runs one after the other, before the first that counts.
const WARM_UPS: u32 = 3;
/// The answer to each line.
const SWEPT: &str = "swept";
const TRAFFIC: [Traffic; 2] = [HOT, DISTINCT];

/// Holds the programs of the way out for another process: says their ids in a line; for each line with a number, so many packets more have passed
/// them, and the table is swept; at the end of stdin says whether all of them are in the ledger.
#[allow(clippy::print_stdout, reason = "what the other process waits for")]
pub(crate) fn hold() -> Result<()> {
    let mut tracer = Tracer::load(Filter::default())?;
    println!("{}", tracer.program_ids()?.map(|id| id.to_string()).join(" "));
    stdout().flush()?;
    for line in stdin().lines() {
        tracer.expect(line?.parse().context("a number of packets")?);
        tracer.sweep();
        println!("{SWEPT}");
        stdout().flush()?;
    }
    tracer.check().map(drop)
}

/// A process that holds a build's programs.
struct Holder {
    process: Child,
    /// Until it is told that nothing more comes.
    asks: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    programs: Vec<ProgramFd>,
}

impl Holder {
    fn start(benchmark: &Path) -> Result<Self> {
        let name = benchmark.display();
        let of = || format!("hold the programs of {name}, a build of this benchmark that knows --hold");
        let mut command = Command::new(benchmark);
        let command = command.arg("--hold").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().with_context(of)?;
        let asks = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().with_context(of)?).lines();
        let mut holder = Self { process, asks, answers, programs: Vec::new() };
        let ids = holder.answers.next().transpose()?.with_context(of)?;
        let programs = ids.split(' ').map(|id| program(id.parse()?));
        holder.programs = programs.collect::<Result<_>>().with_context(of)?;
        Ok(holder)
    }

    /// Nanoseconds per run on the course; the table is swept then.
    fn ns_per_run(&mut self, round: &mut Round<'_>, traffic: Traffic) -> Result<f64> {
        const ENDED: &str = "the process that holds the programs has ended";
        let driver = classifier(round.others, "course")?;
        let packet = packet(Kind::UdpV4);
        let ns = round.course.ns_per_run(driver, &self.programs, &packet, traffic, round.runs)?;
        let asks = self.asks.as_mut().context("it was told that nothing more comes")?;
        writeln!(asks, "{}", u64::from(round.runs) / STATIONS).context(ENDED)?;
        let answer = self.answers.next().transpose()?.context(ENDED)?;
        ensure!(answer == SWEPT, "the process that holds the programs answers {answer:?}");
        Ok(ns)
    }

    fn check(&mut self) -> Result<()> {
        drop(self.asks.take());
        let ended = self.process.wait()?;
        ensure!(ended.success(), "the ledger of the programs held is wrong: {ended}");
        Ok(())
    }
}

impl Drop for Holder {
    /// It ends by itself where nobody asks it any more.
    fn drop(&mut self) {
        drop(self.asks.take());
        let _ended = self.process.wait();
    }
}

fn program(id: u32) -> Result<ProgramFd> {
    let mut loaded = loaded_programs().filter_map(Result::ok);
    let program = loaded.find(|program| program.id() == id).with_context(|| format!("no program {id}"))?;
    Ok(program.fd()?)
}

/// The two builds.
pub(crate) struct Against {
    benchmarks: [PathBuf; 2],
    figures: Vec<Figures>,
    /// Which comes first changes from round to round.
    is_turned: bool,
}

impl Against {
    /// `benchmark`: this program, of the other build.
    pub(crate) fn of(benchmark: &Path) -> Result<Self> {
        let this = std::env::current_exe().context("find this program")?;
        Ok(Self {
            benchmarks: [this, benchmark.to_owned()],
            figures: Self::names().map(Figures::of).collect(),
            is_turned: false,
        })
    }

    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ROWS.as_flattened().iter().copied()
    }
}

impl Part for Against {
    fn round(&mut self, round: &mut Round<'_>) -> Result<()> {
        let [this, other] = &self.benchmarks;
        let mut holders = [Holder::start(this)?, Holder::start(other)?];
        for holder in &mut holders {
            // As in a flood that lasts: no slot is new, and the tracer knows at what pace packets come.
            for _ in 0..WARM_UPS {
                holder.ns_per_run(round, DISTINCT)?;
            }
        }
        self.is_turned = !self.is_turned;
        for (traffic, figures) in TRAFFIC.into_iter().zip(self.figures.chunks_mut(2)) {
            let mut turns: Vec<_> = holders.iter_mut().zip(figures).collect();
            if self.is_turned {
                turns.reverse();
            }
            for (holder, figures) in turns {
                let ns = holder.ns_per_run(round, traffic)?;
                figures.ns.push(round.bases.alone_ns(traffic, ns)?);
            }
        }
        holders.iter_mut().try_for_each(Holder::check)
    }

    /// Each round has done so.
    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    fn figures(&self) -> &[Figures] {
        &self.figures
    }

    fn figures_mut(&mut self) -> &mut [Figures] {
        &mut self.figures
    }
}
