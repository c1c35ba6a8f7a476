//! What is told first, and how.

use super::*;
use crate::{
    model::{
        Bursts, Drop, Evidence, EvidenceSource, Explanation, HostReport, Ledger, LinkChange, LogicalFlow,
        Path, Problem, ProblemKind, Role, Severity, Snapshot, Step,
    },
    path::testing::hop,
    report::trace_samples::{
        direction, explanation, path, ports, report, snapshot, watched, with_drops, with_evidence,
    },
};

fn told(path: &Path, host: &HostReport, snapshot: &Snapshot) -> Vec<Finding> {
    watched(path, snapshot, host).findings
}

fn of(snapshot: &Snapshot) -> Vec<Finding> {
    told(&path(), &HostReport::default(), snapshot)
}

fn lost(after: &str, count: u64) -> Drop {
    Drop { after: after.to_owned(), count, ..Drop::default() }
}

/// 250 of 670 packets to the VM are lost behind the NIC.
fn lost_behind_nic() -> Snapshot {
    let mut snapshot = snapshot(670);
    let ingress = &mut snapshot.directions.ingress;
    ingress.drops = vec![lost("nic", 250)];
    ingress.ledger = Ledger { entered: 670, completed: 420, lost: 250, ..Ledger::default() }.settled();
    snapshot
}

fn problem(kind: ProblemKind, at: &str) -> Problem {
    Problem { kind, at: at.to_owned(), what: "it is so".to_owned() }
}

const QVO: &str = "qvoc3d70d5c-a90";
const TAP: &str = "tapc3d70d5c-a90";

#[test]
fn when_nothing_is_wrong_the_first_finding_says_so() {
    let found = of(&snapshot(1_000));
    let [only] = &found[..] else { panic!("{found:?}") };
    assert_eq!((only.severity, &*only.code), (Severity::Ok, "nothing-died"));
    assert_eq!(only.text, "nothing died: 1000 packets to the VM, 1000 packets from the VM");
    let mut one_way = snapshot(1);
    one_way.directions.egress = direction(["tap", "qvb", "qvo", "nic"], 0);
    assert_eq!(of(&one_way)[0].text, "nothing died: 1 packet to the VM, no packet from the VM was seen");
}

#[test]
fn any_loss_is_told_first_with_its_share_and_place() {
    let found = of(&lost_behind_nic());
    assert_eq!((found[0].severity, &*found[0].code), (Severity::Critical, "packets-died"));
    assert_eq!(found[0].text, "250 of 670 packets to the VM died after nic ens3: lost, no reason was seen");
    assert!(found[0].next.as_deref().is_some_and(|next| next.contains("--explain")), "{found:?}");
    assert_eq!(found[0].place.as_deref(), Some("nic"));
    assert!(found.iter().all(|finding| finding.code != "nothing-died"));
    let several = of(&with_drops());
    let start = "8 of 1000 packets from the VM died, most of them (5) after qvb qvbc3d70d5c-a90: lost";
    assert!(several[0].text.starts_with(start), "{several:?}");
    assert!(several[1].text.starts_with("2 packets from the VM died after tap"), "{several:?}");
    assert!(
        several[2].text.starts_with("1 packet from the VM died after nic ens3: the queueing"),
        "{several:?}"
    );
    assert_eq!(several[2].next.as_deref(), Some("tc -s qdisc show dev ens3"));
}

#[test]
fn everything_that_died_is_everything() {
    let mut snapshot = lost_behind_nic();
    let ingress = &mut snapshot.directions.ingress;
    ingress.drops = vec![lost("nic", 670)];
    ingress.ledger = Ledger { entered: 670, lost: 670, ..Ledger::default() }.settled();
    assert_eq!(verdict(&report(&path(), &snapshot)), Verdict::EverythingDied);
    let found = of(&snapshot);
    assert_eq!(&*found[0].code, "everything-died");
    assert!(found[0].text.starts_with("all 670 packets to the VM died after nic ens3"), "{found:?}");
    // One that arrived makes it a share.
    let ledger = &mut snapshot.directions.ingress.ledger;
    *ledger = Ledger { entered: 671, completed: 1, lost: 670, ..Ledger::default() }.settled();
    assert_eq!(
        (verdict(&report(&path(), &snapshot)), &*of(&snapshot)[0].code),
        (Verdict::Told, "packets-died")
    );
}

