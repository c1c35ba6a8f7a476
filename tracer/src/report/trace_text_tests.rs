//! What the report says, and that it fits.

use super::{
    super::{
        layout::columns,
        trace_samples::{
            direction, explanation, latencies, packet, path, report, snapshot, with_drops, with_evidence,
            with_share,
        },
    },
    *,
};
use crate::{
    diagnose::diagnosed,
    model::{
        Bursts, Drop, Explanation, IfIndex, Ledger, Mechanism, Neighbour, OtherPort, Path, Role, Segment,
        Snapshot, Step, SwitchPaths, Upcalls,
    },
    path::testing::hop,
};

fn at(width: usize) -> Canvas {
    Canvas { width: Some(width), colour: false }
}

#[track_caller]
fn drawn(path: &Path, snapshot: &Snapshot, canvas: Canvas) -> String {
    let text = trace_text(&report(path, snapshot), canvas);
    let width = canvas.width.unwrap_or(DEFAULT_COLUMNS);
    for line in text.lines() {
        assert!(columns(line) <= width, "{} columns: {line}\n{text}", columns(line));
        assert_eq!(line, line.trim_end());
    }
    assert!(text.ends_with('\n') && !text.contains('\x1b'), "{text}");
    text
}

#[track_caller]
fn assert_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("no {word} in order in\n{text}"));
        rest = &rest[at + word.len()..];
    }
}

