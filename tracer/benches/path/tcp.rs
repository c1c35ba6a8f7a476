//! TCP with all offloads, by iperf3, in both directions, without and with hoptrace.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    lab::{Guest, Lab},
    soak::{count, followed, ledger},
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

/// One direction.
#[derive(Serialize)]
pub(crate) struct Row {
    name: &'static str,
    untraced_gbit_s: f64,
    hoptrace_gbit_s: f64,
    ratio_to_untraced: f64,
    spread_pct: f64,
    /// Packets that hoptrace traced, and of them those it took for lost.
    packets: u64,
    lost: u64,
}

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
        // Whoever does not read holds up the server.
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

/// Measures `pairs` pairs of connections in each direction.
pub(crate) fn measure(lab: &Lab, pairs: u32) -> Result<Vec<Row>> {
    if pairs == 0 {
        return Ok(Vec::new());
    }
    let guest = lab.guests.first().context("the lab has no guest")?;
    let _server = Server::start(lab)?;
    let directions: [(&'static str, &[&str]); 2] = [("tcp_out", &[]), ("tcp_in", &["-R"])];
    directions.into_iter().map(|(name, words)| direction(lab, guest, name, words, pairs)).collect()
}

fn direction(lab: &Lab, guest: &Guest, name: &'static str, words: &[&str], pairs: u32) -> Result<Row> {
    let (mut untraced, mut traced) = (Vec::new(), Vec::new());
    let (mut packets, mut lost) = (0, 0);
    for pair in 0..pairs {
        // Each of the two is the first one half of the time.
        let order = [Contender::Untraced, Contender::Hoptrace];
        for contender in if pair % 2 == 0 { order } else { [order[1], order[0]] } {
            let running = contender.start(lab)?;
            let gbit_s = connection(lab, guest, words)?;
            if let Some(report) = running.end()? {
                let (more, more_lost) = account(&report)?;
                packets += more;
                lost += more_lost;
                traced.push(gbit_s);
            } else {
                untraced.push(gbit_s);
            }
        }
    }
    Ok(Row {
        name,
        untraced_gbit_s: rounded(median(&untraced), 2),
        hoptrace_gbit_s: rounded(median(&traced), 2),
        ratio_to_untraced: rounded(median_ratio(&traced, &untraced), 3),
        spread_pct: rounded(spread_pct(&traced), 1),
        packets,
        lost,
    })
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
fn account(report: &Value) -> Result<(u64, u64)> {
    let (mut packets, mut lost) = (0, 0);
    for direction in ["egress", "ingress"] {
        let ledger = ledger(report, direction)?;
        followed(ledger).context(direction)?;
        packets += count(ledger, "entered")?;
        lost += count(ledger, "lost")? + count(ledger, "dropped")?;
    }
    Ok((packets, lost))
}

pub(crate) fn show(output: &CommonOptions, rows: &[Row]) {
    for row in rows {
        let Row { name, untraced_gbit_s, hoptrace_gbit_s, ratio_to_untraced, spread_pct, packets, lost } =
            row;
        output.show(&format!(
            "{name:8} untraced {untraced_gbit_s:6.2} Gbit/s, hoptrace {hoptrace_gbit_s:6.2} Gbit/s, ÷ untraced \
             {ratio_to_untraced:.3}, spread {spread_pct:.1}%; {packets} packets traced, {lost} taken for lost"
        ));
    }
}