#[test]
fn an_interface_that_is_down_is_why_packets_die_before_it() {
    let mut path = path();
    // The other end loses its carrier with it.
    path.problems = vec![
        problem(ProblemKind::NoCarrier, "qvbc3d70d5c-a90"),
        problem(ProblemKind::Down, QVO),
        problem(ProblemKind::SmallerMtu, "ens3"),
    ];
    let found = told(&path, &HostReport::default(), &lost_behind_nic());
    let next = format!("ip link set {QVO} up");
    assert_eq!(
        found[0].text,
        format!("250 of 670 packets to the VM died after nic ens3: {QVO} is DOWN (IFF_UP is not set)")
    );
    assert_eq!(found[0].next.as_deref(), Some(next.as_str()));
    let codes: Vec<_> = found.iter().map(|finding| (finding.severity, &*finding.code)).collect();
    assert_eq!(
        codes,
        [
            (Severity::Critical, "packets-died"),
            (Severity::Critical, "no-carrier"),
            (Severity::Critical, "link-down"),
            (Severity::Warning, "smaller-mtu"),
        ]
    );
    // What says itself why is not that.
    let mut filtered = lost_behind_nic();
    let drop = &mut filtered.directions.ingress.drops[0];
    (drop.reason, drop.location) = (Some("NETFILTER_DROP".to_owned()), Some("nf_hook_slow+0x9a".to_owned()));
    let found = told(&path, &HostReport::default(), &filtered);
    assert!(!found[0].text.contains("DOWN"), "{found:?}");
}

#[test]
fn behind_an_interface_without_a_hook_the_next_ones_are_why_too() {
    let mut path = path();
    path.problems = vec![problem(ProblemKind::Down, TAP)];
    let mut few = lost_behind_nic();
    few.directions.ingress.drops[0].after = "qvo".to_owned();
    assert!(!told(&path, &HostReport::default(), &few)[0].text.contains("DOWN"), "qvb has a hook");
    few.directions.ingress.hooks.retain(|hook| hook.hook != "qvb");
    let found = told(&path, &HostReport::default(), &few);
    assert!(found[0].text.ends_with(&format!("{TAP} is DOWN (IFF_UP is not set)")), "{found:?}");
}

#[test]
fn who_is_on_nobody_s_way_is_not_why() {
    // Another uplink is down.
    let mut path = path();
    path.steps.push(Step::Interface(hop(Role::Nic, "ens4", 3)));
    path.problems = vec![problem(ProblemKind::Down, "ens3")];
    let mut snapshot = lost_behind_nic();
    snapshot.directions.ingress.drops[0].after = "nic:ens4".to_owned();
    let found = told(&path, &HostReport::default(), &snapshot);
    assert!(found[0].text.contains("ens4: lost, no reason was seen"), "{found:?}");
    snapshot.directions.ingress.drops[0].after = "nic:ens3".to_owned();
    assert!(told(&path, &HostReport::default(), &snapshot)[0].text.contains("ens3 is DOWN"));
    // A VM that is paused does not read what comes to its tap; what dies before that, dies of something else.
    path.problems = vec![problem(ProblemKind::Paused, Path::GUEST)];
    snapshot.directions.ingress.drops[0].after = "qvb".to_owned();
    assert!(!told(&path, &HostReport::default(), &snapshot)[0].text.contains("PAUSED"));
    snapshot.directions.ingress.drops[0].after = "tap".to_owned();
    assert!(told(&path, &HostReport::default(), &snapshot)[0].text.contains("PAUSED"));
}

