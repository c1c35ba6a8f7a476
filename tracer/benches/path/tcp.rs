//! TCP with all offloads, by iperf3, in both directions, without and with hoptrace.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    lab::{Guest, Lab},
    report::DropsReport,
    soak::followed,
};
use serde::Serialize;
use serde_json::Value;

use crate::contender::Contender;
use crate::support::{
    figures::{median, median_ratio, spread_pct},
    output::{CommonOptions, rounded},
};

/// How long one connection lasts.
const SECONDS: &str = "2";

/// One contender in one direction.
#[derive(Serialize)]
pub(crate) struct Row {
    name: &'static str,
    contender: &'static str,
    median_gbit_s: f64,
    ratio_to_untraced: f64,
    spread_pct: f64,
    /// Packets that hoptrace traced, and of them those it took for lost or dropped.
    packets: u64,
    lost: u64,
}

impl Row {
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }
}

const CONTENDERS: [(&str, Contender); 3] = [
    ("untraced", Contender::Untraced),
    ("hoptrace", Contender::Hoptrace),
    ("hoptrace_xdp", Contender::HoptraceXdp),
];

/// `iperf3` as server on the wire; it ends with this.
struct Server(Child);

impl Server {
    fn start(lab: &Lab) -> Result<Self> {
        let mut child = lab
            .wire("iperf3", ["-s", "--forceflush"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("run iperf3")?;
        let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let listens = lines.by_ref().map_while(Result::ok).any(|line| line.contains("listening"));
        ensure!(listens, "iperf3 does not listen");
        // A reader that does not read holds up the server.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self(child))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is left to do where it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures each contender in `rounds` connections in each direction.
pub(crate) fn measure(lab: &Lab, rounds: u32) -> Result<Vec<Row>> {
    if rounds == 0 {
        return Ok(Vec::new());
    }
    let guest = lab.guests.first().context("the lab has no guest")?;
    let _server = Server::start(lab)?;
    let mut rows = direction(lab, guest, "tcp_out", &[], rounds)?;
    rows.extend(direction(lab, guest, "tcp_in", &["-R"], rounds)?);
    Ok(rows)
}

fn direction(lab: &Lab, guest: &Guest, name: &'static str, words: &[&str], rounds: u32) -> Result<Vec<Row>> {
    let mut measured = CONTENDERS.map(|(contender, _)| Measured { contender, ..Measured::default() });
    for round in 0..rounds {
        let mut order: Vec<_> = measured.iter_mut().zip(CONTENDERS).collect();
        // Each of them is the first one half of the time.
        if round % 2 == 1 {
            order.reverse();
        }
        for (measured, (_, contender)) in order {
            let running = contender.start(lab)?;
            measured.gbit_s.push(connection(lab, guest, words)?);
            if let Some(report) = running.end()?.report {
                let (packets, lost) = account(&report)?;
                measured.packets += packets;
                measured.lost += lost;
            }
        }
    }
    let untraced = measured.first().map_or_else(Vec::new, |first| first.gbit_s.clone());
    let row = |it: &Measured| Row {
        name,
        contender: it.contender,
        median_gbit_s: rounded(median(&it.gbit_s), 2),
        ratio_to_untraced: rounded(median_ratio(&it.gbit_s, &untraced), 3),
        spread_pct: rounded(spread_pct(&it.gbit_s), 1),
        packets: it.packets,
        lost: it.lost,
    };
    Ok(measured.iter().map(row).collect())
}

/// A contender's connections so far.
#[derive(Default)]
struct Measured {
    contender: &'static str,
    gbit_s: Vec<f64>,
    packets: u64,
    lost: u64,
}

/// One connection; gives what arrived, in Gbit/s.
fn connection(lab: &Lab, guest: &Guest, words: &[&str]) -> Result<f64> {
    let address = lab.wire.ipv4.to_string();
    let base = ["-c", &address, "-t", SECONDS, "-J"];
    let output = guest.command("iperf3", base.iter().chain(words))?.output().context("run iperf3")?;
    let said: Value = serde_json::from_slice(&output.stdout).context("read what iperf3 says")?;
    let bits = said.pointer("/end/sum_received/bits_per_second").and_then(Value::as_f64);
    Ok(bits.with_context(|| format!("iperf3 says {said}"))? / 1e9)
}

/// Packets of both directions, and how many of them were taken for lost.
fn account(report: &DropsReport) -> Result<(u64, u64)> {
    let (mut packets, mut lost) = (0, 0);
    for (direction, found) in report.directions.both() {
        followed(&found.ledger).context(direction)?;
        packets += found.ledger.entered;
        lost += found.ledger.lost + found.ledger.dropped;
    }
    Ok((packets, lost))
}

pub(crate) fn show(output: &CommonOptions, rows: &[Row]) {
    for row in rows {
        let Row { name, contender, median_gbit_s, ratio_to_untraced, spread_pct, packets, lost } = row;
        output.show(&format!(
            "{name:8} {contender:13} {median_gbit_s:6.2} Gbit/s, ÷ untraced {ratio_to_untraced:.3}, spread \
             {spread_pct:.1}%; {packets} packets traced, {lost} taken for lost"
        ));
    }
}
