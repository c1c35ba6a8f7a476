//! Datagrams between a guest and the wire, both ways, and what a trace of them has to say whatever the layout is.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use crate::lab::{Guest, Lab};
use crate::report::Direction::{Egress, Ingress};
use crate::report::DropsReport;
use crate::{Tracer, hoptrace};

/// Packets each way.
pub const PACKETS: u64 = 300;
/// Where they go.
pub const SINK_PORT: u16 = 9;
/// Between two of them.
pub const PACE: Duration = Duration::from_micros(500);
/// This host, where it has an address in the network of guests and wire.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 99, 99, 254);
const WAIT: Duration = Duration::from_secs(5);

/// What `path` says of the guest's port.
///
/// # Errors
/// Where it says none.
pub fn path(guest: &Guest) -> Result<Value> {
    let output = hoptrace(["path", &guest.port_id, "--format", "json"])?.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The names of a path's steps of this kind.
#[must_use]
pub fn steps<'a>(path: &'a Value, node: &str) -> Vec<&'a str> {
    let steps = path["steps"].as_array().into_iter().flatten();
    let of = steps.filter(|step| step["node"] == node);
    of.filter_map(|step| {
        step["ifname"].as_str().or_else(|| step["name"].as_str()).or_else(|| step["missing"].as_str())
    })
    .collect()
}

/// Datagrams both ways.
fn talk(lab: &Lab, guest: &Guest) -> Result<()> {
    let _sink = lab.wire_udp_sink(SINK_PORT)?;
    let sent = guest.send_udp((lab.wire.ipv4.into(), SINK_PORT), PACKETS, 64, PACE)?;
    ensure!(sent.sent == PACKETS, "{sent:?}");
    guest.sink_reset()?;
    lab.wire_udp_flood((guest.ipv4, SINK_PORT).into(), PACKETS, 64, PACE)?;
    Ok(())
}

/// The guest speaks first, as after any plug: the switches learn where it is now. Interfaces that have only just come up take a moment.
///
/// # Errors
/// Where nothing comes back for seconds.
pub fn reaches(guest: &Guest, to: Ipv4Addr) -> Result<()> {
    let started = Instant::now();
    loop {
        let ping = guest.ping(to.into(), 3, Duration::from_millis(10))?;
        if ping.received > 0 {
            return Ok(());
        }
        ensure!(started.elapsed() < WAIT, "{ping:?}");
    }
}

/// Waits until the guest has all of one way.
///
/// # Errors
/// Where they do not come.
pub fn arrived(guest: &Guest) -> Result<()> {
    let sink = guest.sink_wait(PACKETS, WAIT)?;
    ensure!(sink.datagrams == PACKETS, "{sink:?}");
    Ok(())
}

/// All of them pass the hooks of their way, which are called this from the guest to the wire, and nothing else is in the ledger.
///
/// # Errors
/// Where that is not so.
pub fn assert_whole(lab: &Lab, guest: &Guest, hooks: &[&str]) -> Result<()> {
    reaches(guest, lab.wire.ipv4)?;
    lab.introduce(guest)?;
    // The first ones may wait for user space.
    let words = ["trace", &guest.port_id, "udp", "and", "port", "9", "--timeout", "4s", "--json"];
    let tracer = Tracer::start(&words)?;
    talk(lab, guest)?;
    arrived(guest)?;
    let report = tracer.finish()?;
    for direction in [Egress, Ingress] {
        let found = report.direction(direction);
        found.ledger.expect_all(PACKETS).with_context(|| format!("{direction}: {report}"))?;
        for pair in hooks.windows(2) {
            let [near, far] = pair else { continue };
            let (from, to) = if direction == Egress { (near, far) } else { (far, near) };
            let segment = found.segment(from, to)?;
            ensure!(segment.count == PACKETS && segment.ns()?.p50 > 0, "{direction}: {segment}");
        }
    }
    Ok(())
}

/// Whether all that is sent dies behind these hooks, and is told so.
///
/// # Errors
/// Where that is not so.
pub fn assert_dead(lab: &Lab, guest: &Guest, egress: &str, ingress: &str) -> Result<DropsReport> {
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "and", "port", "9", "--json"])?;
    talk(lab, guest)?;
    let report = tracer.finish_drops()?;
    for (direction, after) in [(Egress, egress), (Ingress, ingress)] {
        let found = report.direction(direction);
        // The first of a flow that the kernel's datapath does not know yet may die on their way to user space.
        let died: u64 = found.drops.iter().filter(|drop| drop.after == after).map(|drop| drop.count).sum();
        ensure!(died == PACKETS && found.died() == PACKETS, "{direction}: {report}");
    }
    Ok(report)
}

/// Datagrams between the guest and this host, both ways.
///
/// # Errors
/// Where one cannot be sent, or does not arrive.
pub fn talk_to_host(guest: &Guest) -> Result<()> {
    let here = UdpSocket::bind((HOST, SINK_PORT))?;
    here.set_read_timeout(Some(WAIT))?;
    // Its queue is too short for all of them.
    let reader = here.try_clone()?;
    let reader = thread::spawn(move || (0..PACKETS).try_for_each(|_| reader.recv(&mut [0; 128]).map(drop)));
    let sent = guest.send_udp((HOST.into(), SINK_PORT), PACKETS, 64, PACE)?;
    ensure!(sent.sent == PACKETS, "{sent:?}");
    reader.join().map_err(|_| anyhow!("the reader panicked"))?.context("not all arrived")?;
    guest.sink_reset()?;
    for number in 0..PACKETS {
        here.send_to(&number.to_be_bytes().repeat(8), (guest.ipv4, SINK_PORT))?;
        thread::sleep(PACE);
    }
    arrived(guest)
}