#[test]
fn what_changed_meanwhile_is_told_with_its_time() {
    let change = |admin_up, second: u64| LinkChange {
        ifname: QVO.to_owned(),
        admin_up,
        carrier: admin_up,
        at_ns: (16 * 3600 + 2 * 60 + second) * 1_000_000_000,
    };
    let wording = |path: &Path, host: &HostReport| {
        let found = told(path, host, &lost_behind_nic());
        let down = found.iter().find(|finding| finding.code == "link-down").unwrap();
        (down.text.clone(), down.next.is_some())
    };
    let (fine, mut broken) = (path(), path());
    broken.problems = vec![problem(ProblemKind::Down, QVO)];
    let at_end = |problems: &[Problem]| Some(problems.to_vec());

    let since = HostReport {
        changes: vec![change(false, 51)],
        problems_at_end: at_end(&broken.problems),
        silent_at_end: Vec::new(),
        firewall: None,
    };
    assert_eq!(wording(&fine, &since), (format!("{QVO} is DOWN (IFF_UP is not set), since 16:02:51"), true));
    // The same while the trace runs.
    let live = HostReport { problems_at_end: None, ..since.clone() };
    assert_eq!(wording(&fine, &live), wording(&fine, &since));
    let until =
        HostReport { changes: vec![change(true, 9)], problems_at_end: at_end(&[]), ..HostReport::default() };
    assert_eq!(
        wording(&broken, &until),
        (format!("{QVO} was DOWN (IFF_UP is not set), until 16:02:09"), false)
    );
    let flapped = HostReport {
        changes: vec![change(false, 1), change(true, 3)],
        problems_at_end: at_end(&[]),
        silent_at_end: Vec::new(),
        firewall: None,
    };
    assert_eq!(
        wording(&fine, &flapped),
        (format!("{QVO} was DOWN (IFF_UP is not set), from 16:02:01 to 16:02:03"), false)
    );
    // It could not be looked at again: it stays.
    assert_eq!(
        wording(&broken, &HostReport::default()),
        (format!("{QVO} is DOWN (IFF_UP is not set)"), true)
    );
}

#[test]
fn who_does_not_answer_at_the_end_is_named() {
    let host = HostReport { silent_at_end: vec![crate::model::SourceName::Ovsdb], ..HostReport::default() };
    let found = told(&path(), &host, &snapshot(232));
    let silent = found.iter().find(|finding| finding.code == "not-looked-again").unwrap();
    assert!(silent.text.starts_with("no answer at the end of the trace from OVSDB"), "{silent:?}");
}

#[test]
fn a_vm_that_is_paused_reads_nothing_of_what_arrived() {
    let host = HostReport {
        problems_at_end: Some(vec![problem(ProblemKind::Paused, Path::GUEST)]),
        ..HostReport::default()
    };
    let found = told(&path(), &host, &snapshot(232));
    assert_eq!((found[0].severity, &*found[0].code), (Severity::Critical, "vm-paused"));
    assert_eq!(
        found[0].text,
        "libvirt: instance-00000025 is PAUSED, its CPUs take nothing, at the end of the trace, not at its start; what \
         arrived at its tap may have been read by nobody"
    );
    let next = "virsh domstate --reason instance-00000025, then virsh resume instance-00000025";
    assert_eq!(found[0].next.as_deref(), Some(next));
    // Its tap's queue ran over.
    let mut full = snapshot(2_000);
    let drop = Drop {
        reason: Some("FULL_RING".to_owned()),
        location: Some("tun_net_xmit+0x1".to_owned()),
        ..lost("tap", 1_000)
    };
    full.directions.ingress.drops = vec![drop];
    let found = told(&path(), &host, &full);
    let why = "died after tap tapc3d70d5c-a90: the guest does not drain its queue: the ring of tapc3d70d5c-a90, which holds \
               1000 packets, is full; libvirt: instance-00000025 is PAUSED";
    assert!(found[0].text.contains(why), "{found:?}");
    assert_eq!(found[0].next.as_deref(), Some(next));
}

#[test]
fn a_ring_that_runs_over_in_bursts_is_told_with_what_can_be_why() {
    let mut full = snapshot(2_000);
    let drop = Drop {
        reason: Some("FULL_RING".to_owned()),
        location: Some("tun_net_xmit+0x1".to_owned()),
        bursts: Some(Bursts { count: 20, longest_ns: 99_500_000, every_ns: 1_000_000_000 }),
        ..lost("tap", 1_000)
    };
    full.directions.ingress.drops = vec![drop];
    let found = of(&full);
    assert!(
        found[0].text.contains(", in 20 bursts of 100 ms at most: the guest does not drain"),
        "{found:?}"
    );
    assert!(found[0].text.ends_with(
        "is full, again and again: more comes at once than it holds, or its CPUs pause or get no time"
    ));
    assert!(
        found[0].next.as_ref().unwrap().contains("; virsh domstats --vcpu instance-00000025 "),
        "{found:?}"
    );
}

