//! Whether a delay is where it belongs.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::super::Direction;
use super::site::{Delay, REPORTED, Site, interface_of};
use super::traced::{Packet, Traced};

/// How far hoptrace may be from tcpdump: in percent of the delay that there was, and beside that. An emulated machine's timers make more of a
/// short delay than was asked for.
pub(super) const TOLERANCE_PCT: u64 = 5;
pub(super) const TOLERANCE_NS: u64 = 20_000;

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
    /// Median of the segment without the delay.
    pub p50_without_ns: u64,
    /// Median of the segment with it.
    pub p50_with_ns: u64,
    /// What the median grew by for the witness: tcpdump, or whoever holds the packets.
    pub witnessed_ns: u64,
    /// What hoptrace lacks of what tcpdump saw between the same interfaces, packet by packet: the median of that with the delay, less that
    /// without. Where packets are held by us: how far the growth of the segment's median is from that.
    pub apart_ns: u64,
    /// What the direction's other segments grew by, at most, that did not grow for tcpdump. Where it is the witness, of the fastest quarter of
    /// the packets: a delay that is in the wrong segment makes all of them later there, a stall of the machine some.
    pub elsewhere_ns: u64,
    /// Whether the delay is where it belongs.
    pub correct: bool,
    /// What is wrong; null where nothing is.
    pub wrong: Option<String>,
}

/// A delay of which nothing is known.
pub(super) fn failed(site: &Site, delay: &Delay, wrong: String) -> Delayed {
    untold((site.direction, site.from, site.to), delay.words, delay.ns, wrong)
}

/// The same for a segment of a direction, and a delay in words and nanoseconds.
pub(super) fn untold(
    (direction, from, to): (Direction, &str, &str),
    delay: &str,
    injected_ns: u64,
    wrong: String,
) -> Delayed {
    Delayed {
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        direction: direction.name().to_owned(),
        segment: format!("{from} → {to}"),
        delay: delay.to_owned(),
        injected_ns,
        p50_without_ns: 0,
        p50_with_ns: 0,
        witnessed_ns: 0,
        apart_ns: 0,
        elsewhere_ns: 0,
        correct: false,
        wrong: Some(wrong),
    }
}

/// Delay `number` of what was traced.
pub(super) fn judged(site: &Site, delay: &Delay, traced: &Traced, number: usize) -> Delayed {
    let phases = &traced.phases;
    let found =
        phases.first().zip(phases.get(number + 1)).context("no packets").and_then(|(without, with)| {
            compare(site, delay, without.packets(site.direction), with.packets(site.direction), traced)
        });
    found.unwrap_or_else(|error| failed(site, delay, format!("{error:#}")))
}

fn compare(
    site: &Site,
    delay: &Delay,
    without: &[Packet],
    with: &[Packet],
    traced: &Traced,
) -> Result<Delayed> {
    let both = |time: &dyn Fn(&Packet) -> Option<i64>| {
        Ok::<_, anyhow::Error>((quantile(without, HALF, time)?, quantile(with, HALF, time)?))
    };
    let fastest = |time: &dyn Fn(&Packet) -> Option<i64>| {
        Ok::<_, anyhow::Error>((quantile(without, QUARTER, time)?, quantile(with, QUARTER, time)?))
    };
    let here = both(&|packet| packet.ours(site.from, site.to))?;
    let witnessed = grown(both(&|packet| packet.theirs(site.witness_from, site.to))?);
    // Between the interfaces where tcpdump sees the delay, which may be more than the segment; what that adds is looked at below.
    let apart = grown(both(&|packet| {
        Some(packet.theirs(site.witness_from, site.to)? - packet.ours(site.witness_from, site.to)?)
    })?);
    let mut elsewhere = 0;
    for (from, to) in segments(with) {
        if (from.as_str(), to.as_str()) == (site.from, site.to) {
            continue;
        }
        let ours = grown(fastest(&|packet| packet.ours(&from, &to))?);
        // Into the interface whose queue delays, tcpdump sees the delay, and we do not.
        let is_hidden = site.hidden_hook().is_some_and(|hook| interface_of(hook) == interface_of(&to));
        let theirs = if is_hidden { 0 } else { grown(fastest(&|packet| packet.theirs(&from, &to))?) };
        elsewhere = elsewhere.max(ours - theirs.max(0));
    }
    let injected = i64::try_from(delay.ns)?;
    let tolerance = injected.max(witnessed) * TOLERANCE_PCT.cast_signed() / 100 + TOLERANCE_NS.cast_signed();
    let mut wrong = Vec::new();
    let mut check = |is_right: bool, what: String| {
        if !is_right {
            wrong.push(what);
        }
    };
    check(witnessed + tolerance >= injected, "tcpdump does not see the delay".to_owned());
    check(apart.abs() <= tolerance, "hoptrace and tcpdump differ".to_owned());
    check(elsewhere <= tolerance, "another segment grew".to_owned());
    if delay.words == REPORTED {
        let (ours, theirs) = (reported_p50_ns(site, traced)?, witnessed_p50_ns(site, traced)?);
        let what = format!("the report's median is {ours} ns, tcpdump's {theirs} ns");
        check(
            (ours - theirs).abs() <= theirs * TOLERANCE_PCT.cast_signed() / 100 + TOLERANCE_NS.cast_signed(),
            what,
        );
    }
    let unsigned = |ns: i64| ns.max(0).unsigned_abs();
    Ok(Delayed {
        p50_without_ns: unsigned(here.0),
        p50_with_ns: unsigned(here.1),
        witnessed_ns: unsigned(witnessed),
        apart_ns: apart.unsigned_abs(),
        elsewhere_ns: unsigned(elsewhere),
        correct: wrong.is_empty(),
        wrong: (!wrong.is_empty()).then(|| wrong.join("; ")),
        ..failed(site, delay, String::new())
    })
}

