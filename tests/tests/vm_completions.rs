//! NICs whose driver gives back what it has sent as if it had dropped it (`dev_kfree_skb_any`), as vmxnet3 does, and others
//! that do not: in either case it was sent.

#![allow(clippy::print_stdout, reason = "drivers are named to who asks")]

use std::{fs, process::Command, thread, time::Instant};

use hoptrace_tests::prelude::*;

const DATAGRAMS: u64 = 480;
/// So many at a time fit into the rings of all NICs.
const BATCH: u64 = 16;
const PORT: u16 = 4448;
/// How long a NIC may take to agree with its peer, or to send.
const PATIENCE: Duration = Duration::from_secs(10);

/// Drivers of NICs that every VM has in pairs, each pair on a wire of its own.
const DRIVERS: [&str; 2] = ["vmxnet3", "virtio_net"];
/// Drivers of NICs that a VM can be given (`cargo xtask vm --nic MODEL`), on kernels that have them: Debian's for clouds have
/// not. Some of QEMU's models lose what they receive.
const MORE_DRIVERS: [&str; 7] = ["e1000", "e1000e", "e100", "8139cp", "pcnet32", "tulip", "ne2k-pci"];

/// The interfaces of the driver, which is loaded where the kernel has it.
fn nics_of(driver: &str) -> Result<Vec<String>> {
    Command::new("modprobe").args(["-q", driver]).status().context("run modprobe")?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/class/net")? {
        let entry = entry?;
        let of = fs::read_link(entry.path().join("device/driver")).unwrap_or_default();
        if of.file_name().is_some_and(|of| of == driver) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found.sort();
    Ok(found)
}

/// Waits for what nobody tells.
fn wait_until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        ensure!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn wait_for_carrier(ifname: &str) -> Result<()> {
    let path = format!("/sys/class/net/{ifname}/carrier");
    wait_until(&format!("a carrier of {ifname}"), || Ok(fs::read_to_string(&path)?.trim() == "1"))
}

/// The lab with two NICs in the place of the provider NIC and of the wire's interface, until the trap is dropped.
fn with_nics(lab: &Lab, [near, far]: &[String; 2]) -> Result<(Lab, Trap)> {
    let (bridge, nic, wire) = (&lab.provider_bridge, &lab.nic, &lab.wire);
    let in_wire = format!("ip -n {}", wire.netns);
    let addresses = |interface: &str| {
        format!(
            "{in_wire} link set {interface} addrgenmode none && {in_wire} address add {}/24 dev {interface} && \
             {in_wire} link set {interface} up && {in_wire} address add {}/64 dev {interface} nodad",
            wire.ipv4, wire.ipv6
        )
    };
    let nothing = |interface: &str| {
        format!("{in_wire} address flush dev {interface} && {in_wire} link set {interface} down")
    };
    // What the driver's own side asks for is not looked at: the wire takes every frame.
    let set = format!(
        "ovs-vsctl del-port {bridge} {nic} && {} && ip link set {far} netns {} && {in_wire} link set {far} promisc on && \
         {} && ip link set {near} up && ovs-vsctl add-port {bridge} {near}",
        nothing(&wire.interface),
        wire.netns,
        addresses(far)
    );
    let remove = format!(
        "ovs-vsctl del-port {bridge} {near} && ip link set {near} down && {} && {in_wire} link set {far} netns 1 && {} && \
         ovs-vsctl add-port {bridge} {nic}",
        nothing(far),
        addresses(&wire.interface)
    );
    let mac = fs::read_to_string(format!("/sys/class/net/{far}/address"))?.trim().to_owned();
    let exchanged = Trap::set("sh", &["-c", &set], &["-c", &remove])?;
    let mut lab = lab.clone();
    lab.nic.clone_from(near);
    lab.wire.interface.clone_from(far);
    lab.wire.mac = mac;
    Ok((lab, exchanged))
}

/// Makes the guest send, whatever becomes of it on the wire.
fn send(lab: &Lab, guest: &Guest) -> Result<()> {
    let sink = lab.wire_udp_sink(PORT)?;
    let before = InterfaceCounts::of(&lab.nic)?;
    let sent = guest.send_udp((lab.wire.ipv4.into(), PORT), DATAGRAMS, 64, Duration::from_millis(1))?;
    ensure!(sent.sent == DATAGRAMS, "{sent:?}");
    wait_until("datagrams at the NIC", || {
        Ok(InterfaceCounts::of(&lab.nic)?.since(&before).tx_packets >= DATAGRAMS)
    })?;
    sink.finish(0, Duration::ZERO).map(drop)
}

