//! Latency truth: a delay on one segment at a time must appear there, and nowhere else.
//!
//! `netem` delays packets between two hooks: at an interface's queueing discipline, which is behind its hook, or, where
//! there is none between the hooks, behind a detour over an `ifb` device on the way into the interface. What the detour
//! itself takes is in the figures it is compared with: the same detour with a delay of nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::scene::{DOOMED_PORT, PAYLOAD_BYTES};
use super::{Direction, Scene, runner::prepare};
use crate::lab::{Lab, Trap};
use crate::{Captures, tracer::Tracer};

/// Packets in each direction, per delay.
const PACKETS: u64 = 150;
const PACE: Duration = Duration::from_micros(500);
const WAIT: Duration = Duration::from_secs(10);
/// How far the added median may be from the delay as it really was: in percent of it, and beside that.
const TOLERANCE_PCT: u64 = 5;
const TOLERANCE_NS: u64 = 20_000;

/// One delay on one segment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delayed {
    /// The kernel's release.
    pub kernel: String,
    /// `egress` or `ingress`.
    pub direction: String,
    /// `tap → qvb`.
    pub segment: String,
    /// The delay, in netem's words.
    pub delay: String,
    /// The delay, in nanoseconds.
    pub injected_ns: u64,
    /// What tcpdump says that the median of the whole path grew by: the timers of an emulated machine are late.
    pub witnessed_ns: u64,
    /// Median of the segment without the delay.
    pub p50_without_ns: u64,
    /// Median of the segment with it.
    pub p50_with_ns: u64,
    /// What the medians of the direction's other segments grew by, at most.
    pub elsewhere_ns: u64,
    /// Whether the delay is where it belongs.
    pub correct: bool,
}

/// Where a delay is put.
struct Site {
    direction: Direction,
    from: &'static str,
    to: &'static str,
    interface: &'static str,
    is_on_the_way_in: bool,
}

/// Those in a row are delayed at the same time: their directions differ.
const SITES: [&[Site]; 4] = [
    &[
        site(Direction::Egress, "tap", "qvb", "tap", true),
        site(Direction::Ingress, "nic", "qvo", "nic", true),
    ],
    &[
        site(Direction::Egress, "qvb", "qvo", "qvb", false),
        site(Direction::Ingress, "qvo", "qvb", "qvo", false),
    ],
    &[
        site(Direction::Egress, "qvo", "nic", "qvo", true),
        site(Direction::Ingress, "qvb", "tap", "qvb", true),
    ],
    &[site(Direction::Egress, "nic", "wire", "nic", false)],
];

const fn site(
    direction: Direction,
    from: &'static str,
    to: &'static str,
    interface: &'static str,
    is_on_the_way_in: bool,
) -> Site {
    Site { direction, from, to, interface, is_on_the_way_in }
}

/// Delays in netem's words and in nanoseconds.
const DELAYS: [(&str, u64); 4] =
    [("100us", 100_000), ("1ms", 1_000_000), ("10ms", 10_000_000), ("10ms 1ms", 10_000_000)];

/// Delays every segment in turn; `each` hears of each result.
///
/// # Errors
/// Where the lab or the tracer fails; a delay that is not where it belongs is a result.
pub fn delay_all(lab: &Lab, each: &mut dyn FnMut(&Delayed)) -> Result<Vec<Delayed>> {
    let scene = Scene::new(lab)?;
    if !scene.has_kernel_datapath() {
        return Ok(Vec::new());
    }
    let _quiet = prepare(&scene)?;
    let mut results = Vec::new();
    for row in SITES {
        let without = traced(&scene, row, "0")?;
        for (delay, injected_ns) in DELAYS {
            let with = traced(&scene, row, delay)?;
            for site in row {
                let result = compare(site, delay, injected_ns, &without, &with)?;
                each(&result);
                results.push(result);
            }
        }
    }
    Ok(results)
}

/// A report about packets both ways, and tcpdump's medians of the whole path.
struct Traced {
    report: Value,
    egress_ns: u64,
    ingress_ns: u64,
}

impl Traced {
    const fn whole_path_ns(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Egress => self.egress_ns,
            Direction::Ingress => self.ingress_ns,
        }
    }
}

/// Packets both ways, delayed at all sites of the row.
fn traced(scene: &Scene<'_>, row: &[Site], delay: &str) -> Result<Traced> {
    let _delays = row.iter().map(|site| put(scene, site, delay)).collect::<Result<Vec<Trap>>>()?;
    let tracer = Tracer::start(&["trace", &scene.guest.port_id, "udp", "--wire", "--json"])?;
    let captures = Captures::start(&[&scene.guest.tap, &scene.lab.nic], &std::env::temp_dir())?;
    let sink = scene.lab.wire_udp_sink(DOOMED_PORT)?;
    scene.send_out(PACKETS, PAYLOAD_BYTES, PACE)?;
    let arrived = sink.finish(PACKETS, WAIT)?;
    scene.guest.sink_reset()?;
    scene.lab.wire_udp_flood((scene.guest.ipv4, 9).into(), PACKETS, PAYLOAD_BYTES, PACE)?;
    let at_guest = scene.guest.sink_wait(PACKETS, WAIT)?;
    ensure!(arrived.datagrams == PACKETS && at_guest.datagrams == PACKETS, "{arrived:?} {at_guest:?}");
    let captures = captures.finish()?;
    let [tap, nic] = captures.as_slice() else { bail!("no captures") };
    let (tap, nic) = (tap.by_identity(), nic.by_identity());
    let both = tap.iter().filter_map(|(identity, tap)| Some((*tap, *nic.get(identity)?)));
    let (out, into): (Vec<_>, Vec<_>) = both.partition(|(tap, nic)| tap <= nic);
    let median = |times: Vec<(u64, u64)>| {
        let mut took: Vec<u64> = times.into_iter().map(|(tap, nic)| tap.abs_diff(nic)).collect();
        took.sort_unstable();
        took.get(took.len() / 2).copied().context("tcpdump saw no packets")
    };
    Ok(Traced { egress_ns: median(out)?, ingress_ns: median(into)?, report: tracer.finish()? })
}

