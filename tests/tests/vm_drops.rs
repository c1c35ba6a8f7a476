//! Drops that need modules of the kernel.

use hoptrace_tests::prelude::*;

const DOOMED: u64 = 200;
const DOOMED_PORT: u16 = 4444;
const INNOCENT: u64 = 100;

/// A queue of the NIC that takes nothing, for packets to this port alone.
fn full_queue(nic: &str) -> Result<[Trap; 3]> {
    let tc = |set: &str, remove: &str| {
        let (set, remove) = (set.replace("NIC", nic), remove.replace("NIC", nic));
        let words = |text| str::split_whitespace(text).collect::<Vec<_>>();
        Trap::set("tc", &words(&set), &words(&remove))
    };
    let bands = tc("qdisc add dev NIC root handle 1: prio", "qdisc del dev NIC root")?;
    let band = tc("qdisc add dev NIC parent 1:3 handle 30: netem loss 100%", "qdisc del dev NIC parent 1:3")?;
    let filter = format!(
        "filter add dev NIC parent 1: protocol ip prio 1 u32 match ip dport {DOOMED_PORT} 0xffff flowid 1:3"
    );
    // Dropped in this order: what is inside first.
    Ok([tc(&filter, "filter del dev NIC parent 1:")?, band, bands])
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn the_queue_of_the_nic_is_named() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _full = full_queue(&lab.nic)?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "--timeout", "4s", "--json"])?;
    let sink = lab.wire_udp_sink(DOOMED_PORT)?;
    let sent = guest.send_udp((lab.wire.ipv4.into(), DOOMED_PORT), DOOMED, 64, Duration::from_millis(1))?;
    ensure!(sent.sent == DOOMED, "{sent:?}");
    lab.wire_ping(guest, 100, Duration::from_millis(10))?;
    let through = sink.finish(0, Duration::ZERO)?;
    ensure!(through.datagrams == 0, "the queue let {} datagrams through", through.datagrams);
    let report = tracer.finish_drops()?;

    let egress = report.egress();
    let drop = egress.only_drop()?;
    ensure!(drop.after == "nic" && drop.count == DOOMED, "{egress}");
    ensure!(drop.reason.as_deref() == Some("QDISC_DROP"), "{egress}");
    ensure!(drop.example_port() == Some(DOOMED_PORT), "{drop}");
    drop.advises(&format!("tc -s qdisc show dev {}", lab.nic))?;
    let ledger = egress.ledger;
    ledger.expect(&Ledger { dropped: DOOMED, lost: 0, ..ledger })?;
    ensure!(ledger.completed >= INNOCENT, "{ledger}");
    ensure!(report.ingress().drops.is_empty(), "{}", report.ingress());
    Ok(())
}
