//! Ports that come while others are traced, on hosts of other kinds: with XDP, with hooks where drivers take over, without a NIC.

use std::{
    future::pending,
    io::{Read as _, Write as _},
    net::UdpSocket,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use hoptrace::{
    model::{Direction, HookChoice, Ledger, Report, XdpMode},
    trace::{Ending, TraceOptions, Tracer},
};

use super::{
    host::{
        DATAGRAMS, UDP_PORT, ensure_sent, host, id, isolated_host, options, run, send, sent, short, trace,
    },
    veths::{in_namespace, ip},
};

/// Makes the wire's end of the NIC an interface from which VM `number` can be sent to.
fn wire_to(number: u16) -> Result<()> {
    let [high, low] = number.to_be_bytes();
    ip(&format!("neigh replace 192.0.2.{low} lladdr fa:16:3e:00:{high:02x}:{low:02x} dev wire0"))
}

/// Sends datagrams from the wire to a VM.
fn come(number: u16) -> Result<()> {
    let [_, low] = number.to_be_bytes();
    let socket = UdpSocket::bind(format!("192.0.2.254:{UDP_PORT}"))?;
    for datagram in 0..DATAGRAMS {
        let words = format!("datagram {datagram} to {number}");
        socket.send_to(words.as_bytes(), format!("192.0.2.{low}:{UDP_PORT}"))?;
    }
    Ok(())
}

/// Sends datagrams out of the NIC as a switch does that has got them from a VM: under its address.
fn go(number: u16) -> Result<()> {
    let [high, low] = number.to_be_bytes();
    ip(&format!("link set nic0 address fa:16:3e:00:{high:02x}:{low:02x}"))?;
    // With another address an interface forgets its neighbours.
    ip("neigh replace 198.51.100.2 lladdr 02:00:00:00:00:02 dev nic0")?;
    let socket = UdpSocket::bind(format!("198.51.100.1:{UDP_PORT}"))?;
    for datagram in 0..DATAGRAMS {
        let words = format!("datagram {datagram} of {number}");
        socket.send_to(words.as_bytes(), format!("198.51.100.2:{UDP_PORT}"))?;
    }
    Ok(())
}

/// How many packets passed the hook that is called so, on a VM's way.
fn seen(report: &Report, number: u16, way: Direction, hook: &str) -> Result<u64> {
    let hooks = &sent(report, number)?.directions.get(way).hooks;
    hooks.iter().find(|found| found.hook == hook).map(|found| found.seen).context("no such hook")
}

/// Whether all datagrams of one way are in a VM's ledger, where `counted` looks, and at both hooks.
fn ensure_seen(
    report: &Report,
    number: u16,
    way: Direction,
    counted: fn(&Ledger) -> u64,
    hooks: [&str; 2],
) -> Result<()> {
    let ledger = sent(report, number)?.directions.get(way).ledger;
    ensure!(ledger.balanced && counted(&ledger) == DATAGRAMS, "VM {number}: {ledger:?}");
    let at = hooks.map(|hook| seen(report, number, way, hook));
    ensure!(at.iter().all(|seen| matches!(seen, Ok(DATAGRAMS))), "VM {number}: {at:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_port_that_comes_has_the_hooks_of_xdp_like_those_before() -> Result<()> {
    in_namespace(|| {
        let ovsdb = host(2)?;
        ip("address add 192.0.2.254/24 dev wire0")?;
        (1..=2).try_for_each(wire_to)?;
        run(async {
            let options = TraceOptions { xdp: Some(XdpMode::Generic), ..options(&ovsdb)? };
            let mut tracer = Tracer::start([id(1).as_str()], options).await?;
            come(2)?;
            tracer.add(&id(2)).await?;
            come(1)?;
            come(2)?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            let report = tracer.finish(&Ending::Wanted, pending).await;
            (1..=2).try_for_each(|number| {
                ensure_seen(&report, number, Direction::Ingress, |ledger| ledger.entered, ["xdp", "nic"])
            })
        })
    })
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_port_that_comes_has_the_hook_at_the_wire_like_those_before() -> Result<()> {
    in_namespace(|| {
        let ovsdb = host(2)?;
        ip("address add 198.51.100.1/24 dev nic0")?;
        run(async {
            let options = TraceOptions { wire: true, ..options(&ovsdb)? };
            let mut tracer = Tracer::start([id(1).as_str()], options).await?;
            go(2)?;
            tracer.add(&id(2)).await?;
            go(1)?;
            go(2)?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            let report = tracer.finish(&Ending::Wanted, pending).await;
            (1..=2).try_for_each(|number| {
                ensure_seen(&report, number, Direction::Egress, |ledger| ledger.completed, ["nic", "wire"])
            })
        })
    })
}

/// A network namespace that lasts as long as this.
struct Away(Child);

impl Drop for Away {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn an_interface_without_a_hook_that_moves_away_takes_its_port_along() -> Result<()> {
    in_namespace(|| {
        let ovsdb = host(2)?;
        let mut child = Command::new("unshare")
            .args(["-n", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        // It echoes when it is there.
        child.stdin.as_mut().context("no stdin")?.write_all(b"x")?;
        child.stdout.as_mut().context("no stdout")?.read_exact(&mut [0])?;
        let away = Away(child);
        run(async {
            let options = TraceOptions { hooks: HookChoice::Few, ..options(&ovsdb)? };
            let mut tracer = Tracer::start([id(1).as_str(), id(2).as_str()], options).await?;
            (1..=2).try_for_each(send)?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            ip(&format!("link set qvb{} netns {}", short(2), away.0.id()))?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            ensure!(tracer.ports().count() == 1, "it is still traced");
            let report = tracer.finish(&Ending::Wanted, pending).await;
            ensure_sent(&report, 1, 1)?;
            ensure_sent(&report, 2, 1)
        })
    })
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn ports_of_a_switch_without_a_nic_come_and_go() -> Result<()> {
    in_namespace(|| {
        let ovsdb = isolated_host(3)?;
        run(async {
            let mut tracer = Tracer::start([id(1).as_str(), id(2).as_str()], options(&ovsdb)?).await?;
            (1..=3).try_for_each(send)?;
            let third = tracer.add(&id(3)).await?;
            (1..=3).try_for_each(send)?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            tracer.remove(third).await?;
            send(1)?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            let report = tracer.finish(&Ending::Wanted, pending).await;
            ensure_sent(&report, 1, 3)?;
            ensure_sent(&report, 2, 2)?;
            ensure_sent(&report, 3, 1)
        })
    })
}
