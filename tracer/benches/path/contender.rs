//! What is at the hooks during a flood.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    programs::{LinkOrder, TcAttachType, tc::TcAttachOptions},
};
use hoptrace_tests::{Ended, Tracer, lab::Lab, report::DropsReport, soak::time_on_cpu};
use rustix::process::Signal;

use crate::support::object;
use crate::tcpdump::Tcpdump;

/// Who stands at the hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contender {
    Untraced,
    /// A program of the benchmark's own object, at each hook that hoptrace has.
    Program(&'static str),
    /// Every packet timed: at the interfaces alone, as the benchmark's own programs.
    Hoptrace,
    /// The same, by another build of it.
    Other(PathBuf),
    /// Likewise where one packet of 16 is timed.
    HoptraceTimed16,
    /// With the wire hook, too.
    HoptraceWire,
    /// With XDP at the NIC, in the driver.
    HoptraceXdp,
    /// One packet of 100 goes to user space, where it is printed.
    HoptraceWaterfalls,
    /// `hoptrace drops` of the port.
    Drops,
    /// `hoptrace drops` as it is without any argument: of all ports of the host, of which there is one.
    DropsOfHost,
    /// One tcpdump for each interface.
    Tcpdump,
}

/// A contender at work; it ends with [`Running::end`].
pub(crate) enum Running {
    Nobody,
    Programs(Ebpf, &'static str),
    Tracer(Tracer),
    Printer(Tracer),
    Drops(Tracer),
    Tcpdump(Vec<Tcpdump>),
}

/// What a contender has said at its end.
#[derive(Default)]
pub(crate) struct Said {
    /// hoptrace's report.
    pub(crate) report: Option<DropsReport>,
    /// Packets that tcpdump has not captured, of all interfaces.
    pub(crate) missed: u64,
}

impl Contender {
    /// Starts it; it works when this returns.
    pub(crate) fn start(&self, lab: &Lab) -> Result<Running> {
        let guest = lab.guests.first().context("the lab has no guest")?;
        let interfaces = lab.path_interfaces(guest);
        Ok(match self {
            Self::Untraced => Running::Nobody,
            Self::Program(name) => Running::Programs(attach(name, &interfaces)?, name),
            Self::Hoptrace => {
                Running::Tracer(Tracer::start(&["trace", &guest.port_id, "--json", "--exact"])?)
            }
            Self::Other(program) => {
                Running::Tracer(Tracer::start_as(program, &["trace", &guest.port_id, "--json", "--exact"])?)
            }
            Self::HoptraceTimed16 => {
                Running::Tracer(Tracer::start(&["trace", &guest.port_id, "--json", "--timed", "1:16"])?)
            }
            Self::HoptraceWire => {
                Running::Tracer(Tracer::start(&["trace", &guest.port_id, "--json", "--exact", "--wire"])?)
            }
            Self::HoptraceXdp => Running::Tracer(Tracer::start(&[
                "trace",
                &guest.port_id,
                "--json",
                "--exact",
                "--xdp",
                "native",
            ])?),
            Self::HoptraceWaterfalls => {
                let words = ["packets", &guest.port_id, "--sample", "1:100", "--jsonl"];
                Running::Printer(Tracer::start(&words)?)
            }
            Self::Drops => Running::Drops(Tracer::start(&["drops", &guest.port_id, "--json"])?),
            Self::DropsOfHost => Running::Drops(Tracer::start(&["drops", "--json"])?),
            Self::Tcpdump => Running::Tcpdump(
                interfaces.iter().map(|interface| Tcpdump::start(interface)).collect::<Result<_>>()?,
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

    /// CPU time that its processes have taken so far, in user space and in the kernel on their own behalf. What is done to packets while
    /// they pass is none of it: the sender pays for that.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let pids = match self {
            Self::Nobody | Self::Programs(..) => Vec::new(),
            Self::Tracer(tracer) | Self::Printer(tracer) | Self::Drops(tracer) => vec![tracer.pid()],
            Self::Tcpdump(running) => running.iter().map(Tcpdump::pid).collect(),
        };
        pids.into_iter().map(time_on_cpu).sum()
    }

    /// Takes it away.
    pub(crate) fn end(self) -> Result<Said> {
        match self {
            Self::Nobody | Self::Programs(..) => Ok(Said::default()),
            Self::Tracer(tracer) => {
                let report = tracer.finish()?;
                Ok(Said { report: Some((*report).clone()), ..Said::default() })
            }
            Self::Drops(tracer) => Ok(Said { report: Some(tracer.finish_drops()?), ..Said::default() }),
            Self::Printer(tracer) => {
                tracer.signal(Signal::INT)?;
                let Ended { status, stdout, stderr, .. } = tracer.wait()?;
                ensure!(status.success(), "hoptrace packets: {status}: {stderr}");
                ensure!(!stdout.is_empty(), "hoptrace packets printed nothing: {stderr}");
                Ok(Said::default())
            }
            Self::Tcpdump(running) => {
                let missed = running.into_iter().map(Tcpdump::end).sum::<Result<u64>>()?;
                Ok(Said { missed, ..Said::default() })
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