fn put(scene: &Scene<'_>, site: &Site, delay: &str) -> Result<Trap> {
    let (interface, detour) = (site.interface, format!("ifb_{}", site.direction.name()));
    let (set, remove) = if site.is_on_the_way_in {
        (
            format!(
                "ip link add {detour} type ifb
                 ip link set {detour} up
                 tc qdisc add dev {detour} root netem limit 10000 delay {delay}
                 tc qdisc add dev ${interface} clsact 2> /dev/null || true
                 tc filter add dev ${interface} ingress pref 100 matchall action mirred egress redirect dev {detour}"
            ),
            format!("tc qdisc del dev ${interface} clsact; ip link del {detour}"),
        )
    } else {
        (
            format!("tc qdisc add dev ${interface} root netem limit 10000 delay {delay}"),
            format!("tc qdisc del dev ${interface} root"),
        )
    };
    scene.trap(&set, &remove)
}

fn compare(site: &Site, delay: &str, injected_ns: u64, without: &Traced, with: &Traced) -> Result<Delayed> {
    let (before, after) = (medians(&without.report, site.direction)?, medians(&with.report, site.direction)?);
    let is_here = |(from, to, _): &&(String, String, u64)| from == site.from && to == site.to;
    let here = |medians: &[(String, String, u64)]| {
        let found = medians.iter().find(is_here).map(|(.., p50)| *p50);
        found.with_context(|| format!("no segment {} → {} in {medians:?}", site.from, site.to))
    };
    let (p50_without_ns, p50_with_ns) = (here(&before)?, here(&after)?);
    let others = before.iter().zip(&after).filter(|(_, after)| !is_here(after));
    let elsewhere_ns = others.map(|(before, after)| after.2.saturating_sub(before.2)).max().unwrap_or(0);
    let witnessed_ns =
        with.whole_path_ns(site.direction).saturating_sub(without.whole_path_ns(site.direction));
    let tolerance_ns = witnessed_ns * TOLERANCE_PCT / 100 + TOLERANCE_NS;
    let added_ns = p50_with_ns.saturating_sub(p50_without_ns);
    Ok(Delayed {
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        direction: site.direction.name().to_owned(),
        segment: format!("{} → {}", site.from, site.to),
        delay: delay.to_owned(),
        injected_ns,
        witnessed_ns,
        p50_without_ns,
        p50_with_ns,
        elsewhere_ns,
        correct: added_ns.abs_diff(witnessed_ns) <= tolerance_ns
            && witnessed_ns + tolerance_ns >= injected_ns
            && elsewhere_ns <= tolerance_ns,
    })
}

/// The segments of a direction with their medians, in the path's order.
fn medians(report: &Value, direction: Direction) -> Result<Vec<(String, String, u64)>> {
    let found = report.pointer(&format!("/directions/{}", direction.name()));
    let ledger = found.and_then(|it| it.get("ledger")).context("no ledger")?;
    ensure!(ledger.get("completed").and_then(Value::as_u64) == Some(PACKETS), "{ledger}");
    let segments = found.and_then(|it| it.get("segments")?.as_array()).context("no segments")?;
    let on_path = segments.iter().filter(|it| it.get("off_path") == Some(&Value::Bool(false)));
    on_path
        .map(|segment| {
            let name = |key: &str| segment.get(key).and_then(Value::as_str).map(str::to_owned);
            let p50 = segment.pointer("/latency_ns/p50").and_then(Value::as_u64);
            name("from").zip(name("to")).zip(p50).map(|((from, to), p50)| (from, to, p50))
        })
        .map(|it| it.with_context(|| format!("a segment without figures: {found:?}")))
        .collect()
}

/// The results as lines of text, a head first.
#[must_use]
pub fn delay_table(results: &[Delayed]) -> Vec<String> {
    let head = "kernel    direction  segment     delay       p50 without     p50 with        added    witnessed  elsewhere  correct";
    let lines = results.iter().map(|it| {
        let us = |ns: u64| format!("{}.{} µs", ns / 1_000, ns % 1_000 / 100);
        format!(
            "{:8}  {:9}  {:10}  {:9}  {:>12}  {:>12}  {:>11}  {:>11}  {:>9}  {}",
            it.kernel.split(['-', '+']).next().unwrap_or_default(),
            it.direction,
            it.segment,
            it.delay,
            us(it.p50_without_ns),
            us(it.p50_with_ns),
            us(it.p50_with_ns.saturating_sub(it.p50_without_ns)),
            us(it.witnessed_ns),
            us(it.elsewhere_ns),
            if it.correct { "yes" } else { "NO" }
        )
    });
    std::iter::once(head.to_owned()).chain(lines).collect()
}
