//! Packets that look alike: repetitions of what died, bursts of equal ones, and protocols whose packets differ late in their
//! payload. Each is counted as what it is, and what can be told apart is timed.

use std::{
    net::{SocketAddr, UdpSocket},
    process::Command,
    thread,
    time::Instant,
};

use hoptrace_tests::prelude::*;

const PORT: u16 = 4444;
/// What is periodic comes again after this.
const PERIOD: Duration = Duration::from_millis(20);

/// What a rule on the bridge drops while it is set: datagrams to [`PORT`].
fn trap(family: &str) -> Result<Trap> {
    let port = PORT.to_string();
    let protocol = if family == "IPv6" { "--ip6-proto" } else { "--ip-proto" };
    let to = if family == "IPv6" { "--ip6-dport" } else { "--ip-dport" };
    let rule = ["FORWARD", "-p", family, protocol, "udp", to, &port, "-j", "DROP"];
    let words = |action: &'static str| [&[action][..], &rule].concat();
    Trap::set("ebtables-nft", &words("-A"), &words("-D"))
}

/// Waits until the rule has dropped so many: what the wire has sent is still on its way through a switch in user space.
fn dropped(packets: u64) -> Result<()> {
    let started = Instant::now();
    let counted = format!("pcnt = {packets} ");
    loop {
        let rules = Command::new("ebtables-nft").args(["-L", "FORWARD", "--Lc"]).output()?;
        let rules = String::from_utf8(rules.stdout)?;
        let rule = rules.lines().find(|line| line.contains(&format!("{PORT}")) && line.contains("-j DROP"));
        if rule.is_some_and(|rule| rule.contains(&counted)) {
            return Ok(());
        }
        ensure!(started.elapsed() < Duration::from_secs(5), "{rules}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A socket on the wire that is not connected: IPv4's IP-ID stays 0, so that equal datagrams are equal packets.
fn send_from_wire(lab: &Lab, to: SocketAddr, pace: Duration, messages: &[Vec<u8>]) -> Result<()> {
    lab.in_wire(|| {
        let any = if to.is_ipv4() { "0.0.0.0:5555" } else { "[::]:5555" };
        let socket = UdpSocket::bind(any).context("bind")?;
        for message in messages {
            socket.send_to(message, to).context("send")?;
            if !pace.is_zero() {
                thread::sleep(pace);
            }
        }
        Ok(())
    })
}

/// Each when the one before it has arrived, and [`PERIOD`] later: no two are on their way at a time.
fn send_one_by_one(lab: &Lab, guest: &Guest, messages: &[Vec<u8>]) -> Result<()> {
    for message in messages {
        let before = InterfaceCounts::of(&guest.tap)?;
        let to = SocketAddr::from((guest.ipv4, PORT));
        send_from_wire(lab, to, PERIOD, std::slice::from_ref(message))?;
        before.wait_for_sent(&guest.tap, 1)?;
    }
    Ok(())
}

/// A trace with the wire and the guest knowing each other: a question for an address would hold packets up.
fn start(lab: &Lab, guest: &Guest, filter: &[&str]) -> Result<Tracer> {
    for address in [guest.ipv4.to_string(), guest.ipv6.to_string()] {
        let ping = lab.wire("ping", ["-q", "-c", "1", "-W", "5", &address]).output()?;
        ensure!(ping.status.success(), "{address} does not answer");
    }
    Tracer::start(&[&["trace", &guest.port_id, "--json"], filter].concat())
}

/// The ledger balances, and says these counts, of packets that look alike nothing, and of the others 0.
fn ledger_is(ledger: &Ledger, expected: &Ledger) -> Result<()> {
    let Ledger { entered, joined_midway, completed, dropped, lost, in_flight, evicted, untracked, .. } =
        *expected;
    let beside = Ledger { in_flight, evicted, untracked, ..*ledger };
    ledger.expect(&Ledger { entered, joined_midway, completed, dropped, lost, ..beside })
}

/// The same, and no packet looked like another one.
fn told_apart(ledger: &Ledger, expected: &Ledger) -> Result<()> {
    ledger_is(ledger, expected)?;
    ledger.expect(&Ledger { ambiguous: 0, ..*ledger })
}

/// Nothing is unclear about `messages` that came in, all timed.
fn all_timed(report: &Report, messages: u64) -> Result<()> {
    let found = report.ingress();
    let all = Ledger { entered: messages, completed: messages, ..Ledger::default() };
    told_apart(&found.ledger, &all)?;
    ensure!(found.total.count == messages && found.total.latency_ns.is_some(), "{found}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_died_and_is_sent_again_died_and_came() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let messages: Vec<Vec<u8>> = (0..21_u8).map(|number| vec![number; 40]).collect();
    for (family, to) in
        [("IPv4", SocketAddr::from((guest.ipv4, PORT))), ("IPv6", SocketAddr::from((guest.ipv6, PORT)))]
    {
        let tracer = start(&lab, guest, &["udp", "port", "4444"])?;
        let trap = trap(family)?;
        send_from_wire(&lab, to, Duration::ZERO, &messages)?;
        dropped(21)?;
        trap.take_away()?;
        // Long before the time-out.
        send_from_wire(&lab, to, Duration::ZERO, &messages)?;
        let report = tracer.finish()?;
        let found = report.ingress();
        let expected = Ledger { entered: 42, completed: 21, dropped: 21, ..Ledger::default() };
        told_apart(&found.ledger, &expected).context(family)?;
        let drop = found.only_drop().context(family)?;
        ensure!(drop.count == 21 && drop.after == "qvb", "{family}: {found}");
        ensure!(drop.reason.as_deref() == Some("NETFILTER_DROP"), "{family}: {found}");
        ensure!(drop.example.is_some() && found.total.count == 21, "{family}: {found}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_periodic_message_of_which_one_dies() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let to = SocketAddr::from((guest.ipv4, PORT));
    let equal = |count: usize| vec![b"the same every time, as BFD is".to_vec(); count];
    let tracer = start(&lab, guest, &["udp", "port", "4444"])?;
    send_one_by_one(&lab, guest, &equal(20))?;
    let trap = trap("IPv4")?;
    send_from_wire(&lab, to, PERIOD, &equal(1))?;
    dropped(1)?;
    trap.take_away()?;
    send_one_by_one(&lab, guest, &equal(40))?;
    let report = tracer.finish()?;
    let found = report.ingress();
    let expected = Ledger { entered: 61, completed: 60, dropped: 1, ..Ledger::default() };
    told_apart(&found.ledger, &expected)?;
    ensure!(found.total.count == 60, "{found}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn equal_ones_at_once_are_counted_and_those_behind_them_are_timed() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let to = SocketAddr::from((guest.ipv4, PORT));
    let equal = |count: usize| vec![b"equal".repeat(10); count];
    let tracer = start(&lab, guest, &["udp", "port", "4444"])?;
    let before = InterfaceCounts::of(&guest.tap)?;
    send_from_wire(&lab, to, Duration::ZERO, &equal(32))?;
    before.wait_for_sent(&guest.tap, 32)?;
    send_one_by_one(&lab, guest, &equal(50))?;
    let report = tracer.finish()?;
    let found = report.ingress();
    ledger_is(&found.ledger, &Ledger { entered: 82, completed: 82, ..Ledger::default() })?;
    ensure!(found.ledger.ambiguous <= 32, "{found}");
    for segment in found.on_path() {
        ensure!(segment.count == 82, "{segment}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn bursts_of_ordinary_protocols_are_told_apart() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let message = |what: &str, number: u32| match what {
        "syslog" => format!("<134>Nov 24 16:40:41 compute-17 app[1234]: request {number} done"),
        "SIP" => format!(
            "OPTIONS sip:bob@biloxi.example.com SIP/2.0\r\nVia: SIP/2.0/UDP \
             client.atlanta.example.com:5060;branch=z9hG4bK74b43-{number}\r\nMax-Forwards: 70\r\n"
        ),
        "zeros" => "\0".repeat(number as usize + 1),
        _ => format!("{:08}{:08}{:04}", 5, 1, number),
    };
    for what in ["syslog", "SIP", "sFlow", "zeros"] {
        for to in [SocketAddr::from((guest.ipv4, PORT)), SocketAddr::from((guest.ipv6, PORT))] {
            let tracer = start(&lab, guest, &["udp", "port", "4444"])?;
            let messages: Vec<_> = (0..96).map(|number| message(what, number).into_bytes()).collect();
            for burst in messages.chunks(32) {
                send_from_wire(&lab, to, Duration::ZERO, burst)?;
            }
            let report = tracer.finish().with_context(|| format!("{what} to {to}"))?;
            all_timed(&report, 96).with_context(|| format!("{what} to {to}"))?;
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn equal_ones_once_a_second_into_a_drop_rule() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let to = SocketAddr::from((guest.ipv4, PORT));
    let tracer = start(&lab, guest, &["udp", "port", "4444"])?;
    let _trap = trap("IPv4")?;
    send_from_wire(&lab, to, Duration::from_millis(950), &vec![b"once a second".repeat(3); 4])?;
    let report = tracer.finish()?;
    told_apart(&report.ingress().ledger, &Ledger { entered: 4, dropped: 4, ..Ledger::default() })
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_flood_into_a_drop_rule_is_told_to_the_last() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let _trap = trap("IPv4")?;
    // A table with room for a twentieth of them.
    let tracer = start(&lab, guest, &["--inflight", "2048", "udp", "port", "4444"])?;
    let sent = lab.wire_udp_flood((guest.ipv4, PORT).into(), 40_000, 64, Duration::from_micros(20))?;
    let report = tracer.finish()?;
    let ledger = report.ingress().ledger;
    // What the switch's socket had no room for is lost before the bridge, and nothing else is.
    let expected = Ledger { entered: sent.sent, untracked: 0, ambiguous: 0, ..ledger };
    ledger.expect(&expected)?;
    ensure!(ledger.dropped + ledger.lost == sent.sent && ledger.dropped > sent.sent / 2, "{ledger}");
    Ok(())
}

/// TCP without timestamps while it lives: nothing but the numbers tells segments apart.
fn without_timestamps(lab: &Lab) -> Result<Trap> {
    let netns = format!("--net=/run/netns/{}", lab.wire.netns);
    let words = |value: &'static str| [netns.as_str(), "sysctl", "-qw", value].map(str::to_owned);
    let (off, on) = (words("net.ipv4.tcp_timestamps=0"), words("net.ipv4.tcp_timestamps=1"));
    Trap::set("nsenter", &off.each_ref().map(String::as_str), &on.each_ref().map(String::as_str))
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn short_connections_have_no_two_segments_that_look_alike() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let _plain = without_timestamps(&lab)?;
    for to in [SocketAddr::from((guest.ipv4, 7)), SocketAddr::from((guest.ipv6, 7))] {
        let tracer = start(&lab, guest, &["tcp"])?;
        for _ in 0..100 {
            let echoed = lab.wire_tcp_echo(to, 300)?;
            ensure!(echoed == 300, "{echoed} of 300 bytes came back");
        }
        let report = tracer.finish()?;
        for (direction, found) in report.directions.both() {
            let entered = found.ledger.entered;
            // An acknowledgement may travel with the next segment.
            ensure!(entered >= 300, "{to} {direction}: {found}");
            let all = Ledger { entered, completed: entered, ..Ledger::default() };
            told_apart(&found.ledger, &all).with_context(|| format!("{to} {direction}"))?;
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_long_echo_over_ipv6_is_told_segment_by_segment() -> Result<()> {
    const BYTES: u64 = 5 << 20;
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let _plain = without_timestamps(&lab)?;
    let tracer = start(&lab, guest, &["tcp"])?;
    let echoed = lab.wire_tcp_echo((guest.ipv6, 7).into(), BYTES)?;
    ensure!(echoed == BYTES, "{echoed} bytes came back");
    let report = tracer.finish()?;
    let mut lost = 0;
    for (direction, found) in report.directions.both() {
        let ledger = found.ledger;
        let none = Ledger { joined_midway: 0, dropped: 0, in_flight: 0, untracked: 0, ..ledger };
        ledger.expect(&none).context(direction)?;
        // Acknowledgements that say the same again; and what a socket had no room for, which dies out of the tracer's sight:
        // what is sent again looks like it, so neither is timed.
        let alike = ledger.entered / 100 + 2 * ledger.lost;
        ensure!(ledger.ambiguous <= alike, "{direction}: {ledger}");
        ensure!(ledger.completed > BYTES / 65_536, "{direction}: {ledger}");
        lost += ledger.lost;
    }
    // A userspace datapath may read too slowly for a stream, which then sends again: the kernel counts the same.
    let sockets = report.evidence.iter().filter(|it| it.source == "socket");
    let full: u64 = sockets.map(|it| it.count).sum();
    ensure!(lost == full, "{lost} lost, {full} for want of room: {:?}", report.findings);
    Ok(())
}
