//! Traces for the tests of every format.

use std::{net::IpAddr, time::Duration};

use crate::{
    diagnose::diagnosed,
    model::{
        Application, BridgeKind, Direction, DirectionReport, Directions, Drop, DropExample, EarlyDrop,
        Evidence, EvidenceSource, Explanation, Flow, GuestTimes, HookReport, HostFacts, HostReport,
        InstanceId, Interval, Latencies, LatencyNs, Ledger, MacAddr, Mechanism, OnCpu, OpenFlowRule,
        PacketWay, Path, Report, Sample, Segment, Settings, Snapshot, SwitchPaths, TracerCost, WayPoint,
    },
    path::testing::hybrid_path,
};

/// The interfaces, with names as long as the kernel allows.
const INTERFACES: [(&str, u32); 4] =
    [("tapc3d70d5c-a90", 13), ("qvbc3d70d5c-a90", 11), ("qvoc3d70d5c-a90", 12), ("ens3", 2)];

/// The hybrid path; the display name attacks the terminal.
pub(crate) fn path() -> Path {
    let ovs = BridgeKind::Ovs { datapath: "system".to_owned(), fail_mode: None };
    let path = hybrid_path(INTERFACES, "qbrc3d70d5c-a90", &ovs);
    let instance = InstanceId {
        name: Some("instance-00000025".to_owned()),
        uuid: Some("9c45fce8-0000-4000-8000-000000000025".to_owned()),
        display_name: Some("vm\x1b[2J-1".to_owned()),
        mac: path.instance.mac,
        ips: vec!["10.99.99.111".parse().unwrap(), "fd00::6f".parse().unwrap()],
        port_id: Some("c3d70d5c-a9aa-4bbb-8ccc-000000000001".to_owned()),
    };
    Path { instance, ..path }
}

/// Figures around a median.
pub(crate) fn latencies(count: u64, p50: u64) -> Latencies {
    let latency_ns = (count > 0).then(|| LatencyNs {
        min: p50 / 2,
        #[allow(clippy::cast_precision_loss)]
        mean: p50 as f64 * 1.25,
        p50,
        p90: p50.saturating_mul(2),
        p99: p50.saturating_mul(4),
        p999: p50.saturating_mul(10),
        max: p50.saturating_mul(100),
    });
    Latencies { count, sample: None, latency_ns }
}

/// A packet on its way to the wire.
/// Of which a sixteenth was timed, too few to know the last quantile.
fn sampled(count: u64, p50: u64) -> Latencies {
    let within = |ns: u64| Interval { low: ns - ns / 20, high: Some(ns + ns / 20) };
    let sample = Sample {
        timed: count / 16,
        p50_ns: within(p50),
        p90_ns: within(2 * p50),
        p99_ns: within(4 * p50),
        p999_ns: Interval { low: 8 * p50, high: None },
    };
    Latencies { sample: Some(sample), ..latencies(count, p50) }
}

pub(crate) fn packet() -> PacketWay<'static> {
    let point = |hook: &'static str, at_ns| WayPoint { hook: hook.into(), at_ns };
    PacketWay {
        direction: Direction::Egress,
        identity: 0xfeed_0000_0000_0001,
        time_ns: (3 * 3600 + 25 * 60 + 45) * 1_000_000_000 + 123_456_789,
        len_bytes: 98,
        flow: Flow {
            protocol: "udp".into(),
            source: IpAddr::from([10, 99, 99, 111]),
            destination: IpAddr::from([10, 99, 99, 1]),
            source_port: Some(4000),
            destination_port: Some(53),
        },
        hops: vec![point("tap", 0), point("qvb", 7_150), point("nic", 90_000)],
        sampled: false,
        slow: true,
        upcall: false,
    }
}

/// A direction whose packets all arrive, from the hooks in the order they are passed.
pub(crate) fn direction(hooks: [&str; 4], count: u64) -> DirectionReport {
    let segments = hooks.iter().zip(hooks.iter().skip(1)).zip([842, 12_345, 1_240_000]);
    DirectionReport {
        segments: segments
            .map(|((from, to), p50)| Segment {
                from: (*from).to_owned(),
                to: (*to).to_owned(),
                off_path: false,
                latencies: latencies(count, p50),
                paths: SwitchPaths::default(),
            })
            .collect(),
        total: latencies(count, 1_300_000),
        neighbour_total: latencies(0, 0),
        late: Vec::new(),
        drops: Vec::new(),
        early_drops: Vec::new(),
        slowest: Vec::new(),
        carried: None,
        explain: None,
        hooks: hooks
            .map(|hook| HookReport { hook: hook.to_owned(), seen: count, ..HookReport::default() })
            .to_vec(),
        ledger: Ledger { entered: count, completed: count, ..Ledger::default() }.settled(),
    }
}

