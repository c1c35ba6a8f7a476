//! A bond as the provider NIC: its members are below the hooks.

use std::{fs, process::Command, time::Instant};

use hoptrace_tests::prelude::*;
use hoptrace_tests::report::{DirectionDrops, Dropped, EarlyDrop};

const PACKETS: u64 = 200;
const PORT: u16 = 4449;
/// A member of the bond beside the lab's NIC, its other end, and the bridge that both other ends are at.
const SECOND: &str = "ens4";
const FAR: &str = "wire1";
const SWITCH: &str = "wb";

/// The lab with an active-backup bond of two in the place of its NIC, both members at one switch, until the trap is dropped.
fn bonded(lab: &Lab) -> Result<(Lab, Trap)> {
    let (bridge, nic, wire) = (&lab.provider_bridge, &lab.nic, &lab.wire);
    let far = &wire.interface;
    let ip = format!("ip -n {}", wire.netns);
    let address = |of: &str| {
        format!(
            "{ip} address add {}/24 dev {of}; {ip} address add {}/64 dev {of} nodad",
            wire.ipv4, wire.ipv6
        )
    };
    let set = format!(
        "modprobe bonding
         ovs-vsctl del-port {bridge} {nic}
         ip link add {SECOND} type veth peer name {FAR} netns {netns}
         {ip} address flush dev {far}
         {ip} link add {SWITCH} type bridge
         {ip} link set {far} master {SWITCH}; {ip} link set {FAR} master {SWITCH}
         {ip} link set {far} address 52:54:00:99:99:11; {ip} link set {SWITCH} address {mac}
         {ip} link set {FAR} up; {ip} link set {SWITCH} addrgenmode none up
         {address}
         ip link del bond0 2>/dev/null || true
         ip link add bond0 type bond mode active-backup
         ip link set {nic} down
         ip link set {nic} master bond0; ip link set {SECOND} master bond0
         ip link set bond0 up
         ovs-vsctl add-port {bridge} bond0",
        netns = wire.netns,
        mac = wire.mac,
        address = address(SWITCH),
    );
    let remove = format!(
        "ovs-vsctl del-port {bridge} bond0; ip link del bond0; ip link del {SECOND}; {ip} link del {SWITCH}
         {ip} link set {far} address {mac}; {address}; ip link set {nic} up; ovs-vsctl add-port {bridge} {nic}",
        mac = wire.mac,
        address = address(far),
    );
    let trap = Trap::set("sh", &["-ec", &set], &["-c", &remove])?;
    let mut lab = lab.clone();
    "bond0".clone_into(&mut lab.nic);
    SWITCH.clone_into(&mut lab.wire.interface);
    lab.introduce(lab.guest("yjwang-test-1")?)?;
    Ok((lab, trap))
}

fn active() -> Result<String> {
    Ok(fs::read_to_string("/sys/class/net/bond0/bonding/active_slave")?.trim().to_owned())
}

fn start(guest: &Guest, words: &[&str]) -> Result<Tracer> {
    Tracer::start(&[&["trace", &guest.port_id, "udp", "and", "port"], words].concat())
}

/// Whether who freed packets says these words.
fn says(words: &str, reason: Option<&str>, location: Option<&str>) -> bool {
    [reason, location].iter().flatten().any(|said| said.contains(words))
}

/// Packets that died on the path, by these words of who freed them.
fn died(found: &DirectionDrops, words: &str) -> u64 {
    let of = |it: &&Dropped| says(words, it.reason.as_deref(), it.location.as_deref());
    found.drops.iter().filter(of).map(|it| it.count).sum()
}

/// The same of those that died before it.
fn died_early(found: &DirectionDrops, words: &str) -> u64 {
    let of = |it: &&EarlyDrop| says(words, it.reason.as_deref(), Some(&it.location));
    found.early_drops.iter().filter(of).map(|it| it.count).sum()
}

/// While the switch does not know where the guest is, it sends frames to both members.
#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn what_an_inactive_member_receives_is_no_packet() -> Result<()> {
    let lab = Lab::from_env()?;
    let (lab, _bond) = bonded(&lab)?;
    let guest = lab.guest("yjwang-test-1")?;
    let age =
        |value: &str| format!("ip -n {} link set {SWITCH} type bridge ageing_time {value}", lab.wire.netns);
    let _forgets = Trap::set("sh", &["-c", &age("0")], &["-c", &age("30000")])?;
    let ignored = || -> Result<u64> {
        let inactive = if active()? == SECOND { "ens3" } else { SECOND };
        Ok(fs::read_to_string(format!("/sys/class/net/{inactive}/statistics/rx_nohandler"))?
            .trim()
            .parse()?)
    };
    let before = ignored()?;
    let tracer = start(guest, &["9", "--json"])?;
    lab.wire_udp_exact(guest, PACKETS, 64)?;
    let report = tracer.finish()?;
    ensure!(ignored()? - before >= PACKETS, "the switch did not flood");
    let ledger = report.ingress().ledger;
    ledger.expect(&Ledger { entered: PACKETS, completed: PACKETS, lost: 0, ambiguous: 0, ..ledger })
}