/// The segment's median in the report.
fn reported_p50_ns(site: &Site, traced: &Traced) -> Result<i64> {
    let segment = traced.report.direction(site.direction).segment(site.from, site.to)?;
    Ok(i64::try_from(segment.ns()?.p50)?)
}

/// What it was for tcpdump: of the packets that went this way, and not the other one.
fn witnessed_p50_ns(site: &Site, traced: &Traced) -> Result<i64> {
    let at = |hook: &str| {
        let found = traced.seen.iter().find(|(interface, _)| *interface == interface_of(hook));
        found.map(|(_, times)| times).with_context(|| format!("tcpdump was not at {hook}"))
    };
    let (from, to) = (at(site.witness_from)?, at(site.to)?);
    let took = from
        .iter()
        .filter_map(|(identity, at)| to.get(identity)?.cast_signed().checked_sub(at.cast_signed()));
    let mut took: Vec<i64> = took.filter(|ns| *ns > 0).collect();
    took.sort_unstable();
    took.get(took.len() / 2).copied().context("tcpdump saw no packets")
}

const fn grown((without, with): (i64, i64)) -> i64 {
    with - without
}

/// The segments of a direction, as most packets took them.
fn segments(packets: &[Packet]) -> Vec<(String, String)> {
    let longest = packets.iter().max_by_key(|packet| packet.hooks.len());
    let hooks = longest.map_or(&[][..], |packet| &packet.hooks);
    hooks.iter().zip(hooks.iter().skip(1)).map(|((from, _), (to, _))| (from.clone(), to.clone())).collect()
}

/// Parts of the packets.
const HALF: usize = 2;
const QUARTER: usize = 4;

/// What `time` says at most of this part of the packets, the fastest; of a few it may say nothing.
fn quantile(packets: &[Packet], part: usize, time: &dyn Fn(&Packet) -> Option<i64>) -> Result<i64> {
    let mut times: Vec<i64> = packets.iter().filter_map(time).collect();
    times.sort_unstable();
    let is_enough = times.len() * 10 >= packets.len() * 9;
    times
        .get(times.len() / part)
        .copied()
        .filter(|_| is_enough)
        .with_context(|| format!("only {} of {} packets were seen at both ends", times.len(), packets.len()))
}

impl Packet {
    /// From hook to hook, by hoptrace.
    fn ours(&self, from: &str, to: &str) -> Option<i64> {
        let at = |name: &str| self.hooks.iter().find(|(hook, _)| hook == name).map(|(_, at_ns)| *at_ns);
        Some(at(to)?.cast_signed() - at(from)?.cast_signed())
    }

    /// From one hook's interface to the other one's, by tcpdump.
    fn theirs(&self, from: &str, to: &str) -> Option<i64> {
        let at = |hook: &str| self.interfaces.get(interface_of(hook)).copied();
        Some(at(to)?.cast_signed() - at(from)?.cast_signed())
    }
}

/// The results as lines of text, a head first.
#[must_use]
pub fn delay_table(results: &[Delayed]) -> Vec<String> {
    let head = "kernel    direction  segment     delay       p50 without     p50 with        added      witness    apart  elsewhere  correct";
    let lines = results.iter().map(|it| {
        let us = |ns: u64| format!("{}.{} µs", ns / 1_000, ns % 1_000 / 100);
        format!(
            "{:8}  {:9}  {:10}  {:9}  {:>12}  {:>12}  {:>11}  {:>11}  {:>7}  {:>9}  {}",
            it.kernel.split(['-', '+']).next().unwrap_or_default(),
            it.direction,
            it.segment,
            it.delay,
            us(it.p50_without_ns),
            us(it.p50_with_ns),
            us(it.p50_with_ns.saturating_sub(it.p50_without_ns)),
            us(it.witnessed_ns),
            us(it.apart_ns),
            us(it.elsewhere_ns),
            it.wrong.as_deref().map_or_else(|| "yes".to_owned(), |wrong| format!("NO: {wrong}")),
        )
    });
    std::iter::once(head.to_owned()).chain(lines).collect()
}