/// 1,000 packets each way, all well.
pub(crate) fn snapshot(count: u64) -> Snapshot {
    Snapshot {
        began_ns: packet().time_ns,
        duration: Duration::from_millis(5_040),
        directions: Directions {
            egress: direction(["tap", "qvb", "qvo", "nic"], count),
            ingress: direction(["nic", "qvo", "qvb", "tap"], count),
        },
        off_path: latencies(0, 0),
        guest: GuestTimes {
            kernel: latencies(count, 150_000),
            acknowledgements: latencies(0, 0),
            application: Application { answers: latencies(0, 0), unclear: 0 },
        },
        neighbours: Vec::new(),
        upcalls: None,
        notes: Vec::new(),
        evidence: Vec::new(),
        drops_without_site: 0,
        taken: None,
        tracer: TracerCost {
            hooks: 8,
            ns_per_hook: (count > 0).then_some(118.4),
            runs_measured: count.saturating_mul(8),
            ns_per_sent: None,
            sent_measured: 0,
            hooks_cpu_pct: (count > 0).then_some(0.47),
            missed_runs: 0,
            cpu_pct: 0.34,
            map_bytes: 12_900_000,
            mechanism: Mechanism::Tcx,
        },
    }
}

/// The same where a share of the packets on their way out was timed.
pub(crate) fn with_share() -> Snapshot {
    let mut snapshot = snapshot(16_000);
    let egress = &mut snapshot.directions.egress;
    for segment in &mut egress.segments {
        segment.latencies = sampled(16_000, 2_000);
    }
    egress.total = sampled(16_000, 6_000);
    snapshot
}

/// The same with packets that died: five without a reason behind qvb, two with one behind the tap, one behind the NIC.
pub(crate) fn with_drops() -> Snapshot {
    let mut snapshot = snapshot(1_000);
    let first_ns = packet().time_ns;
    let drop = |after: &str, reason: Option<&str>, count| Drop {
        after: after.to_owned(),
        reason: reason.map(str::to_owned),
        cpus: reason.map(|_| OnCpu { cpu: 3, count }).into_iter().collect(),
        location: reason.map(|_| "nf_hook_slow+0x9a".to_owned()),
        count,
        first_ns,
        last_ns: first_ns + (count - 1) * 1_000_000,
        example: reason.map(|_| DropExample { time_ns: first_ns, len_bytes: 98, flow: packet().flow }),
        ..Drop::default()
    };
    let egress = &mut snapshot.directions.egress;
    egress.drops = vec![
        drop("tap", Some("NETFILTER_DROP\x1b[31m"), 2),
        drop("qvb", None, 5),
        drop("nic", Some("QDISC_DROP"), 1),
    ];
    egress.slowest = vec![packet()];
    egress.ledger =
        Ledger { entered: 1_000, completed: 991, dropped: 3, lost: 5, in_flight: 1, ..Ledger::default() }
            .settled();
    snapshot
}

/// The same, and packets that died before the path began.
pub(crate) fn with_early_drops() -> Snapshot {
    let mut snapshot = with_drops();
    let first_ns = packet().time_ns;
    snapshot.directions.egress.early_drops = vec![EarlyDrop {
        before: "tap".to_owned(),
        reason: Some("TC_INGRESS".to_owned()),
        subsystem: None,
        location: "sch_handle_ingress+0x1c\x1b[31m".to_owned(),
        count: 137,
        cpus: vec![OnCpu { cpu: 0, count: 100 }, OnCpu { cpu: 1, count: 37 }],
        first_ns,
        last_ns: first_ns + 2_000_000_000,
        example: Some(DropExample { time_ns: first_ns, len_bytes: 98, flow: packet().flow }),
        advice: String::new(),
    }];
    snapshot
}

