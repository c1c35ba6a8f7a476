//! What is ordinary on a wire: every packet of it arrives, and the report says so in one word.

use std::net::Ipv4Addr;
use std::thread;

use hoptrace_tests::frames::{self, Ends, Traffic};
use hoptrace_tests::prelude::*;

/// What is periodic comes again after this.
const PERIOD: Duration = Duration::from_millis(50);

/// Which packets can be told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    All,
    Some,
}

/// Frames between the wire and the guest for addresses that neither has, so that nobody answers.
fn ends(lab: &Lab, guest: &Guest, way: Direction) -> Result<Ends> {
    let ends = Ends {
        macs: [frames::mac(&lab.wire.mac)?, frames::mac(&guest.mac)?],
        ipv4: [Ipv4Addr::new(10, 99, 99, 201), Ipv4Addr::new(10, 99, 99, 202)],
        ipv6: ["fd99::c1".parse()?, "fd99::c2".parse()?],
    };
    Ok(if way == Ingress { ends } else { ends.back() })
}

/// How frames follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    AtOnce,
    /// Each when the one before it has arrived, and a while later.
    OneByOne,
}

fn send(lab: &Lab, guest: &Guest, way: Direction, traffic: &[Traffic], pace: Pace) -> Result<()> {
    let at_once = |frames: &[Vec<u8>]| match way {
        Ingress => lab.in_wire(|| frames::send(&lab.wire.interface, frames)),
        Egress => guest.send_frames(frames),
    };
    let last = if way == Ingress { &guest.tap } else { &lab.nic };
    for Traffic { name, frames } in traffic {
        let sent = match pace {
            Pace::AtOnce => at_once(frames),
            Pace::OneByOne => frames.iter().try_for_each(|frame| {
                let before = InterfaceCounts::of(last)?;
                at_once(std::slice::from_ref(frame))?;
                before.wait_for_sent(last, 1)?;
                thread::sleep(PERIOD);
                Ok(())
            }),
        };
        sent.with_context(|| format!("send {name}"))?;
    }
    Ok(())
}

/// The report of a trace of `traffic`.
fn traced(lab: &Lab, guest: &Guest, way: Direction, traffic: &[Traffic], pace: Pace) -> Result<Report> {
    lab.forget_neighbours()?;
    // The switches know both ends then. A ping would do that, too, but have the guest's kernel ask later whether the wire is still there.
    for way in [Ingress, Egress] {
        let hello = frames::without_identity(&ends(lab, guest, way)?);
        send(lab, guest, way, hello.get(..1).unwrap_or_default(), pace)?;
    }
    let tracer = Tracer::start(&["trace", &guest.port_id, "--json"])?;
    let before = InterfaceCounts::of(&guest.tap)?;
    send(lab, guest, way, traffic, pace)?;
    if way == Egress {
        // The guest says that it has sent them before they have left it.
        let count: usize = traffic.iter().map(|traffic| traffic.frames.len()).sum();
        before.wait_for_received(&guest.tap, count as u64)?;
    }
    tracer.finish()
}

/// Whether all `count` packets arrived, each is timed or looked like another one, and nothing else is said.
fn is_right(report: &Report, way: Direction, count: u64, tells: Tells) -> bool {
    let found = report.direction(way);
    let ledger = found.ledger;
    let all = Ledger { entered: count, completed: count, elsewhere: 0, copies: 0, ..ledger };
    let none = Ledger { joined_midway: 0, dropped: 0, lost: 0, misdelivered: 0, ..all };
    ledger.expect(&Ledger { in_flight: 0, untracked: 0, ..none }).is_ok()
        && found.total.count == count
        && match tells {
            Tells::All => ledger.ambiguous == 0,
            Tells::Some => ledger.ambiguous <= count,
        }
        && report.first().is_ok_and(|first| first.code == "nothing-died")
}

fn packets(traffic: &[Traffic]) -> u64 {
    traffic.iter().map(|it| it.frames.len() as u64).sum()
}

