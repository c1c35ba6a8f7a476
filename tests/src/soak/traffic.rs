//! Traffic of all sorts at a time, by the tools everybody has.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::lab::{Guest, Lab};

/// A program that is ended with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Nothing is left to do where it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that sends, and its name for messages.
struct Sender(&'static str, Ended);

/// Sends for `duration`: TCP with all offloads in both directions, UDP of small datagrams and of such that are cut into
/// fragments, ping floods and pings in fragments over both IP versions, and ARP. Everything is bounded in rate, so that
/// nothing of it starves.
pub(super) fn mixed(lab: &Lab, guest: &Guest, duration: Duration) -> Result<()> {
    let seconds = duration.as_secs().max(1).to_string();
    let (v4, v6) = (lab.wire.ipv4.to_string(), lab.wire.ipv6.to_string());
    let iperf = |port: &'static str, words: &[&str]| -> Result<Command> {
        guest.command("iperf3", [&["-p", port, "-t", &seconds], words].concat())
    };
    let ping = |address: &str, words: &[&str]| {
        guest.command("ping", [&["-q", "-w", &seconds], words, &[address]].concat())
    };
    let mut servers = Vec::new();
    for port in ["5201", "5202", "5203", "5204", "5205"] {
        servers.push(server(lab, port)?);
    }
    let senders = [
        ("TCP out", iperf("5201", &["-c", &v4, "-b", "400M"])?),
        ("TCP in", iperf("5202", &["-c", &v4, "-b", "400M", "-R"])?),
        ("TCP over IPv6", iperf("5203", &["-c", &v6, "-b", "100M"])?),
        ("UDP", iperf("5204", &["-c", &v4, "-u", "-b", "8M", "-l", "64"])?),
        ("UDP in fragments", iperf("5205", &["-c", &v4, "-u", "-b", "8M", "-l", "4000", "-R"])?),
        ("ping flood", ping(&v4, &["-f"])?),
        ("ping flood over IPv6", ping(&v6, &["-f"])?),
        ("ping in fragments", ping(&v4, &["-s", "5000", "-i", "0.01"])?),
        ("ping in fragments over IPv6", ping(&v6, &["-s", "5000", "-i", "0.01"])?),
    ];
    let mut running = Vec::new();
    for (name, mut command) in senders {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        running.push(Sender(name, Ended(child.with_context(|| format!("start {name}"))?)));
    }
    let deadline = Instant::now() + duration + Duration::from_mins(1);
    let end = Instant::now() + duration;
    while Instant::now() < end {
        arp(lab, guest)?;
        std::thread::sleep(Duration::from_millis(200));
    }
    for Sender(name, Ended(child)) in &mut running {
        while child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "{name} does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        let status = child.wait()?;
        ensure!(status.success(), "{name}: {status}");
    }
    Ok(())
}

fn server(lab: &Lab, port: &str) -> Result<Ended> {
    let mut child = lab
        .wire("iperf3", ["-s", "-p", port, "--forceflush"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("run iperf3")?;
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
    let listens = lines.by_ref().map_while(Result::ok).any(|line| line.contains("listening"));
    if !listens {
        bail!("iperf3 does not listen on port {port}");
    }
    // Whoever does not read holds up the server.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(Ended(child))
}

/// Makes the guest forget the wire's hardware address, so that the next packet asks for it.
fn arp(lab: &Lab, guest: &Guest) -> Result<()> {
    let address = lab.wire.ipv4.to_string();
    let words = ["neigh", "del", &address, "dev", "eth0"];
    // There may be none at the moment.
    guest.command("ip", words)?.stderr(Stdio::null()).status().context("run ip").map(drop)
}