#[test]
fn the_switch_s_own_rule_is_named_where_it_was_asked() {
    let mut snapshot = lost_behind_nic();
    let drop = &mut snapshot.directions.ingress.drops[0];
    let mut explained = explanation();
    explained.rules.truncate(1);
    explained.rules[0].actions = vec!["drop".to_owned()];
    drop.explain = Some(explained);
    let found = of(&snapshot);
    let rule = "br-int table 0 priority 1000: udp,tp_dst=4444";
    assert!(found[0].text.contains(&format!("one of them by {rule}")), "nobody has counted: {found:?}");
    assert_eq!(found[0].next.as_deref(), Some("ovs-ofctl dump-flows br-int table=0"));
    let hit = |snapshot: &mut Snapshot, hits: u64| {
        snapshot.directions.ingress.drops[0].explain.as_mut().unwrap().hits = Some(hits);
        of(snapshot)[0].text.clone()
    };
    let text = hit(&mut snapshot, 250);
    assert!(text.contains(&format!("ens3: {rule}")) && !text.contains("one of them"), "{text}");
    let text = hit(&mut snapshot, 20);
    assert!(
        text.contains("which was hit by 20 packets meanwhile; what became of the others is not known"),
        "{text}"
    );
}

#[test]
fn what_ovn_made_the_rule_of_is_named_instead() {
    let mut snapshot = lost_behind_nic();
    let mut explained = Explanation { assumed: None, ..explanation() };
    explained.rules.truncate(1);
    explained.rules[0].actions = vec!["drop".to_owned()];
    explained.rules[0].logical = Some(LogicalFlow {
        stage: Some("ls_out_acl".to_owned()),
        matches: "udp.dst == 4444".to_owned(),
        actions: "/* drop */".to_owned(),
        hint: Some("1a2b3c4d".to_owned()),
    });
    snapshot.directions.ingress.drops[0].explain = Some(explained);
    let found = of(&snapshot);
    let rule = "OVN's ls_out_acl: udp.dst == 4444 /* drop */ (br-int table 0 priority 1000)";
    assert!(found[0].text.contains(rule), "{found:?}");
    assert!(found[0].next.as_deref().is_some_and(|next| next.ends_with("ovn-nbctl list acl 1a2b3c4d")));
    let drop = &mut snapshot.directions.ingress.drops[0];
    drop.explain.as_mut().unwrap().rules[0].logical.as_mut().unwrap().hint = Some("1; reboot".to_owned());
    assert_eq!(of(&snapshot)[0].next.as_deref(), Some("ovs-ofctl dump-flows br-int table=0"));
}

#[test]
fn a_rule_that_forwards_is_not_why() {
    let mut snapshot = lost_behind_nic();
    let mut explained = explanation();
    explained.rules.truncate(1);
    (explained.rules[0].actions, explained.hits) = (vec!["NORMAL".to_owned()], Some(900));
    explained.datapath_actions = vec!["drop".to_owned()];
    snapshot.directions.ingress.drops[0].explain = Some(explained);
    let found = of(&snapshot);
    assert!(
        found[0].text.contains("Open vSwitch drops it behind br-int table 0, though no rule says so"),
        "{found:?}"
    );
    assert!(
        found[0].next.as_deref().is_some_and(|next| next.starts_with("ovs-ofctl show br-int")),
        "{found:?}"
    );
}