/// All of it in one trace; where that is wrong, each protocol by itself, to name it.
fn assert_right(way: Direction, traffic: fn(&Ends) -> Vec<Traffic>, pace: Pace, tells: Tells) -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let traffic = traffic(&ends(&lab, guest, way)?);
    let report = traced(&lab, guest, way, &traffic, pace)?;
    if is_right(&report, way, packets(&traffic), tells) {
        return Ok(());
    }
    let mut wrong = Vec::new();
    for protocol in &traffic {
        let one = std::slice::from_ref(protocol);
        let report = traced(&lab, guest, way, one, pace)?;
        if !is_right(&report, way, packets(one), tells) {
            let found = report.direction(way);
            wrong.push(format!(
                "{} ({}): {} {:?}",
                protocol.name,
                packets(one),
                found.ledger,
                report.findings
            ));
        }
    }
    bail!("{way} of {} packets: {report}\n{}", packets(&traffic), wrong.join("\n"))
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn bursts_to_the_guest_arrive() -> Result<()> {
    assert_right(Ingress, frames::ordinary, Pace::AtOnce, Tells::All)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn bursts_from_the_guest_arrive() -> Result<()> {
    assert_right(Egress, frames::ordinary, Pace::AtOnce, Tells::All)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_is_sent_again_and_again_arrives() -> Result<()> {
    assert_right(Ingress, frames::periodic, Pace::OneByOne, Tells::All)?;
    assert_right(Egress, frames::periodic, Pace::OneByOne, Tells::All)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn equal_ones_at_once_arrive() -> Result<()> {
    assert_right(Ingress, frames::alike, Pace::AtOnce, Tells::Some)?;
    assert_right(Egress, frames::alike, Pace::AtOnce, Tells::Some)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_is_no_ip_is_counted_at_each_hook() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    for way in [Ingress, Egress] {
        let traffic = frames::without_identity(&ends(&lab, guest, way)?);
        let report = traced(&lab, guest, way, &traffic, Pace::AtOnce)?;
        let found = report.direction(way);
        let on_path = found.hooks.iter().filter(|hook| hook.hook != "neighbour").count() as u64;
        ensure!(found.ledger.unparsed == on_path * packets(&traffic), "{way}: {report}");
        ensure!(found.ledger.entered == 0 && found.ledger.lost == 0, "{way}: {report}");
    }
    Ok(())
}

/// A rule for IP in IP, as that of a security group which lets none through; GRE beside it is not asked for.
#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn drops_of_another_protocol_of_ip_are_told_by_its_name_and_filtered_by_it() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let rule = ["FORWARD", "-p", "IPv4", "--ip-proto", "4", "-j", "DROP"];
    let words = |action: &'static str| [&[action][..], &rule].concat();
    let _rule = Trap::set("ebtables-nft", &words("-A"), &words("-D"))?;
    for way in [Ingress, Egress] {
        let all = frames::ordinary(&ends(&lab, guest, way)?);
        let traffic: Vec<Traffic> =
            all.into_iter().filter(|it| ["IP in IP", "GRE"].contains(&it.name)).collect();
        let doomed =
            traffic.iter().find(|it| it.name == "IP in IP").context("no IP in IP")?.frames.len() as u64;
        let tracer = Tracer::start(&["drops", &guest.port_id, "proto", "ipip", "--json"])?;
        send(&lab, guest, way, &traffic, Pace::AtOnce)?;
        let report = tracer.finish_drops()?;
        let found = report.direction(way);
        let drop = found.only_drop().context(way)?;
        let after = if way == Ingress { "qvb" } else { "tap" };
        ensure!(drop.count == doomed && drop.after == after, "{way}: {found}");
        ensure!(drop.reason.as_deref() == Some("NETFILTER_DROP"), "{drop}");
        ensure!(drop.example.as_ref().is_some_and(|it| it.protocol == "ip-in-ip"), "{drop}");
        found.ledger.expect(&Ledger {
            entered: doomed,
            dropped: doomed,
            completed: 0,
            lost: 0,
            ..found.ledger
        })?;
    }
    Ok(())
}
