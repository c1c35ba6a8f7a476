//! What is at the hooks during a flood.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    programs::{LinkOrder, TcAttachType, tc::TcAttachOptions},
};
use hoptrace_tests::{Ended, Tracer, lab::Lab, report::Report};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::object;

/// Who stands at the hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    Untraced,
    /// A program of the benchmark's own object, at each hook that hoptrace has.
    Program(&'static str),
    /// As it is without options: at the interfaces alone, as the benchmark's own programs.
    Hoptrace,
    /// With the wire hook, too.
    HoptraceWire,
    /// With XDP at the NIC, in the driver.
    HoptraceXdp,
    /// One packet of 100 goes to user space, where it is printed.
    HoptraceWaterfalls,
    /// One tcpdump for each interface.
    Tcpdump,
}

/// A contender at work; it ends with [`Running::end`].
pub(crate) enum Running {
    Nobody,
    Programs(Ebpf, &'static str),
    Tracer(Tracer),
    Printer(Tracer),
    Tcpdump(Vec<(Child, BufReader<std::process::ChildStderr>)>),
}

impl Contender {
    /// Starts it; it works when this returns.
    pub(crate) fn start(self, lab: &Lab) -> Result<Running> {
        let guest = lab.guests.first().context("the lab has no guest")?;
        let interfaces = lab.path_interfaces(guest);
        Ok(match self {
            Self::Untraced => Running::Nobody,
            Self::Program(name) => Running::Programs(attach(name, &interfaces)?, name),
            Self::Hoptrace => Running::Tracer(Tracer::start(&["trace", &guest.port_id, "--json"])?),
            Self::HoptraceWire => {
                Running::Tracer(Tracer::start(&["trace", &guest.port_id, "--json", "--wire"])?)
            }
            Self::HoptraceXdp => {
                Running::Tracer(Tracer::start(&["trace", &guest.port_id, "--json", "--xdp", "native"])?)
            }
            Self::HoptraceWaterfalls => {
                let words = ["packets", &guest.port_id, "--sample", "1:100", "--jsonl"];
                Running::Printer(Tracer::start(&words)?)
            }
            Self::Tcpdump => Running::Tcpdump(
                interfaces.iter().map(|interface| tcpdump(interface)).collect::<Result<_>>()?,
            ),
        })
    }
}

impl Running {
    /// Whether BPF statistics were on while its programs ran: then others (a tracer, `kernel.bpf_stats_enabled`) had
    /// the clock read twice more for each run.
    pub(crate) fn was_disturbed(&self) -> Result<bool> {
        match self {
            Self::Programs(programs, name) => Ok(object::classifier(programs, name)?.info()?.run_count() > 0),
            _ => Ok(false),
        }
    }

    /// Takes it away. hoptrace gives its report.
    pub(crate) fn end(self) -> Result<Option<Report>> {
        match self {
            Self::Nobody | Self::Programs(..) => Ok(None),
            Self::Tracer(tracer) => tracer.finish().map(Some),
            Self::Printer(tracer) => {
                tracer.signal(Signal::INT)?;
                let Ended { status, stdout, stderr, .. } = tracer.wait()?;
                ensure!(status.success(), "hoptrace packets: {status}: {stderr}");
                ensure!(!stdout.is_empty(), "hoptrace packets printed nothing: {stderr}");
                Ok(None)
            }
            Self::Tcpdump(running) => {
                for (child, words) in running {
                    end_tcpdump(child, words)?;
                }
                Ok(None)
            }
        }
    }
}

/// Puts one program at both sides of each interface, through TCX (kernel 6.6 on), as hoptrace does.
fn attach(name: &str, interfaces: &[&str]) -> Result<Ebpf> {
    let mut ebpf = object::load(0, &[name])?;
    let program = object::classifier_mut(&mut ebpf, name)?;
    for interface in interfaces {
        for (side, order) in
            [(TcAttachType::Ingress, LinkOrder::first()), (TcAttachType::Egress, LinkOrder::last())]
        {
            program
                .attach_with_options(interface, side, TcAttachOptions::TcxOrder(order))
                .with_context(|| format!("attach {name} to {interface}"))?;
        }
    }
    Ok(ebpf)
}

fn tcpdump(interface: &str) -> Result<(Child, BufReader<std::process::ChildStderr>)> {
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
    Ok((child, words))
}

/// It may have missed packets: it is no witness here.
fn end_tcpdump(mut child: Child, mut words: BufReader<std::process::ChildStderr>) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    kill_process(pid, Signal::INT).context("end tcpdump")?;
    let mut said = String::new();
    words.read_to_string(&mut said)?;
    let status = child.wait()?;
    ensure!(status.success(), "tcpdump: {status}: {said}");
    Ok(())
}
