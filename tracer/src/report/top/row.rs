//! What is told of a port.

use std::collections::HashMap;

use crate::model::{
    Direction, DirectionReport, Finding, Interval, Ledger, MacAddr, PortReport, Report, Severity,
};

/// A port.
#[derive(Debug, Clone)]
pub(in crate::report) struct Row<'a> {
    pub(in crate::report) port: &'a PortReport,
    /// What it is called in this trace; from outside, not yet escaped.
    pub(in crate::report) name: String,
    pub(super) egress: Way,
    pub(super) ingress: Way,
    /// 99 % of what the guest's kernel answers by itself came in this time.
    pub(super) guest_p99_ns: Option<u64>,
    /// What is to know about it, the worst first; nothing that is well.
    pub(in crate::report) findings: Vec<&'a Finding>,
}

/// A direction of a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// Up to now.
    pub(super) total: Counts,
    /// Since the report before.
    pub(super) since: Counts,
    /// 99 % of the packets took no longer from the first hook to the last.
    pub(super) p99_ns: Option<u64>,
    /// Where that is among all packets, where only a share was timed.
    pub(super) p99_within_ns: Option<Interval>,
}

/// Packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Seen at a hook.
    pub(super) packets: u64,
    pub(super) dropped: u64,
    pub(super) lost: u64,
    pub(super) misdelivered: u64,
    /// Before the first hook.
    pub(super) died_early: u64,
}

impl Counts {
    fn of(figures: &DirectionReport) -> Self {
        let Ledger { entered, joined_midway, dropped, lost, misdelivered, .. } = figures.ledger;
        let early = figures.early_drops.iter().map(|early| early.count);
        Self {
            packets: entered.saturating_add(joined_midway),
            dropped,
            lost,
            misdelivered,
            died_early: early.fold(0, u64::saturating_add),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(before.packets),
            dropped: self.dropped.saturating_sub(before.dropped),
            // What came in the interval, and had been given up before, is taken off.
            lost: self.lost.saturating_sub(before.lost),
            misdelivered: self.misdelivered.saturating_sub(before.misdelivered),
            died_early: self.died_early.saturating_sub(before.died_early),
        }
    }

    /// All that did not arrive.
    pub(super) fn died(self) -> u64 {
        [self.dropped, self.lost, self.misdelivered, self.died_early].into_iter().fold(0, u64::saturating_add)
    }
}

impl<'a> Row<'a> {
    /// One for each port of `report`, in its order; `before` is an earlier report of the trace. What it does not have began at 0.
    pub(in crate::report) fn of_each(before: Option<&Report>, report: &'a Report) -> Vec<Self> {
        let known: HashMap<Id<'_>, &PortReport> =
            before.iter().flat_map(|before| &before.ports).map(|port| (Id::of(port), port)).collect();
        let mut findings: HashMap<MacAddr, Vec<&Finding>> = HashMap::new();
        for finding in report.findings.iter().filter(|finding| finding.severity != Severity::Ok) {
            if let Some(mac) = finding.port {
                findings.entry(mac).or_default().push(finding);
            }
        }
        let of = |(port, name): (&'a PortReport, String)| {
            let before = known.get(&Id::of(port)).copied();
            Row {
                port,
                name,
                egress: Way::of(before, port, Direction::Egress),
                ingress: Way::of(before, port, Direction::Ingress),
                guest_p99_ns: port.guest.kernel.latency_ns.map(|latency| latency.p99),
                findings: findings.get(&port.path.instance.mac).cloned().unwrap_or_default(),
            }
        };
        report.ports.iter().zip(report.port_names()).map(of).collect()
    }

    /// The guest's own interface on the host.
    pub(super) fn tap(&self) -> Option<&'a str> {
        self.port.path.guests().map(|hop| hop.ifname.as_str())
    }

    pub(super) fn ways(&self) -> [Way; 2] {
        [self.egress, self.ingress]
    }
}

impl Way {
    fn of(before: Option<&PortReport>, port: &PortReport, direction: Direction) -> Self {
        let figures = port.directions.get(direction);
        let total = Counts::of(figures);
        let before = before.map(|port| Counts::of(port.directions.get(direction))).unwrap_or_default();
        let p99_ns = figures.total.latency_ns.map(|latency| latency.p99);
        let p99_within_ns = figures.total.sample.map(|sample| sample.p99_ns);
        Self { total, since: total.since(before), p99_ns, p99_within_ns }
    }
}

/// What makes a port the same port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Id<'a> {
    mac: MacAddr,
    port_id: Option<&'a str>,
}

impl<'a> Id<'a> {
    fn of(port: &'a PortReport) -> Self {
        Self { mac: port.path.instance.mac, port_id: port.path.instance.port_id.as_deref() }
    }
}
