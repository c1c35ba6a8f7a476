//! Ports that come and go while others are traced, by the library's example.

use std::env;
use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use hoptrace_tests::BINARY_ENV;
use hoptrace_tests::prelude::*;
use hoptrace_tests::together::{compare, guests, prepare, talk, told, trace_each};

/// The library's example, which traces ports that come and go.
struct Example {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
}

impl Example {
    fn start(words: &[&str]) -> Result<Self> {
        let program = PathBuf::from(env::var_os(BINARY_ENV).context("which binary")?);
        let example = program.with_file_name("examples").join("trace_ports");
        let mut command = Command::new(&example);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("run {}", example.display()))?;
        let said = BufReader::new(child.stderr.take().context("no stderr")?).lines();
        Ok(Self { child, said })
    }

    /// Traces one guest, and then another one, too.
    fn of_both([one, two]: [&Guest; 2]) -> Result<Self> {
        let mut example = Self::start(&[&one.port_id, "udp"])?;
        example.says("port 0 is traced")?;
        example.tell(&format!("add {}", two.port_id))?;
        example.says("port 1 is traced")?;
        Ok(example)
    }

    /// Waits until it says this.
    fn says(&mut self, wanted: &str) -> Result<()> {
        let mut others = Vec::new();
        for line in self.said.by_ref() {
            let line = line?;
            if line == wanted {
                return Ok(());
            }
            others.push(line);
        }
        bail!("it never says \"{wanted}\", only {others:?}")
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.child.stdin.as_mut().context("no stdin")?, "{line}")?)
    }

    /// The ports' reports.
    fn finish(mut self) -> Result<Vec<(String, Report)>> {
        drop(self.child.stdin.take());
        let mut printed = Vec::new();
        self.child.stdout.take().context("no stdout")?.read_to_end(&mut printed)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}");
        Report::read_each(&printed)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It has ended by itself, but where a test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_port_that_comes_is_beside_those_before_and_they_beside_it() -> Result<()> {
    let lab = Lab::from_env()?;
    let guests = guests(&lab)?;
    let _trap = prepare(&lab, guests)?;
    let together = Example::of_both(guests)?;
    let alone = trace_each(guests, &[])?;
    talk(&lab, guests)?;
    compare(&together.finish()?, alone, guests)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_port_that_goes_leaves_the_other_as_if_it_had_been_alone() -> Result<()> {
    let lab = Lab::from_env()?;
    let guests = guests(&lab)?;
    let _trap = prepare(&lab, guests)?;
    let mut together = Example::of_both(guests)?;
    together.tell("remove 0")?;
    together.says("port 0 is no longer traced")?;
    let alone = Tracer::start(&["trace", &guests[1].port_id, "udp", "--json"])?;
    talk(&lab, guests)?;
    let (together, alone) = (together.finish()?, alone.finish()?);
    let [(_, first), (_, second)] = together.as_slice() else { bail!("{} ports", together.len()) };
    for direction in Direction::ALL {
        ensure!(
            first.direction(direction).ledger.entered == 0,
            "{direction}: {}",
            first.direction(direction)
        );
        let (ours, its) = (told(second.direction(direction)), told(alone.direction(direction)));
        ensure!(ours == its, "{direction}, of both:\n{ours}\nalone:\n{its}");
    }
    Ok(())
}