/// In both directions as many as arrive.
fn exchange(lab: &Lab, guest: &Guest) -> Result<()> {
    for _ in 0..DATAGRAMS / BATCH {
        lab.guest_udp_exact(guest, PORT, BATCH, 64)?;
        lab.wire_udp_exact(guest, BATCH, 64)?;
    }
    Ok(())
}

/// Every datagram is sent, though the driver gives it back.
fn is_sent(lab: &Lab, driver: &str, words: &[&str]) -> Result<()> {
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&[&["trace", &guest.port_id, "udp", "--json"], words].concat())?;
    let directions = if DRIVERS.contains(&driver) {
        exchange(lab, guest)?;
        &[Egress, Ingress][..]
    } else {
        send(lab, guest)?;
        &[Egress]
    };
    let report = tracer.finish()?;
    for direction in directions {
        let found = report.direction(*direction);
        let what = || format!("{driver} {words:?} {direction}");
        ensure!(found.drops.is_empty(), "{}: {:?}", what(), found.drops);
        let ledger = found.ledger;
        let all = Ledger { entered: DATAGRAMS, completed: DATAGRAMS, ..ledger };
        ledger.expect(&all).with_context(what)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn what_a_driver_gives_back_has_been_sent() -> Result<()> {
    let lab = Lab::from_env()?;
    for driver in DRIVERS.into_iter().chain(MORE_DRIVERS) {
        let nics = nics_of(driver)?;
        let Ok(pair) = <[String; 2]>::try_from(nics) else {
            ensure!(!DRIVERS.contains(&driver), "the VM has no two NICs of {driver}");
            continue;
        };
        let (with_nics, exchanged) = with_nics(&lab, &pair)?;
        wait_for_carrier(&with_nics.nic)?;
        with_nics.introduce(with_nics.guest("yjwang-test-1")?)?;
        is_sent(&with_nics, driver, &[])?;
        if driver == "vmxnet3" {
            is_sent(&with_nics, driver, &["--wire"])?;
        }
        exchanged.take_away()?;
        // The wire had another address meanwhile.
        lab.forget_neighbours()?;
        println!("{driver}: what it gives back has been sent");
    }
    Ok(())
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// A team without a mode, with a port: it has a carrier, and drops everything in its driver's own code.
fn team_that_drops(lab: &Lab) -> Result<(Lab, Trap)> {
    let (bridge, nic) = (&lab.provider_bridge, &lab.nic);
    let set = format!(
        "ovs-vsctl del-port {bridge} {nic} && ip link add team9 type team && ip link add dummy9 type dummy && \
         ip link set dummy9 master team9 && ip link set dummy9 up && ip link set team9 up && \
         ovs-vsctl add-port {bridge} team9"
    );
    let remove = format!(
        "ovs-vsctl del-port {bridge} team9; ip link del team9; ip link del dummy9; ovs-vsctl add-port {bridge} {nic}"
    );
    let trap = Trap::set("sh", &["-c", &set], &["-c", &remove])?;
    let mut lab = lab.clone();
    "team9".clone_into(&mut lab.nic);
    Ok((lab, trap))
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn what_a_driver_does_not_send_is_dropped() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let netns = guest.netns.as_deref().context("the guest is no namespace")?;
    let neighbour = |state| {
        format!("-n {netns} neigh replace {} lladdr {} dev eth0 nud {state}", lab.wire.ipv4, lab.wire.mac)
    };
    let (known, forgotten) = (neighbour("permanent"), neighbour("stale"));
    // Nothing answers behind the team.
    let _known = Trap::set("ip", &words(&known), &words(&forgotten))?;
    let (lab, _dropping) = team_that_drops(&lab)?;
    wait_for_carrier(&lab.nic)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "and", "port", "4448", "--json"])?;
    let sent = guest.send_udp((lab.wire.ipv4.into(), PORT), BATCH, 64, Duration::ZERO)?;
    wait_until("dropped by the team", || Ok(InterfaceCounts::of(&lab.nic)?.tx_dropped >= BATCH))?;
    let report = tracer.finish()?;
    ensure!(sent.sent == BATCH, "{sent:?}");
    let egress = report.egress();
    let ledger = egress.ledger;
    ledger.expect(&Ledger { entered: BATCH, completed: 0, ..ledger })?;
    ensure!(egress.drops.iter().all(|drop| drop.after == "nic"), "{egress}");
    ensure!(egress.died() == BATCH, "{egress}");
    Ok(())
}
