//! Packets that the host's packet filters drop: the filter that did it is named by its own rules and counters, and none that is
//! not there.

use std::net::UdpSocket;

use hoptrace_tests::prelude::*;
use hoptrace_tests::report::Evidence;

const PORT: u16 = 4444;
const DOOMED: u64 = 40;
const SPARED: u64 = 10;
const PACE: Duration = Duration::from_millis(2);

fn shell(set: &str, remove: &str) -> Result<Trap> {
    let set = format!("set -e\n{set}");
    Trap::set("sh", &["-c", &set], &["-c", remove])
}

/// What is said first of datagrams to the guest of which some die, by the report's first finding.
fn first_words(lab: &Lab, guest: &Guest) -> Result<String> {
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--timeout", "4s", "--json"])?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), SPARED, 64, PACE)?;
    lab.wire_udp_flood((guest.ipv4, PORT).into(), DOOMED, 64, PACE)?;
    let report = tracer.finish_drops()?;
    let ledger = report.ingress().ledger;
    ensure!(ledger.dropped == DOOMED && ledger.completed == SPARED, "{ledger}");
    let first = report.first()?;
    let words = format!("{} next: {}", first.text, first.next.as_deref().unwrap_or_default());
    ensure!(words.contains("40 of 50 packets to the VM died after qvb"), "{words}");
    Ok(words)
}

fn contains(words: &str, wanted: &[&str], unwanted: &[&str]) -> Result<()> {
    ensure!(wanted.iter().all(|part| words.contains(part)), "{wanted:?} in {words}");
    ensure!(!unwanted.iter().any(|part| words.contains(part)), "{unwanted:?} in {words}");
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn a_rule_of_nft_is_named_with_its_counter_or_as_one_that_can() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    for (counter, wanted) in
        [("counter", "whose counter rose by 40 in all"), ("", "can drop there, without a counter that tells")]
    {
        let _table = shell(
            &format!(
                "nft add table bridge theirs
                 nft add chain bridge theirs f '{{ type filter hook forward priority filter; }}'
                 nft add rule bridge theirs f ether type ip udp dport {PORT} {counter} drop
                 nft add table inet beside
                 nft add chain inet beside i '{{ type filter hook input priority filter; policy drop; }}'
                 nft add rule inet beside i accept"
            ),
            "nft delete table bridge theirs; nft delete table inet beside",
        )?;
        let words = first_words(&lab, guest)?;
        let table =
            format!("a firewall rule on {} drops it: nft table bridge theirs, chain f, rule ", guest.qbr);
        contains(&words, &[wanted, &table, "nft -a list chain bridge theirs f"], &["neutron", "beside"])?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn rules_of_ebtables_are_found_too() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let rule = |action: &str| {
        format!("ebtables-nft {action} FORWARD -p IPv4 --ip-proto udp --ip-dport {PORT} -j DROP")
    };
    let _rule = shell(&rule("-A"), &rule("-D"))?;
    let words = first_words(&lab, guest)?;
    contains(&words, &["nft table bridge filter, chain FORWARD"], &["neutron"])
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn a_security_group_is_named_where_it_is_one() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let id: String = guest.port_id.chars().take(10).collect();
    for iptables in ["iptables-nft", "iptables-legacy"] {
        let chain = format!("neutron-openvswi-i{id}");
        // Another port's group has a chain that drops, too.
        let _group = shell(
            &format!(
                "{iptables} -N {chain}; {iptables} -N neutron-openvswi-i11111111-1; {iptables} -N neutron-openvswi-sg-fallback
                 {iptables} -A neutron-openvswi-sg-fallback -j DROP
                 {iptables} -A {chain} -p udp --dport 9 -j RETURN
                 {iptables} -A {chain} -p udp -j neutron-openvswi-sg-fallback
                 {iptables} -A neutron-openvswi-i11111111-1 -j DROP
                 {iptables} -A FORWARD -m physdev --physdev-out {tap} --physdev-is-bridged -j {chain}
                 {iptables} -A FORWARD -m physdev --physdev-out nobody --physdev-is-bridged -j neutron-openvswi-i11111111-1",
                tap = guest.tap
            ),
            &format!("{iptables} -F; {iptables} -X"),
        )?;
        let words = first_words(&lab, guest)?;
        let group = format!("the port's security group, chain {chain}");
        contains(
            &words,
            &["chain neutron-openvswi-sg-fallback", "whose counter rose by 40 in all", &group],
            &["11111111"],
        )?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn a_full_table_of_connections_is_told_by_its_own_counter() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    lab.introduce(guest)?;
    // Only those to the port are tracked, and not where they come from: the limit is one for all namespaces.
    let wire = format!("nsenter --net=/run/netns/{}", lab.wire.netns);
    let _full = shell(
        &format!(
            "modprobe br_netfilter
             iptables -t raw -A PREROUTING -p udp ! --dport {PORT} -j CT --notrack
             iptables -A FORWARD -p udp --dport {PORT} -m conntrack --ctstate INVALID -j DROP
             {wire} iptables -t raw -A OUTPUT -p udp --dport {PORT} -j CT --notrack
             conntrack -F 2> /dev/null
             sysctl -n net.netfilter.nf_conntrack_max > /run/conntrack.max
             sysctl -qw net.netfilter.nf_conntrack_max=10"
        ),
        &format!(
            "sysctl -qw net.netfilter.nf_conntrack_max=$(cat /run/conntrack.max)
             iptables -D FORWARD -p udp --dport {PORT} -m conntrack --ctstate INVALID -j DROP
             {wire} iptables -t raw -D OUTPUT -p udp --dport {PORT} -j CT --notrack
             iptables -t raw -D PREROUTING -p udp ! --dport {PORT} -j CT --notrack"
        ),
    )?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--timeout", "4s", "--json"])?;
    let on_bridge = InterfaceCounts::of(&guest.qvb)?;
    lab.in_wire(|| {
        for port in 20_000..20_060 {
            UdpSocket::bind((lab.wire.ipv4, port))?.send_to(&[0; 64], (guest.ipv4, PORT))?;
        }
        Ok(())
    })?;
    on_bridge.wait_for_received(&guest.qvb, 60)?;
    let report = tracer.finish_drops()?;
    let dropped = report.ingress().ledger.dropped;
    ensure!(dropped > 0, "nothing was dropped: {report}");
    contains(
        &report.first()?.text,
        &["the table of connections (conntrack) had no room for", "of at most 10 connections"],
        &["neutron"],
    )?;
    let is = |it: &&Evidence| it.source == "conntrack" && it.counter == "drop";
    let counter = report.evidence.iter().find(is);
    let counter = counter.with_context(|| format!("no drop: {:?}", report.evidence))?;
    ensure!(counter.count >= dropped && counter.shared, "{counter}");
    Ok(())
}