#[test]
fn an_interface_that_was_down_at_another_time_is_not_why() {
    let second = |second: u64| second * 1_000_000_000;
    let change = |admin_up, at: u64| LinkChange {
        ifname: QVO.to_owned(),
        admin_up,
        carrier: admin_up,
        at_ns: second(at),
    };
    let host = HostReport {
        changes: vec![change(false, 100), change(true, 101)],
        problems_at_end: Some(Vec::new()),
        silent_at_end: Vec::new(),
        firewall: None,
    };
    let mut snapshot = lost_behind_nic();
    let mut why = |first: u64, last: u64| {
        let drop = &mut snapshot.directions.ingress.drops[0];
        (drop.first_ns, drop.last_ns) = (second(first), second(last));
        told(&path(), &host, &snapshot)[0].text.clone()
    };
    assert!(why(100, 101).contains("qvoc3d70d5c-a90 was DOWN"));
    let partly = why(100, 104);
    assert!(partly.contains(": lost, some of them perhaps because qvoc3d70d5c-a90 was DOWN"), "{partly}");
    let later = why(103, 104);
    assert!(!later.contains("DOWN") && later.contains("lost, no reason was seen"), "{later}");
}

#[test]
fn counters_stand_beside_a_loss_that_nobody_explains() {
    let evidence = |source, at: &str, counter: &str| Evidence {
        source,
        at: at.to_owned(),
        counter: counter.to_owned(),
        count: 226,
        of: None,
        about: None,
        shared: at == "ens3",
        meaning: String::new(),
    };
    let mut snapshot = lost_behind_nic();
    snapshot.evidence = vec![
        evidence(EvidenceSource::Socket, "ens3", "packet socket full"),
        evidence(EvidenceSource::Interface, "tapc3d70d5c-a90", "tx_dropped"),
    ];
    let found = of(&snapshot);
    let end = "counted meanwhile: ens3 packet socket full (226 packets, others' packets included)";
    assert!(found[0].text.ends_with(end), "{found:?}");
    assert_eq!(found.len(), 1, "{found:?}");
    // Without a loss they are a doubt of their own.
    snapshot.directions.ingress = direction(["nic", "qvo", "qvb", "tap"], 670);
    let found = of(&snapshot);
    let codes: Vec<_> = found.iter().map(|finding| finding.code.clone()).collect();
    assert_eq!(codes, ["socket-drops", "interface-drops", "nothing-died"]);
}

#[test]
fn a_full_table_of_connections_is_named_by_its_own_counter() {
    let mut snapshot = lost_behind_nic();
    let drop = &mut snapshot.directions.ingress.drops[0];
    (drop.reason, drop.location) = (Some("NETFILTER_DROP".to_owned()), Some("nf_hook_slow+0x9a".to_owned()));
    snapshot.evidence = vec![Evidence {
        source: EvidenceSource::Conntrack,
        at: "nf_conntrack".to_owned(),
        counter: "drop".to_owned(),
        count: 91,
        of: None,
        about: Some("10 of at most 10 connections at the end".to_owned()),
        shared: true,
        meaning: String::new(),
    }];
    let found = of(&snapshot);
    let what = "the table of connections (conntrack) had no room for 91 packets (10 of at most 10";
    assert!(found[0].text.contains(what) && !found[0].text.contains("neutron"), "{found:?}");
    assert!(found.iter().any(|finding| finding.code == "conntrack-full"));
}

#[test]
fn a_connection_that_could_not_be_entered_is_why_with_the_counter_that_says_so() {
    for (counter, why) in [
        (
            "insert_failed",
            "another packet had made the same connection meanwhile (insert_failed rose by 250)",
        ),
        ("chaintoolong", "too many connections share one place in its table (chaintoolong rose by 250)"),
    ] {
        let mut snapshot = lost_behind_nic();
        let drop = &mut snapshot.directions.ingress.drops[0];
        (drop.reason, drop.location) =
            (Some("NETFILTER_DROP".to_owned()), Some("nf_hook_slow+0x9a".to_owned()));
        snapshot.evidence = vec![Evidence {
            source: EvidenceSource::Conntrack,
            at: "nf_conntrack".to_owned(),
            counter: counter.to_owned(),
            count: 250,
            of: None,
            about: None,
            shared: true,
            meaning: String::new(),
        }];
        let found = of(&snapshot);
        assert!(found[0].text.contains(&format!("connection tracking drops it: {why}")), "{found:?}");
    }
}

