//! What is ordinary on a wire: every packet of it arrives, and the report says so in one word.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a panic is a failed test; a JSON value that is missing reads as null"
)]

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    Tracer,
    frames::{self, Ends, Traffic},
    lab::{Guest, Lab},
};
use serde_json::Value;

/// Which way packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToGuest,
    FromGuest,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::ToGuest => "ingress",
            Self::FromGuest => "egress",
        }
    }
}

/// Which packets can be told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    All,
    Some,
}

/// Frames between the wire and the guest for addresses that neither has, so that nobody answers.
fn ends(lab: &Lab, guest: &Guest, way: Way) -> Result<Ends> {
    let ends = Ends {
        macs: [frames::mac(&lab.wire.mac)?, frames::mac(&guest.mac)?],
        ipv4: [Ipv4Addr::new(10, 99, 99, 201), Ipv4Addr::new(10, 99, 99, 202)],
        ipv6: ["fd99::c1".parse()?, "fd99::c2".parse()?],
    };
    Ok(if way == Way::ToGuest { ends } else { ends.back() })
}

fn send(lab: &Lab, guest: &Guest, way: Way, traffic: &[Traffic], pace: Duration) -> Result<()> {
    for Traffic { name, frames } in traffic {
        let sent = match way {
            Way::ToGuest => lab.in_wire(|| frames::send(&lab.wire.interface, frames, pace)),
            Way::FromGuest => guest.send_frames(frames, pace),
        };
        sent.with_context(|| format!("send {name}"))?;
    }
    Ok(())
}

/// The report of a trace of `traffic`.
fn traced(lab: &Lab, guest: &Guest, way: Way, traffic: &[Traffic], pace: Duration) -> Result<Value> {
    lab.forget_neighbours()?;
    // The switches know both ends then. A ping would do that, too, but have the guest's kernel ask later whether the wire is still there.
    for way in [Way::ToGuest, Way::FromGuest] {
        let hello = frames::without_identity(&ends(lab, guest, way)?);
        send(lab, guest, way, hello.get(..1).unwrap_or_default(), pace)?;
    }
    let tracer = Tracer::start(&["trace", &guest.port_id, "--json"])?;
    send(lab, guest, way, traffic, pace)?;
    tracer.finish()
}

/// Whether all `count` packets arrived, each is timed or looked like another one, and nothing else is said.
fn is_right(report: &Value, way: Way, count: u64, tells: Tells) -> bool {
    let found = &report["directions"][way.name()];
    let zero =
        ["joined_midway", "dropped", "lost", "misdelivered", "in_flight", "untracked", "elsewhere", "copies"];
    let ledger = &found["ledger"];
    ledger["balanced"] == true
        && ledger["entered"] == count
        && ledger["completed"] == count
        && found["total"]["count"] == count
        && ledger["ambiguous"].as_u64().is_some_and(|alike| match tells {
            Tells::All => alike == 0,
            Tells::Some => alike <= count,
        })
        && zero.iter().all(|name| ledger[name] == 0)
        && report["findings"][0]["code"] == "nothing-died"
}

fn packets(traffic: &[Traffic]) -> u64 {
    traffic.iter().map(|it| it.frames.len() as u64).sum()
}

/// All of it in one trace; where that is wrong, each protocol by itself, to name it.
fn assert_right(way: Way, traffic: fn(&Ends) -> Vec<Traffic>, pace: Duration, tells: Tells) -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let traffic = traffic(&ends(&lab, guest, way)?);
    let report = traced(&lab, guest, way, &traffic, pace)?;
    if is_right(&report, way, packets(&traffic), tells) {
        return Ok(());
    }
    let mut wrong = Vec::new();
    for one in &traffic {
        let one = std::slice::from_ref(one);
        let report = traced(&lab, guest, way, one, pace)?;
        if !is_right(&report, way, packets(one), tells) {
            let found = &report["directions"][way.name()];
            wrong.push(format!(
                "{} ({}): {} {}",
                one[0].name,
                packets(one),
                found["ledger"],
                report["findings"]
            ));
        }
    }
    anyhow::bail!("{} of {} packets: {report}\n{}", way.name(), packets(&traffic), wrong.join("\n"))
}

/// Long enough for a packet to arrive, also on an emulated machine.
const PERIOD: Duration = Duration::from_millis(50);

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn bursts_to_the_guest_arrive() -> Result<()> {
    assert_right(Way::ToGuest, frames::ordinary, Duration::ZERO, Tells::All)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn bursts_from_the_guest_arrive() -> Result<()> {
    assert_right(Way::FromGuest, frames::ordinary, Duration::ZERO, Tells::All)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_is_sent_again_and_again_arrives() -> Result<()> {
    assert_right(Way::ToGuest, frames::periodic, PERIOD, Tells::All)?;
    assert_right(Way::FromGuest, frames::periodic, PERIOD, Tells::All)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn equal_ones_at_once_arrive() -> Result<()> {
    assert_right(Way::ToGuest, frames::alike, Duration::ZERO, Tells::Some)?;
    assert_right(Way::FromGuest, frames::alike, Duration::ZERO, Tells::Some)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_is_no_ip_is_counted_at_each_hook() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    for way in [Way::ToGuest, Way::FromGuest] {
        let traffic = frames::without_identity(&ends(&lab, guest, way)?);
        let report = traced(&lab, guest, way, &traffic, Duration::ZERO)?;
        let found = &report["directions"][way.name()];
        let hooks = found["hooks"].as_array().context("no hooks")?;
        let on_path = hooks.iter().filter(|hook| hook["hook"] != "neighbour").count() as u64;
        ensure!(found["ledger"]["unparsed"] == on_path * packets(&traffic), "{way:?}: {report}");
        ensure!(found["ledger"]["entered"] == 0 && found["ledger"]["lost"] == 0, "{way:?}: {report}");
    }
    Ok(())
}