/// The same as [`with_drops`], and counters of the host that rose meanwhile.
pub(crate) fn with_evidence() -> Snapshot {
    let evidence = |source, at: &str, counter: &str, count, shared| Evidence {
        source,
        at: at.to_owned(),
        counter: counter.to_owned(),
        count,
        of: None,
        about: None,
        shared,
        meaning: String::new(),
    };
    let found = vec![
        evidence(EvidenceSource::Datapath, "ovs-system", "lost", 312, true),
        evidence(EvidenceSource::Interface, "tapc3d70d5c-a90", "tx_dropped", 7, false),
        evidence(EvidenceSource::Vswitchd, "ovs-vswitchd", "datapath_drop_meter", 1, true),
    ];
    Snapshot { evidence: found, ..with_drops() }
}

/// What the switch says of a packet that one of its rules drops.
pub(crate) fn explanation() -> Explanation {
    let rule = |bridge: &str, table, priority, matches: &str, actions: &[&str]| OpenFlowRule {
        bridge: bridge.to_owned(),
        table,
        priority,
        cookie: (table == 0).then(|| "0x17".to_owned()),
        matches: matches.to_owned(),
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        logical: None,
    };
    Explanation {
        bridge: "br-int".to_owned(),
        packet: "udp,in_port=qvoc3d70d5c-a90,dl_src=fa:16:3e:21:1b:4b,dl_dst=52:54:00:99:99:01,nw_src=10.99.99.111,\
                 nw_dst=10.99.99.1,nw_tos=0,nw_ttl=64,udp_src=54321,udp_dst=4444"
            .to_owned(),
        rules: vec![
            rule("br-int", 0, Some(1_000), "udp,tp_dst=4444\x1b[31m", &["resubmit(,60)"]),
            rule("br-int", 60, Some(3), "", &["NORMAL", "-> forwarding to learned port"]),
            rule("br-ex", 5, None, "No match.", &["drop"]),
        ],
        assumed: Some("connection tracking was assumed to say inv|trk".to_owned()),
        datapath_actions: vec!["drop".to_owned()],
        leaves_by: None,
        hits: None,
        is_cut: false,
    }
}

/// A final report, with all its words.
pub(crate) fn report(path: &Path, snapshot: &Snapshot) -> Report {
    watched(path, snapshot, &HostReport::default())
}

/// The same of a host whose sources said something meanwhile.
pub(crate) fn watched(path: &Path, snapshot: &Snapshot, host: &HostReport) -> Report {
    diagnosed(Report::new(path.clone(), snapshot.clone(), host.clone(), facts(), settings()))
}

/// A report of several ports, `vm-1` and so on, without findings; each port has interfaces of its own up to `ens3`.
pub(crate) fn ports(of_each: &[Snapshot]) -> Report {
    let ports = of_each.iter().zip(1_u8..).map(|(snapshot, number)| {
        let interfaces = INTERFACES.map(|(name, index)| match name {
            "ens3" => (name.to_owned(), index),
            name => (format!("{}{number:03}", &name[..3]), index + u32::from(number) * 100),
        });
        let names = interfaces.each_ref().map(|(name, index)| (name.as_str(), *index));
        let ovs = BridgeKind::Ovs { datapath: "system".to_owned(), fail_mode: None };
        let path = hybrid_path(names, &format!("qbr{number:03}"), &ovs);
        let instance = InstanceId {
            display_name: Some(format!("vm-{number}")),
            mac: MacAddr([0xfa, 0x16, 0x3e, 0, 0, number]),
            ips: vec![IpAddr::from([10, 0, 0, number])],
            ..path.instance
        };
        let path = Path { instance, ..path };
        Report::new(path, snapshot.clone(), HostReport::default(), facts(), settings())
    });
    let mut ports = ports;
    let mut all = ports.next().unwrap();
    all.ports.extend(ports.flat_map(|report| report.ports));
    all
}

fn facts() -> HostFacts {
    HostFacts {
        name: "compute-1".to_owned(),
        kernel: "6.12.0".to_owned(),
        machine: "x86_64".to_owned(),
        hoptrace: "0.1.0".to_owned(),
    }
}

fn settings() -> Settings {
    Settings { filter: "icmp and host 10.0.0.1".to_owned(), timeout_ms: 1_000, ..Settings::default() }
}