#[test]
fn doubt_above_nothing_comes_before_that_nothing_died() {
    let mut doubtful = snapshot(1_000);
    doubtful.directions.ingress.ledger.untracked = 2;
    doubtful.directions.egress.ledger.unseen = 1;
    doubtful.drops_without_site = 7;
    let found = of(&doubtful);
    let codes: Vec<_> = found.iter().map(|finding| finding.code.clone()).collect();
    assert_eq!(codes, ["untracked", "drops-without-reason", "wire-unseen", "nothing-died"]);
    assert!(found[0].text.starts_with("2 sights of packets to the VM are untracked"), "{found:?}");
    let silent = Evidence { source: EvidenceSource::Tap, ..with_evidence().evidence[0].clone() };
    let mut unanswered = snapshot(1_000);
    unanswered.evidence = vec![Evidence { counter: "echo_unanswered".to_owned(), of: Some(400), ..silent }];
    let found = of(&unanswered);
    assert!(found[0].text.starts_with("312 of 400, echo_unanswered: echo requests passed"), "{found:?}");
}

#[test]
fn a_ledger_that_does_not_balance_comes_before_all() {
    let mut wrong = with_drops();
    wrong.directions.egress.ledger.lost = 2;
    let wrong = Snapshot { directions: wrong.directions, ..with_drops() };
    let found = of(&wrong);
    assert_eq!(&*found[0].code, "ledger-unbalanced");
    assert!(found[0].text.starts_with("egress: the ledger DOES NOT BALANCE: 3 packets went in"), "{found:?}");
}

#[test]
fn no_traffic_is_no_traffic_only_where_nothing_was_seen() {
    let found = of(&snapshot(0));
    assert_eq!((found.len(), &*found[0].code), (1, "no-traffic"));
    assert!(found[0].text.contains("no packet that matches `icmp and host 10.0.0.1`"), "{found:?}");
    assert_eq!(verdict(&report(&path(), &snapshot(0))), Verdict::NoTraffic);
    // They died before any hook followed them.
    let mut dead = snapshot(0);
    dead.directions.ingress.drops = vec![lost("nic", 5)];
    dead.directions.ingress.ledger = Ledger { dropped: 5, entered: 5, ..Ledger::default() }.settled();
    assert_eq!(
        (verdict(&report(&path(), &dead)), &*of(&dead)[0].code),
        (Verdict::EverythingDied, "everything-died")
    );
    let mut copies = snapshot(0);
    copies.directions.egress.ledger.copies = 3;
    assert_eq!(verdict(&report(&path(), &copies)), Verdict::Told);
}

#[test]
fn much_doubt_is_inconclusive() {
    let doubtful = |untracked| {
        let mut snapshot = snapshot(1_000);
        snapshot.directions.ingress.ledger.untracked = untracked;
        verdict(&report(&path(), &snapshot))
    };
    assert_eq!((doubtful(10), doubtful(11)), (Verdict::Told, Verdict::Inconclusive));
}

#[test]
fn packets_that_look_alike_are_counted_and_no_doubt() {
    let alike = |ambiguous| {
        let mut snapshot = snapshot(1_000);
        snapshot.directions.ingress.ledger.ambiguous = ambiguous;
        let report = report(&path(), &snapshot);
        let codes: Vec<_> = report.findings.iter().map(|it| (it.severity, it.code.to_string())).collect();
        (verdict(&report), codes)
    };
    let fine = (Severity::Ok, "nothing-died".to_owned());
    assert_eq!(alike(10), (Verdict::Told, vec![fine.clone()]));
    assert_eq!(alike(1_000), (Verdict::Told, vec![fine, (Severity::Info, "look-alike".to_owned())]));
}

#[test]
fn few_contradicting_clocks_are_no_doubt_nor_are_packets_that_were_overtaken_until_most_were() {
    let skewed = |clock_skew, overtaken| {
        let mut snapshot = snapshot(1_000);
        let ledger = &mut snapshot.directions.ingress.ledger;
        (ledger.clock_skew, ledger.overtaken) = (clock_skew, overtaken);
        let report = report(&path(), &snapshot);
        report.findings.first().map(|it| (it.severity, it.code.to_string()))
    };
    let fine = Some((Severity::Ok, "nothing-died".to_owned()));
    assert_eq!((skewed(50, 0), skewed(400, 350)), (fine.clone(), fine));
    for (clock_skew, overtaken) in [(101, 0), (501, 501)] {
        let told = skewed(clock_skew, overtaken);
        assert_eq!(told, Some((Severity::Warning, "clock-skew".to_owned())), "{clock_skew} {overtaken}");
    }
}

