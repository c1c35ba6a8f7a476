//! Datagrams that the guest leaves to be cut (USO, `UDP_SEGMENT`), cut on their way.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    Tracer,
    lab::{Lab, Trap},
};
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use serde_json::Value;

const PORT: u16 = 5011;
const EACH: u64 = 20;
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);

/// Sends datagrams of `bytes` in segments of `segment_bytes`, which are cut behind qvb, and gives the ledger.
fn cut(segment_bytes: u16, bytes: usize) -> Result<Value> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("the lab has no guest")?;
    let set = |state| ["-K", &*guest.qvb, "tx-udp-segmentation", state];
    let _cuts = Trap::set("ethtool", &set("off"), &set("on"))?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    let sink = lab.wire_udp_sink(PORT)?;
    guest.in_netns(|| {
        let socket = UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((lab.wire.ipv4, PORT))?;
        setsockopt(&socket, UdpGsoSegment, &i32::from(segment_bytes))
            .context("leave cutting to the kernel")?;
        let mut numbers = 0_u64..;
        for _ in 0..EACH {
            let mut payload = vec![0x5a; bytes];
            // No two pieces alike, as in most protocols.
            for piece in payload.chunks_mut(segment_bytes.into()) {
                if let (Some(head), Some(number)) = (piece.first_chunk_mut::<8>(), numbers.next()) {
                    *head = number.to_be_bytes();
                }
            }
            ensure!(socket.send(&payload)? == bytes, "sent a part only");
        }
        Ok(())
    })?;
    let pieces = EACH * bytes.div_ceil(usize::from(segment_bytes)) as u64;
    let arrived = sink.wait(pieces, ARRIVES_WITHIN)?;
    ensure!(arrived == pieces, "{arrived} of {pieces} pieces arrived");
    let report = tracer.finish()?;
    report.pointer("/directions/egress/ledger").cloned().context("no ledger")
}

/// The first piece goes on as the datagram; the others are new behind the cut, and nothing is lost.
fn assert_whole(ledger: &Value, pieces_each: u64) -> Result<()> {
    let count =
        |name: &str| ledger.get(name).and_then(Value::as_u64).with_context(|| format!("no {name}: {ledger}"));
    ensure!(ledger.get("balanced") == Some(&Value::Bool(true)), "{ledger}");
    ensure!(count("entered")? == EACH, "the kernel cut before the tap: {ledger}");
    ensure!(count("joined_midway")? == EACH * (pieces_each - 1), "{ledger}");
    ensure!(count("completed")? == EACH * pieces_each, "{ledger}");
    for none in ["lost", "dropped", "in_flight", "evicted", "ambiguous", "untracked"] {
        ensure!(count(none)? == 0, "{none}: {ledger}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_large_datagram_that_is_cut_is_not_lost() -> Result<()> {
    assert_whole(&cut(1_400, 14_000)?, 10)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn neither_is_one_that_is_no_larger_than_a_frame() -> Result<()> {
    assert_whole(&cut(500, 1_200)?, 3)
}
