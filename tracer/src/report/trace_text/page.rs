//! The parts of a report that are about the trace as a whole.

use super::{
    Part, columns_on,
    flow::{Piece, flow},
    port::PortPage,
};
use crate::{
    model::{Latencies, Report},
    report::{Canvas, Ink, units},
};

/// A report and what it is written on.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) report: &'a Report,
    /// What its ports are called, in their order.
    pub(super) names: &'a [String],
    pub(super) canvas: Canvas,
    pub(super) columns: usize,
}

impl<'a> Page<'a> {
    pub(super) fn new(report: &'a Report, names: &'a [String], canvas: Canvas) -> Self {
        Self { report, names, canvas, columns: columns_on(canvas) }
    }

    pub(super) fn ports(self) -> impl Iterator<Item = PortPage<'a>> {
        let names = self.names.iter().map(String::as_str);
        self.report.ports.iter().zip(names).map(move |(port, name)| PortPage { page: self, port, name })
    }

    /// All of it, ending with a newline: what is to know first, then that part of each port, what else was seen, and what tracing cost.
    pub(super) fn text(self, part: Part) -> String {
        let mut lines = self.findings();
        if let [only] = &self.ports().collect::<Vec<_>>()[..] {
            lines.extend(only.names());
            lines.extend(self.facts());
            lines.extend(only.partly());
            lines.extend(self.notes());
            lines.extend(only.part(part));
        } else {
            lines.extend(self.facts());
            lines.extend(self.notes());
            lines.extend(self.several(part));
        }
        lines.extend(self.evidence());
        lines.extend(if part == Part::All { self.foot() } else { Vec::new() });
        lines.push(String::new());
        lines.join("\n")
    }

    pub(super) fn flow(&self, pieces: &[Piece], separator: &str, indent: usize) -> Vec<String> {
        flow(pieces, separator, indent, self.columns, self.canvas)
    }

    pub(super) fn heading(&self, title: &str, what: &str) -> String {
        format!("{}  {what}", self.canvas.paint(Ink::Strong, title))
    }

    /// Hops between hooks that are no neighbours; nothing without any.
    fn off_path(&self, hops: &Latencies) -> Vec<String> {
        if hops.count == 0 {
            return Vec::new();
        }
        let times = hops.latency_ns.map_or(String::new(), |latency| {
            let about = if hops.sample.is_some() { "~" } else { "" };
            let [p50, max] = [latency.p50, latency.max].map(units::nanoseconds);
            format!(" (p50 {about}{p50}, max {about}{max})")
        });
        let text = format!("off the path: {} hops between hooks that are no neighbours{times}", hops.count);
        self.flow(&[Piece::new(Ink::Warn, text)], " ", 0)
    }

    /// Hops beside the path, and what tracing cost.
    pub(super) fn foot(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        lines.extend(self.report.each_port().flat_map(|of| self.off_path(&of.port.off_path)));
        lines.extend(self.upcalls());
        let cost = &self.report.tracer;
        let per_packet = match (cost.ns_per_hook, cost.ns_per_sent) {
            (None, Some(ns)) => format!(
                "{ns:.0} ns per packet that any interface of the host receives or sends, the VM's included (measured \
                 in {} runs)",
                cost.sent_measured
            ),
            (Some(ns), _) => {
                format!("{ns:.0} ns per packet and hook (kernel BPF statistics, {} runs)", cost.runs_measured)
            }
            (None, None) => "cost per packet not measured: no packet while statistics were on".to_owned(),
        };
        let per_sent = cost
            .ns_per_hook
            .and(cost.ns_per_sent)
            .map(|ns| format!("{ns:.0} ns more per packet that any device sends (wire hook)"));
        let hooks = cost.hooks_cpu_pct.map(|pct| format!("hooks {pct:.1} % of one core"));
        let pieces: Vec<_> =
            [format!("tracer: {} hooks ({})", cost.hooks, cost.mechanism.name()), per_packet]
                .into_iter()
                .chain(per_sent)
                .chain(hooks)
                .chain([
                    format!("CPU {:.1} % of one core", cost.cpu_pct),
                    format!("{} locked", units::bytes(cost.map_bytes)),
                ])
                .map(|text| Piece::new(Ink::Faint, text))
                .collect();
        lines.extend(self.flow(&pieces, " · ", 8));
        lines
    }
}
