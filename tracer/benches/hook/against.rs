//! Hooks of two builds in one run: of this one, and of another that was kept.
//!
//! What a packet takes whose slot is not in the caches differs by more from one process to the next than from one build to the
//! next. So both builds' programs are held by processes of their own, each of which looks after its table as a trace does, and all of them are run
//! from here, on one course, in turns: [`Holder`] asks, [`hold`] answers.

use std::io::{BufRead as _, BufReader, Lines, Write as _, stdin, stdout};
use std::path::Path;
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
const TRAFFIC: [Traffic; 2] = [HOT, DISTINCT];

/// Holds the programs of the way out for another process: says their ids in a line; for each line with a number, so many packets more have passed
/// them, and the table is swept; at the end of stdin says whether all of them are in the ledger.
#[allow(clippy::print_stdout, reason = "what the other process waits for")]
pub(crate) fn hold() -> Result<()> {
    let mut tracer = Tracer::load(Filter::default())?;
    println!("{}", tracer.program_ids()?.map(|id| id.to_string()).join(" "));
    for line in stdin().lines() {
        tracer.expect(line?.parse().context("a number of packets")?);
        tracer.sweep();
        println!("swept");
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
        let of = || format!("hold the programs of {}", benchmark.display());
        let mut process = Command::new(benchmark)
            .arg("--hold")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(of)?;
        let asks = process.stdin.take();
        let mut answers = BufReader::new(process.stdout.take().with_context(of)?).lines();
        let ids = answers.next().transpose()?.with_context(of)?;
        let programs =
            ids.split(' ').map(|id| program(id.parse()?)).collect::<Result<_>>().with_context(of)?;
        Ok(Self { process, asks, answers, programs })
    }

    /// So many packets more have passed its hooks.
    fn passed(&mut self, packets: u64) -> Result<()> {
        let asks = self.asks.as_mut().context("it was told that nothing more comes")?;
        writeln!(asks, "{packets}")?;
        self.answers.next().transpose()?.context("the process that holds the programs has ended")?;
        Ok(())
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
    holders: [Holder; 2],
    figures: Vec<Figures>,
    /// Which comes first changes from round to round.
    is_turned: bool,
}

impl Against {
    /// `benchmark`: this program, of the other build.
    pub(crate) fn start(benchmark: &Path) -> Result<Self> {
        let this = std::env::current_exe().context("find this program")?;
        Ok(Self {
            holders: [Holder::start(&this)?, Holder::start(benchmark)?],
            figures: ROWS.as_flattened().iter().map(|name| Figures::of(name)).collect(),
            is_turned: false,
        })
    }
}

impl Part for Against {
    fn round(&mut self, round: &mut Round<'_>) -> Result<()> {
        let driver = classifier(round.others, "course")?;
        let packet = packet(Kind::UdpV4);
        self.is_turned = !self.is_turned;
        for (traffic, figures) in TRAFFIC.into_iter().zip(self.figures.chunks_mut(2)) {
            let mut turns: Vec<_> = self.holders.iter_mut().zip(figures).collect();
            if self.is_turned {
                turns.reverse();
            }
            for (holder, figures) in turns {
                let ns = round.course.ns_per_run(driver, &holder.programs, &packet, traffic, round.runs)?;
                holder.passed(u64::from(round.runs) / STATIONS)?;
                figures.ns.push(round.alone_ns(traffic, ns)?);
            }
        }
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        self.holders.iter_mut().try_for_each(Holder::check)
    }

    fn figures(&self) -> &[Figures] {
        &self.figures
    }

    fn figures_mut(&mut self) -> &mut [Figures] {
        &mut self.figures
    }
}