/// What the `fq_codel` of this interface has dropped, once it has had `count` packets and is empty.
fn dropped_by(ifname: &str, count: u64) -> Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let shown = Command::new("tc").args(["-s", "qdisc", "show", "dev", ifname]).output()?;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        let queue = shown.split("qdisc fq_codel").nth(1).context("no fq_codel")?;
        let number = |before: &str| -> Option<u64> {
            queue
                .split(before)
                .nth(1)?
                .trim_start()
                .split(|it: char| !it.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        };
        let (sent, dropped) = (number(" bytes"), number("(dropped"));
        let (Some(sent), Some(dropped)) = (sent, dropped) else { bail!("not understood: {shown}") };
        if sent + dropped >= count && queue.contains("backlog 0b") {
            return Ok(dropped);
        }
        ensure!(Instant::now() < deadline, "the queue stays full: {shown}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The queue below the bond's hook, of a discipline that drops when it takes packets out.
#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn what_a_member_s_queue_drops_is_dropped() -> Result<()> {
    let lab = Lab::from_env()?;
    let (lab, _bond) = bonded(&lab)?;
    let guest = lab.guest("yjwang-test-1")?;
    let member = active()?;
    let shape = format!(
        "tc qdisc replace dev {member} root handle 1: htb default 1
         tc class add dev {member} parent 1: classid 1:1 htb rate 400kbit
         tc qdisc add dev {member} parent 1:1 fq_codel limit 2000 target 1ms interval 10ms"
    );
    let remove = format!("tc qdisc del dev {member} root");
    let _shaped = Trap::set("sh", &["-ec", &shape], &["-c", &remove])?;
    // So few that many a packet comes whose place in the table is that of one which waits in the queue.
    let tracer = start(guest, &[&PORT.to_string(), "--inflight", "1024", "--json"])?;
    let sink = lab.wire_udp_sink(PORT)?;
    let before = InterfaceCounts::of(&guest.tap)?;
    let sent = guest.send_udp((lab.wire.ipv4.into(), PORT), PACKETS, 600, Duration::from_millis(1))?;
    ensure!(sent.sent == PACKETS, "{sent:?}");
    // The guest says that it has sent them before they have left it.
    before.wait_for_received(&guest.tap, PACKETS)?;
    let dropped = dropped_by(&member, PACKETS)?;
    let arrived = sink.finish(PACKETS, Duration::from_secs(2))?.datagrams;
    let report = tracer.finish()?;
    // The queue counts what else passes there, too.
    let died_there = PACKETS - arrived;
    ensure!(died_there > 0 && dropped >= died_there, "the queue dropped {dropped}, {arrived} arrived");
    let egress = report.egress();
    let ledger = egress.ledger;
    ledger.expect(&Ledger { entered: PACKETS, completed: arrived, ..ledger })?;
    ensure!(died(egress, "fq_codel") == died_there, "{dropped} by the queue: {egress}");
    Ok(())
}

/// A filter of somebody else at a member, before the bond has the packet.
#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn what_a_filter_at_a_member_drops_is_told_with_its_reason() -> Result<()> {
    all_die_at_a_member("TC_INGRESS", |member| {
        let set = format!(
            "tc qdisc del dev {member} ingress 2>/dev/null || true
             tc qdisc add dev {member} clsact
             tc filter add dev {member} ingress protocol ip flower ip_proto udp dst_port {PORT} action drop"
        );
        [set, format!("tc qdisc del dev {member} clsact")]
    })
}

/// Likewise a rule of nftables there.
#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn what_a_rule_at_a_member_drops_is_told_with_its_reason() -> Result<()> {
    all_die_at_a_member("NETFILTER_DROP", |member| {
        let set = format!(
            "nft add table netdev member
             nft add chain netdev member in '{{ type filter hook ingress device {member} priority 0; }}'
             nft add rule netdev member in udp dport {PORT} counter drop"
        );
        [set, "nft delete table netdev member".to_owned()]
    })
}

/// What is set at the active member, with what removes it, drops all packets to the guest for this `reason`: they died behind the hook
/// there, or where hooks are at interfaces before that of the bond.
fn all_die_at_a_member(reason: &str, commands: impl Fn(&str) -> [String; 2]) -> Result<()> {
    let lab = Lab::from_env()?;
    let (lab, _bond) = bonded(&lab)?;
    let guest = lab.guest("yjwang-test-1")?;
    let [set, remove] = commands(&active()?);
    let _dropper = Trap::set("sh", &["-ec", &set], &["-c", &remove])?;
    let tracer = start(guest, &[&PORT.to_string(), "--json"])?;
    lab.wire_udp_flood((guest.ipv4, PORT).into(), PACKETS, 64, Duration::from_millis(1))?;
    // Behind them, and not filtered.
    lab.wire_udp_exact(guest, 1, 64)?;
    let report = tracer.finish()?;
    let ingress = report.ingress();
    let is_behind = report.tracer.mechanism == "tracepoints";
    let expected = if is_behind { [PACKETS, 0] } else { [0, PACKETS] };
    ensure!([died(ingress, reason), died_early(ingress, reason)] == expected, "{ingress}");
    // Nor did any for another reason, where none was to die.
    let early: u64 = ingress.early_drops.iter().map(|it| it.count).sum();
    ensure!(if is_behind { early } else { ingress.died() } == 0, "{ingress}");
    ingress.ledger.balances()?;
    Ok(())
}