/// A line's words, so that spaces do not matter.
fn words(text: &str, start: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.trim_start().starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no line {start} in\n{text}"));
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_clean_trace_reads_from_head_to_cost() {
    let text = drawn(&path(), &snapshot(1_000), at(80));
    assert_order(
        &text,
        &[
            "vm\\u{1b}[2J-1",
            "instance-00000025",
            "fa:16:3e:21:1b:4b",
            "10.99.99.111",
            "fd00::6f",
            "final · 5.0 s · filter: icmp and host 10.0.0.1",
            "a → b:",
            "egress  VM → wire",
            "packets",
            "min",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max",
            "died",
            "tap → qvb",
            "tapc3d70d5c-a90 → qvbc3d70d5c-a90  through qbrc3d70d5c-a90 (security groups)",
            "qvb → qvo",
            "veth pair",
            "qvo → nic",
            "qvoc3d70d5c-a90 → ens3  through Open vSwitch br-int, br-ex",
            "total",
            "ledger  entered 1000 = completed 1000 + lost 0 + in flight 0 · balanced",
            "ingress  wire → VM",
            "nic → qvo",
            "ens3 → qvoc3d70d5c-a90  through Open vSwitch br-ex, br-int",
            "total",
            "balanced",
            "guest",
            "tap egress → tap ingress of the reply",
            "replies",
            "kernel",
            "kernel: from an echo request",
            "tracer: 8 hooks",
            "118 ns per packet and hook (kernel BPF statistics, 8000 runs)",
            "CPU 0.3 % of one core",
            "12.3 MiB locked",
        ],
    );
    assert_eq!(
        words(&text, "tap → qvb").join(" "),
        "tap → qvb 1000 421 ns 842 ns 1.68 µs 3.37 µs 8.42 µs 84.2 µs 0"
    );
    assert_eq!(words(&text, "total").join(" "), "total 1000 650 µs 1.30 ms 2.60 ms 5.20 ms 13.0 ms 130 ms 0");
    assert_eq!(text.matches("a → b:").count(), 1, "{text}");
    assert!(text.contains("\n  ledger  entered"), "{text}");
    for absent in ["drops", "beside", "off the path", "BALANCE by", "✘", "!"] {
        assert!(!text.contains(absent), "{absent} in\n{text}");
    }
}

#[test]
fn columns_line_up_over_all_tables() {
    let text = drawn(&path(), &snapshot(1_000), at(80));
    let ends: Vec<usize> = text
        .lines()
        .filter(|line| line.contains(" ns ") || line.contains("packets") && line.contains("p50"))
        .filter_map(|line| {
            line.find("p50")
                .map(|at| columns(&line[..at + 3]))
                .or_else(|| line.find("842 ns").map(|at| columns(&line[..at + 6])))
        })
        .collect();
    assert!(ends.len() >= 4 && ends.iter().all(|end| *end == ends[0]), "{ends:?}\n{text}");
}

#[test]
fn lost_packets_may_have_been_late_where_others_joined_midway() {
    let mut snapshot = with_drops();
    let late = "of the lost may only have been late";
    assert!(!drawn(&path(), &snapshot, at(100)).contains(late));
    snapshot.directions.egress.ledger.joined_midway = 3;
    let text = drawn(&path(), &snapshot, at(100));
    assert!(text.contains(&format!("up to 3 {late}")) && text.contains("(now 1000 ms)"), "{text}");
    assert_eq!(text.matches(late).count(), 1, "{text}");
}

#[test]
fn packets_that_died_in_bursts_are_told_with_how_often() {
    let mut snapshot = with_drops();
    let told = " in 20 bursts of 200 ms at most, one each 1.0 s";
    assert!(!drawn(&path(), &snapshot, at(120)).contains("bursts"));
    let bursts = Bursts { count: 20, longest_ns: 200_000_000, every_ns: 1_000_000_000 };
    snapshot.directions.egress.drops[0].bursts = Some(bursts);
    let text = drawn(&path(), &snapshot, at(120));
    assert!(text.contains(told), "{text}");
}

#[test]
fn what_a_share_tells_is_marked_and_says_how_far_it_holds() {
    for width in [80, 100, 140] {
        let text = drawn(&path(), &with_share(), at(width));
        // Those of the other direction were all timed.
        assert!(text.contains(" packets in 100 timed, all counted"), "{text}");
        assert_eq!(
            text.matches("1000 timed: p50 1.90 µs to 2.10 µs, p99 7.60 µs to 8.40 µs,").count(),
            3,
            "{text}"
        );
        assert_eq!(text.matches("p99.9 16.0 µs or more").count(), 3, "{text}");
        assert_eq!(words(&text, "total").get(1).map(String::as_str), Some("16000"), "{text}");
        assert!(text.contains("~6.00 µs") && text.contains("~24.0 µs"), "{text}");
    }
    let all = drawn(&path(), &snapshot(16_000), at(100));
    assert!(!all.contains('~') && !all.contains("timed"), "{all}");
}

#[test]
fn the_guest_s_programs_stand_apart_from_its_kernel() {
    let mut snapshot = snapshot(1_000);
    snapshot.guest.acknowledgements = latencies(7, 40_000_000);
    snapshot.guest.application.answers = latencies(5, 200_000_000);
    snapshot.guest.application.unclear = 3;
    let text = drawn(&path(), &snapshot, at(100));
    assert_eq!(words(&text, "application").get(1).map(String::as_str), Some("5"), "{text}");
    assert_eq!(words(&text, "acknowledged").get(1).map(String::as_str), Some("7"), "{text}");
    assert!(text.contains("first data of its answer") && text.contains("3 more answers"), "{text}");
    snapshot.guest.kernel = latencies(0, 0);
    snapshot.guest.application.answers = latencies(0, 0);
    let text = drawn(&path(), &snapshot, at(100));
    assert!(!text.contains("application:") && !text.contains("kernel:"), "{text}");
}

#[test]
fn narrow_canvases_have_fewer_quantiles() {
    let text = drawn(&path(), &snapshot(1_000), at(60));
    assert_eq!(words(&text, "packets"), ["packets", "min", "p50", "p99", "max", "died"]);
    assert_eq!(words(&text, "tap → qvb").join(" "), "tap → qvb 1000 421 ns 842 ns 3.37 µs 84.2 µs 0");
    drawn(&path(), &with_drops(), at(60));
}

#[test]
fn wider_canvases_have_fewer_lines() {
    let lines = |width| drawn(&path(), &snapshot(1_000), at(width)).lines().count();
    assert!(lines(80) > lines(125) && lines(125) > lines(180));
    let wide = drawn(&path(), &snapshot(1_000), at(180));
    assert!(wide.contains("tap tapc3d70d5c-a90 → qvb qvbc3d70d5c-a90 "), "{wide}");
    let row = wide.lines().find(|line| line.contains("tap tapc3")).unwrap();
    assert!(row.ends_with("0  through qbrc3d70d5c-a90 (security groups)"), "{row}");
}

#[test]
fn drops_are_shown_where_and_why() {
    let text = drawn(&path(), &with_drops(), at(80));
    let lost = |row: &str| words(&text, row).pop().unwrap();
    assert_eq!(
        (lost("tap → qvb"), lost("qvb → qvo"), lost("qvo → nic")),
        ("2".into(), "5".into(), "0".into())
    );
    // With the one behind the last hook, which no segment follows.
    assert_eq!(lost("total"), "8");
    assert_order(
        &text,
        &[
            "drops",
            "2  after tap tapc3d70d5c-a90  NETFILTER_DROP\\u{1b}[31m in nf_hook_slow+0x9a",
            "from 03:25:45.123456 to 03:25:45.124456, one of them",
            "10.99.99.1:53 udp 98 B",
            "the kernel freed it in nf_hook_slow+0x9a",
            "5  after qvb qvbc3d70d5c-a90",
            "lost: not seen again within 1000 ms, no reason seen",
            "1  after nic ens3  QDISC_DROP in nf_hook_slow",
            "entered 1000 = completed 991 + dropped 3 + lost 5 + in flight 1",
            "balanced",
        ],
    );
}

#[test]
fn what_makes_the_figures_doubtful_comes_first() {
    let mut snapshot = with_drops();
    snapshot.directions.egress.ledger.lost = 2;
    snapshot.directions.ingress.ledger.ambiguous = 50;
    snapshot.directions.ingress.ledger.untracked = 11;
    snapshot.directions.ingress.ledger.clock_skew = 4;
    let text = drawn(&path(), &snapshot, at(100));
    assert!(
        text.starts_with("✘ egress: the ledger DOES NOT BALANCE: 3 packets went in and did not"),
        "{text}"
    );
    assert_order(
        &text,
        &[
            "✘ 8 of 1000",
            "! 11 sights of packets to the VM",
            "· 50 packets to the VM looked like another",
            "vm\\u{1b}[2J-1",
        ],
    );
    assert_order(&text, &["entered 1000 ≠ completed 991", "DOES NOT BALANCE by 3"]);
    assert_order(
        &text,
        &["= completed 1000", "· balanced", "beside  look alike 50 · untracked 11 · clock skew 4"],
    );
    for hook in snapshot.directions.ingress.hooks.iter_mut().filter(|hook| hook.hook == "qvo") {
        (hook.ambiguous, hook.untracked) = (60, 7);
    }
    assert_order(
        &drawn(&path(), &snapshot, at(100)),
        &[
            "beside  look alike 50",
            "where   look alike at qvo qvoc3d70d5c-a90 60 · untracked at qvo qvoc3d70d5c-a90 7",
        ],
    );
    // Four of a thousand are not much.
    assert!(!text.contains("skewed"), "{text}");
    snapshot.directions.egress.ledger.lost = 9;
    let text = drawn(&path(), &snapshot, at(100));
    assert!(text.contains("4 packets came out and did not go in"), "{text}");
    snapshot.directions.egress.ledger.lost = 6;
    assert!(drawn(&path(), &snapshot, at(100)).contains("1 packet came out and did not go in"));
}

#[test]
fn a_live_ledger_may_be_a_little_apart() {
    let (path, mut snapshot) = (path(), snapshot(1_000));
    snapshot.directions.egress.ledger.completed = 997;
    let live = |snapshot: &Snapshot| {
        let mut report = Report { live: true, ..report(&path, snapshot) };
        report.settings.filter.clear();
        trace_text(&diagnosed(report), at(80))
    };
    let text = live(&snapshot);
    assert!(text.contains("live · 5.0 s · all packets of the port"), "{text}");
    assert!(text.contains("3 apart while packets move") && !text.contains("BALANCE"), "{text}");
    snapshot.directions.egress.ledger.completed = 500;
    assert!(live(&snapshot).starts_with("✘ egress: the ledger DOES NOT BALANCE: 500 packets"));
}

#[test]
fn an_empty_trace_says_so_without_tables() {
    let text = drawn(&path(), &snapshot(0), at(80));
    assert_eq!(text.matches("no packet was seen in this direction").count(), 2, "{text}");
    assert!(text.contains("no reply of the guest was matched to a request"), "{text}");
    assert!(text.contains("not measured: no packet while statistics were on"), "{text}");
    assert!(!text.contains("p50") && !text.contains("ledger") && !text.contains("a → b"), "{text}");
    // What is beside the balance is told even so.
    let mut snapshot = snapshot(0);
    snapshot.directions.ingress.ledger.unparsed = 7;
    let text = drawn(&path(), &snapshot, at(80));
    assert_order(&text, &["no packet", "no packet", "entered 0 = completed 0", "beside  unparsed 7"]);
}

#[test]
fn one_direction_may_be_empty() {
    let mut snapshot = snapshot(1_000);
    snapshot.directions.egress = direction(["tap", "qvb", "qvo", "nic"], 0);
    assert_order(
        &drawn(&path(), &snapshot, at(80)),
        &["egress", "no packet was seen", "ingress", "nic → qvo"],
    );
    // Everything lost behind the first hook: a table, with nothing to measure.
    snapshot.directions.egress.drops = with_drops().directions.egress.drops;
    let text = drawn(&path(), &snapshot, at(80));
    assert_eq!(words(&text, "qvb → qvo").join(" "), "qvb → qvo 0 - - - - - - 5");
}

#[test]
fn the_largest_numbers_fit() {
    let mut snapshot = with_drops();
    let egress = &mut snapshot.directions.egress;
    for segment in &mut egress.segments {
        segment.latencies = latencies(u64::MAX, 60_000_000_000);
    }
    for drop in &mut egress.drops {
        drop.count = u64::MAX;
    }
    for ledger in [&mut egress.ledger, &mut snapshot.directions.ingress.ledger] {
        (ledger.entered, ledger.completed, ledger.lost) = (u64::MAX, u64::MAX, u64::MAX);
        (ledger.in_flight, ledger.evicted, ledger.ambiguous) = (u64::MAX, u64::MAX, u64::MAX);
    }
    let text = drawn(&path(), &snapshot, at(80));
    assert!(text.contains("DOES NOT BALANCE") && text.contains("18.4E"), "{text}");
    assert!(text.contains("18446744073709551615"), "{text}");
    drawn(&path(), &snapshot, at(200));
    assert!(!trace_text(&report(&path(), &self::snapshot(u64::MAX)), at(1)).is_empty());
}

#[test]
fn alternatives_are_told_apart_and_their_drops_counted_once() {
    let (mut path, mut snapshot) = (path(), with_drops());
    path.steps.push(Step::Interface(hop(Role::Nic, "ens4", 3)));
    let egress = &mut snapshot.directions.egress;
    let to = |label: &str| Segment {
        from: "qvo".to_owned(),
        to: label.to_owned(),
        off_path: false,
        latencies: latencies(5, 900),
        paths: SwitchPaths::default(),
    };
    egress.segments.truncate(2);
    egress.segments.extend([to("nic:ens3"), to("nic:ens4")]);
    egress.drops[0].after = "qvo".to_owned();
    let text = drawn(&path, &snapshot, at(80));
    assert_order(&text, &["→ ens3", "qvo → nic", "↑\n", "qvoc3d70d5c-a90 → ens4", "total"]);
    let wide = drawn(&path, &snapshot, at(125));
    assert_order(&wide, &["qvo qvoc3d70d5c-a90 → nic ens3", " 2\n", "qvo qvoc3d70d5c-a90 → nic ens4", "↑\n"]);
}

#[test]
fn hops_beside_the_path_are_told() {
    let mut snapshot = snapshot(10);
    snapshot.off_path = latencies(12, 2_000);
    let text = drawn(&path(), &snapshot, Canvas::PLAIN);
    assert!(text.contains("off the path: 12 hops") && text.contains("p50 2.00 µs, max 200 µs"), "{text}");
}

#[test]
fn the_slow_path_of_a_switch_has_figures_of_its_own_and_the_rate_of_upcalls_is_told() {
    let mut snapshot = snapshot(1_000);
    let paths = |slow| SwitchPaths {
        fast_path: Some(latencies(1_000 - slow, 1_200)),
        slow_path: Some(latencies(slow, 2_500_000)),
    };
    snapshot.directions.egress.segments[2].paths = paths(12);
    snapshot.directions.ingress.segments[0].paths = paths(0);
    snapshot.upcalls =
        Some(Upcalls { misses: 4_321, misses_per_s: 857.34, actions: 0, traced: [12, 0], unmarked: 0 });
    let text = drawn(&path(), &snapshot, at(80));
    assert_order(&text, &["qvo → nic", "through Open vSwitch", "fast path", "slow path", "total", "ingress"]);
    assert_eq!(words(&text, "fast path")[..5].join(" "), "fast path 988 600 ns");
    assert_eq!(words(&text, "slow path")[..7].join(" "), "slow path 12 1.25 ms 2.50 ms");
    assert_eq!(text.matches("slow path").count(), 1, "where all took the fast path, nothing is told: {text}");
    let line =
        "Open vSwitch: 4321 upcalls in all (857 per second), 12 of traced packets (12 egress, 0 ingress)";
    assert!(drawn(&path(), &snapshot, at(100)).contains(line), "{text}");

    snapshot.upcalls =
        Some(Upcalls { misses: 3, misses_per_s: 0.64, actions: 7, traced: [1, 2], unmarked: 2 });
    let text = drawn(&path(), &snapshot, at(200));
    for part in ["3 upcalls in all (0.6 per second)", "7 more by an action", "2 of them not marked as slow"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let idle = Upcalls::default();
    snapshot.upcalls = Some(idle);
    assert!(drawn(&path(), &snapshot, at(80)).contains("Open vSwitch: no upcalls"));
}

#[test]
fn what_the_switch_does_with_an_example_stands_below_it() {
    let mut snapshot = with_drops();
    snapshot.directions.egress.drops[1].explain = Some(explanation());
    snapshot.directions.ingress.explain = Some(Explanation { is_cut: true, ..explanation() });
    for text in [
        drawn(&path(), &snapshot, at(80)),
        drops_text(&report(&path(), &snapshot), at(80)),
        drawn(&path(), &snapshot, at(200)),
    ] {
        assert_order(
            &text,
            &[
                "5  after qvb",
                "from ",
                "ofproto/trace br-int udp,in_port=qvoc3d70d5c-a90,",
                "\n       br-int\n",
                "         table 0 priority 1000 cookie 0x17: udp,tp_dst=4444\\u{1b}[31m\n",
                "           resubmit(,60)\n",
                "         table 60 priority 3: any packet\n",
                "           NORMAL\n",
                "-> forwarding to learned port\n",
                "       br-ex\n",
                "table 5: No match.\n",
                "datapath actions: drop\n",
                "1  after nic",
                "ingress",
                "  through Open vSwitch\n",
                "    ofproto/trace br-int udp,",
                "there was more, which is left out",
            ],
        );
        assert!(text.contains("udp_dst=4444\n"), "{text}");
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let (path, snapshot) = (path(), with_drops());
    let coloured = trace_text(&report(&path, &snapshot), Canvas { width: Some(80), colour: true });
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + rest[at..].find('m').unwrap() + 1..];
    }
    plain.push_str(rest);
    let plain: Vec<_> = plain.lines().map(str::trim_end).collect();
    assert_eq!(plain, drawn(&path, &snapshot, at(80)).lines().collect::<Vec<_>>());
}

fn lost_after_qvo(count: u64) -> Drop {
    Drop { after: "qvo".to_owned(), count, ..Drop::default() }
}

#[test]
fn losses_after_qvo_may_be_packets_for_another_vm() {
    let mut snapshot = snapshot(1_000);
    let egress = &mut snapshot.directions.egress;
    egress.drops = vec![lost_after_qvo(3)];
    egress.ledger = Ledger { completed: 997, lost: 3, ..egress.ledger }.settled();
    let mut path = path();
    assert!(!drawn(&path, &snapshot, at(80)).contains("other VMs"), "it is the only VM");
    path.other_ports =
        vec![OtherPort { ifname: "qvo7be41f06-31".to_owned(), ifindex: IfIndex(9), ..OtherPort::default() }];
    assert!(drawn(&path, &snapshot, at(80)).contains("packets for other VMs of this host"));
    snapshot.directions.egress.drops.clear();
    assert!(!drawn(&path, &snapshot, at(80)).contains("other VMs"), "nothing was lost");
}

#[test]
fn neighbours_show_what_they_got_and_sent() {
    let mut snapshot = snapshot(1_000);
    let neighbour = |ifname: &str, received| Neighbour {
        ifname: ifname.to_owned(),
        mac: "fa:16:3e:6c:82:a0".parse().ok(),
        place: ifname.to_owned(),
        received,
        sent: 2 * received,
        hooked: true,
        ..Neighbour::default()
    };
    snapshot.neighbours = vec![neighbour("qvo7be41f06-31", 0), neighbour("qvo11111111-22", 0)];
    let mut path = path();
    path.other_ports =
        vec![OtherPort { ifname: "qvo7be41f06-31".to_owned(), ifindex: IfIndex(9), ..OtherPort::default() }];
    assert!(!drawn(&path, &snapshot, at(80)).contains("neighbour"), "nothing went beside the path");

    snapshot.neighbours = vec![neighbour("qvo7be41f06-31", 5), neighbour("qvo11111111-22", 0)];
    let egress = &mut snapshot.directions.egress;
    egress.segments.push(Segment {
        from: "qvo".to_owned(),
        to: "neighbour".to_owned(),
        off_path: true,
        latencies: latencies(5, 700),
        paths: SwitchPaths::default(),
    });
    egress.neighbour_total = latencies(5, 900);
    egress.ledger = Ledger { elsewhere: 5, ..egress.ledger };
    egress.drops = vec![lost_after_qvo(3)];
    let text = drawn(&path, &snapshot, at(80));
    for expected in [
        "qvo → neighbour",
        "neighbour total",
        "completed 1000 (5 of them elsewhere)",
        "qvo7be41f06-31  fa:16:3e:6c:82:a0  5 received, 10 sent",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("qvo11111111-22") && !text.contains("packets for other VMs"), "{text}");
}

#[test]
fn what_hooks_at_tracepoints_cost_the_whole_host_is_told() {
    let mut snapshot = snapshot(1_000);
    let cost = &mut snapshot.tracer;
    (cost.mechanism, cost.ns_per_hook, cost.ns_per_sent, cost.sent_measured) =
        (Mechanism::Tracepoints, None, Some(61.4), 5_000);
    let text = drawn(&path(), &snapshot, at(200)).replace("\n        ", " ");
    let expected = "61 ns per packet that any interface of the host receives or sends";
    assert!(
        text.contains("(tracepoints)") && text.contains(expected) && !text.contains("wire hook"),
        "{text}"
    );
}

#[test]
fn what_the_wire_hook_was_not_shown_is_told_first() {
    let mut snapshot = snapshot(1_000);
    assert!(!drawn(&path(), &snapshot, at(80)).contains("wire hook"));
    let ledger = &mut snapshot.directions.egress.ledger;
    *ledger = Ledger { unseen: 2, ..*ledger };
    let text = drawn(&path(), &snapshot, at(80));
    assert!(text.contains("! egress: 2 packets left the NIC's hook"), "{text}");
    assert!(text.contains("completed 1000 (2 of them unseen)"), "{text}");
}

#[test]
fn the_slowest_packets_are_listed_with_their_times() {
    let mut snapshot = snapshot(1_000);
    assert!(!drawn(&path(), &snapshot, at(80)).contains("slowest"));
    snapshot.directions.egress.slowest = vec![packet(), packet()];
    let text = drawn(&path(), &snapshot, at(80));
    assert_order(
        &text,
        &[
            "total",
            "slowest packets",
            "\n    03:25:45.123456 egress",
            "= 90.0 µs",
            "= 90.0 µs",
            "ledger",
            "ingress",
        ],
    );
    assert_eq!(text.matches("slowest packets").count(), 1, "{text}");
}

#[test]
fn drops_alone_are_told_without_latencies() {
    let path = path();
    let drawn = |snapshot: &Snapshot| drops_text(&report(&path, snapshot), at(80));
    let text = drawn(&with_drops());
    assert_order(
        &text,
        &[
            "egress  VM → wire",
            "2  after tap tapc3d70d5c-a90  NETFILTER_DROP",
            "5  after qvb qvbc3d70d5c-a90",
            "lost: not seen again within 1000 ms, no reason seen",
            "1  after nic ens3  QDISC_DROP in nf_hook_slow+0x9a  on CPU 3",
            "at 03:25:45.123456, one of them",
            "the queueing discipline of ens3 is full",
            "entered 1000 = completed 991 + dropped 3 + lost 5 + in flight 1",
            "ingress  wire → VM",
            "nothing died",
        ],
    );
    for absent in ["p50", "slowest", "guest", "neighbours"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
    let quiet = drawn(&snapshot(0));
    assert!(
        quiet.contains("no packet was seen in this direction") && !quiet.contains("nothing died"),
        "{quiet}"
    );
    let mut crowded = snapshot(10);
    crowded.drops_without_site = 7;
    assert!(drawn(&crowded).starts_with("! 7 drops came from more places"), "{}", drawn(&crowded));
}

#[test]
fn counters_that_rose_are_told_below_the_drops() {
    let path = path();
    let snapshot = with_evidence();
    for text in [drops_text(&report(&path, &snapshot), at(80)), drawn(&path, &snapshot, at(80))] {
        assert_order(
            &text,
            &[
                "ingress  wire → VM",
                "also seen  what rose meanwhile, beside the ledger",
                "    312  datapath ovs-system  lost",
                "upcall queue overflow",
                "count here, too",
                "      7  tapc3d70d5c-a90  tx_dropped",
                "packets for the guest that tapc3d70d5c-a90 did not take",
                "      1  ovs-vswitchd  datapath_drop_meter",
            ],
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    assert!(!drawn(&path, &with_drops(), at(80)).contains("also seen"));
}

#[test]
fn whose_reason_it_is_and_that_there_is_none() {
    let mut snapshot = with_drops();
    let drops = &mut snapshot.directions.egress.drops;
    drops[0].subsystem = Some("openvswitch".to_owned());
    drops[0].reason = Some("LAST_ACTION".to_owned());
    drops[2].reason = None;
    let text = drawn(&path(), &snapshot, at(120));
    assert!(text.contains("openvswitch LAST_ACTION in nf_hook_slow+0x9a"), "{text}");
    assert!(text.contains("freed, the kernel gives no reason, in nf_hook_slow+0x9a"), "{text}");
}

#[test]
fn several_ports_stand_below_each_other_and_findings_say_whose_they_are() {
    let mut both = report(&path(), &snapshot(1_000));
    let mut other = report(&path(), &with_drops()).ports.remove(0);
    other.path.instance.display_name = Some("db-1".to_owned());
    other.path.instance.mac = "fa:16:3e:00:00:02".parse().unwrap();
    both.ports.push(other);
    let text = trace_text(&diagnosed(both), at(100));
    assert!(text.starts_with("✘ db-1: 8 of 1000 packets from the VM died"), "{text}");
    assert_order(
        &text,
        &[
            "final · 5.0 s · filter: icmp and host 10.0.0.1",
            "vm\\u{1b}[2J-1  instance-00000025",
            "+ lost 0 + in flight 0 · balanced",
            "db-1  instance-00000025  fa:16:3e:00:00:02",
            "2  after tap tapc3d70d5c-a90",
            "tracer: 8 hooks",
        ],
    );
}