/// Findings of several ports as `(code, whose)`.
fn whose(report: Report) -> Vec<(String, Option<String>)> {
    let report = diagnosed(report);
    let findings = report.findings.iter();
    findings.map(|finding| (finding.code.to_string(), report.whose(finding))).collect()
}

fn one(code: &str, whose: Option<&str>) -> (String, Option<String>) {
    (code.to_owned(), whose.map(str::to_owned))
}

#[test]
fn what_is_so_of_two_ports_alike_is_said_of_each() {
    let report = ports(&[lost_behind_nic(), lost_behind_nic(), snapshot(5)]);
    assert_eq!(
        whose(report),
        [one("packets-died", Some("vm-1")), one("packets-died", Some("vm-2")), one("nothing-died", None),]
    );
}

#[test]
fn what_is_wrong_at_a_place_that_ports_share_is_the_trace_s() {
    let mut report = ports(&[snapshot(5), snapshot(5)]);
    for port in &mut report.ports {
        port.path.problems = vec![problem(ProblemKind::NoCarrier, "ens3")];
    }
    report.ports[1].path.problems.push(problem(ProblemKind::Down, "qvo002"));
    let found = whose(report.clone());
    assert_eq!(found, [one("no-carrier", None), one("link-down", Some("vm-2")), one("nothing-died", None)]);
    // Of one port alone all of it is the port's, as what else is about it; what is the trace's is nobody's.
    report.ports.truncate(1);
    report.tracer.missed_runs = 1;
    let report = diagnosed(report);
    let ports: Vec<_> = report.findings.iter().map(|it| (&*it.code, it.port.is_some())).collect();
    assert_eq!(ports, [("no-carrier", true), ("hook-runs-missed", false), ("nothing-died", true)]);
    assert!(report.findings.iter().all(|finding| report.whose(finding).is_none()));
}

#[test]
fn a_counter_at_a_port_s_own_interface_is_about_that_port() {
    let unanswered = |at: &str, counter: &str| Evidence {
        source: EvidenceSource::Tap,
        at: at.to_owned(),
        counter: counter.to_owned(),
        count: 7,
        of: None,
        about: None,
        shared: false,
        meaning: String::new(),
    };
    let mut report = ports(&[snapshot(5), snapshot(5)]);
    report.evidence = vec![
        unanswered("tap002", "echo_unanswered"),
        Evidence { source: EvidenceSource::Driver, ..unanswered("ens3", "rx_errors") },
    ];
    assert_eq!(
        whose(report.clone()),
        [one("unanswered", Some("vm-2")), one("interface-drops", None), one("nothing-died", None),]
    );
    let concerned =
        |port: PortTrace<'_>| report.evidence.iter().map(|it| port.concerns(it)).collect::<Vec<_>>();
    let of: Vec<_> = report.each_port().map(concerned).collect();
    assert_eq!(of, [vec![false, true], vec![true, true]]);
}

#[test]
fn ports_without_traffic_are_named_and_no_trouble_unless_none_had_any() {
    let found = diagnosed(ports(&[snapshot(3), snapshot(0), snapshot(0)]));
    let told: Vec<_> = found.findings.iter().map(|it| (it.severity, it.text.as_str())).collect();
    assert_eq!(
        told,
        [
            (Severity::Ok, "nothing died at 1 of 3 ports: 3 packets to the VMs, 3 packets from the VMs"),
            (Severity::Info, "no packet was seen at 2 ports of 3: vm-2, vm-3"),
        ]
    );
    assert_eq!(verdict(&found), Verdict::Told);
    let none = diagnosed(ports(&[snapshot(0), snapshot(0)]));
    assert_eq!((none.findings.len(), &*none.findings[0].code), (1, "no-traffic"));
    assert_eq!((none.findings[0].port, verdict(&none)), (None, Verdict::NoTraffic));
}
