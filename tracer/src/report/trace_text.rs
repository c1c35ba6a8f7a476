//! A trace for people: its findings first, then per direction a row per segment, what died, and the ledger;
//! at the end the guest's own time and what tracing cost.

mod drops;
mod early;
mod evidence;
mod explain;
mod findings;
mod flow;
mod guest;
mod head;
mod ledger;
mod neighbours;
mod places;
mod table;
mod units;
mod upcalls;

use flow::{Piece, flow};
use table::{Block, Layout, Row};

use super::{Canvas, Ink, packet_text};
use crate::model::{BridgeKind, Direction, DirectionReport, Evidence, Ledger, Printable, TraceReport};

/// Columns where there is no terminal: what fits into a log or a README.
const DEFAULT_COLUMNS: usize = 100;
/// Fewer columns than this are not aimed at; lines then get longer than the terminal.
const MIN_COLUMNS: usize = 60;

/// The report, ending with a newline. Made for 80 columns and more; narrower ones get fewer quantiles, wider canvases get fewer, longer lines.
#[must_use]
pub fn trace_text(report: &TraceReport<'_>, canvas: Canvas) -> String {
    let columns = canvas.width.unwrap_or(DEFAULT_COLUMNS).max(MIN_COLUMNS);
    let page = Page { report, canvas, columns };
    let directions = Direction::ALL.map(|direction| (direction, page.rows(direction)));
    let guest = guest::block(&report.snapshot.guest);
    let blocks: Vec<&Block> =
        directions.iter().filter_map(|(_, block)| block.as_ref()).chain(&guest).collect();
    let layout = Layout::new(&blocks, columns);

    let mut lines = page.findings();
    lines.extend(page.head());
    if directions.iter().any(|(_, block)| block.is_some()) {
        let arrow = "a → b: seen at hook a and next at hook b; the times are those in between";
        lines.extend(page.flow(&[Piece::new(Ink::Faint, arrow)], " ", 2));
    }
    for (direction, block) in &directions {
        lines.push(String::new());
        lines.extend(page.direction(*direction, block.as_ref(), &layout));
    }
    lines.push(String::new());
    lines.extend(page.guest(guest.as_ref(), &layout));
    lines.extend(page.neighbours());
    lines.extend(page.evidence());
    lines.extend(page.foot());
    lines.push(String::new());
    lines.join("\n")
}

/// Only what died, where and why: the same report without latencies.
#[must_use]
pub fn drops_text(report: &TraceReport<'_>, canvas: Canvas) -> String {
    let columns = canvas.width.unwrap_or(DEFAULT_COLUMNS).max(MIN_COLUMNS);
    let page = Page { report, canvas, columns };
    let mut lines = page.findings();
    lines.extend(page.head());
    for direction in Direction::ALL {
        lines.push(String::new());
        lines.extend(page.deaths(direction));
    }
    lines.extend(page.evidence());
    lines.push(String::new());
    lines.join("\n")
}

/// Only what a report begins with, its findings, for a terminal that something else is printed to.
#[must_use]
pub fn findings_text(report: &TraceReport<'_>) -> Vec<String> {
    let page = Page { report, canvas: Canvas::PLAIN, columns: DEFAULT_COLUMNS };
    page.findings().into_iter().filter(|line| !line.is_empty()).collect()
}

/// A report and what it is written on.
struct Page<'a> {
    report: &'a TraceReport<'a>,
    canvas: Canvas,
    columns: usize,
}

impl Page<'_> {
    fn flow(&self, pieces: &[Piece], separator: &str, indent: usize) -> Vec<String> {
        flow(pieces, separator, indent, self.columns, self.canvas)
    }

    fn heading(&self, title: &str, what: &str) -> String {
        format!("{}  {what}", self.canvas.paint(Ink::Strong, title))
    }

    /// The table of a direction; `None` when nothing was seen in it.
    fn rows(&self, direction: Direction) -> Option<Block> {
        let figures = self.report.snapshot.directions.get(direction);
        if !saw_packets(figures) {
            return None;
        }
        let mut counted: Vec<&str> = Vec::new();
        let mut rows: Vec<Row> = Vec::new();
        for segment in &figures.segments {
            // Drops belong to the hook before; of several segments from there the first shows them.
            let lost = if counted.contains(&segment.from.as_str()) {
                "↑".to_owned()
            } else {
                counted.push(&segment.from);
                lost_after(figures, |after| after == segment.from).to_string()
            };
            let ends = places::ends(self.report.path, segment);
            rows.push(Row { ends, latencies: segment.latencies, lost: Some(lost) });
            rows.extend(upcalls::rows(segment));
        }
        let lost = Some(lost_after(figures, |_| true).to_string());
        rows.push(Row { ends: places::Ends::named("total"), latencies: figures.total, lost });
        if figures.neighbour_total.count > 0 {
            let ends = places::Ends::named("neighbour total");
            rows.push(Row { ends, latencies: figures.neighbour_total, lost: Some("↑".to_owned()) });
        }
        Some(Block { counted: "packets", rows })
    }

    fn direction(&self, direction: Direction, block: Option<&Block>, layout: &Layout) -> Vec<String> {
        let figures = self.report.snapshot.directions.get(direction);
        let mut lines = vec![self.heading(direction.name(), way(direction))];
        match block {
            Some(block) => lines.extend(layout.draw(block, self.canvas)),
            None => lines.push(self.nothing_seen(direction).to_owned()),
        }
        lines.extend(self.early(figures));
        lines.extend(self.drops(direction, figures));
        lines.extend(self.carried(direction));
        lines.extend(self.slowest(figures));
        if direction == Direction::Egress && !self.sees_ports_beside() {
            let path = self.report.path;
            let comes_to_switch = |after: &str| {
                let hop = path.hop_of(after).filter(|hop| !hop.is_uplink());
                hop.and_then(|hop| path.bridge_of(hop)).is_some_and(BridgeKind::is_ovs)
            };
            let left = lost_after(figures, comes_to_switch);
            if left > 0 {
                lines.push(self.canvas.paint(Ink::Bad, LOCAL_TRAFFIC));
            }
        }
        if block.is_some() || figures.ledger != Ledger::default().settled() {
            lines.extend(self.ledger(direction, &figures.ledger));
            lines.extend(self.troubles(&figures.hooks));
        }
        lines
    }

    /// Said of a direction without packets.
    fn nothing_seen(&self, direction: Direction) -> &'static str {
        let others = self.report.snapshot.evidence.iter().any(Evidence::is_of_other_address);
        if others && direction == Direction::Ingress {
            "  no packet for the port's own address was seen; those for others are told below (also seen)"
        } else {
            "  no packet was seen in this direction"
        }
    }

    /// The packets as `packets` prints them.
    fn slowest(&self, figures: &DirectionReport) -> Vec<String> {
        let title = (!figures.slowest.is_empty()).then(|| "  slowest packets".to_owned());
        let packets = figures.slowest.iter().flat_map(|way| {
            let mut text = Vec::new();
            packet_text(way, &mut text);
            let line = Piece::plain(Printable(&String::from_utf8_lossy(&text)).to_string());
            self.flow(&[Piece::plain("   "), line], " ", 6)
        });
        title.into_iter().chain(packets).collect()
    }

    /// Hops beside the path, and what tracing cost.
    fn foot(&self) -> Vec<String> {
        let snapshot = self.report.snapshot;
        let mut lines = vec![String::new()];
        if snapshot.off_path.count > 0 {
            let text = format!(
                "off the path: {} hops between hooks that are no neighbours{}",
                snapshot.off_path.count,
                snapshot.off_path.latency_ns.map_or(String::new(), |latency| {
                    format!(
                        " (p50 {}, max {})",
                        units::nanoseconds(latency.p50),
                        units::nanoseconds(latency.max)
                    )
                })
            );
            lines.extend(self.flow(&[Piece::new(Ink::Warn, text)], " ", 0));
        }
        lines.extend(self.upcalls());
        let cost = snapshot.tracer;
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
        let pieces: Vec<_> =
            [format!("tracer: {} hooks ({})", cost.hooks, cost.mechanism.name()), per_packet]
                .into_iter()
                .chain(per_sent)
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

const fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "VM → wire",
        Direction::Ingress => "wire → VM",
    }
}

fn saw_packets(figures: &DirectionReport) -> bool {
    let ledger = &figures.ledger;
    let passed = [ledger.entered, ledger.joined_midway, ledger.split, ledger.completed, figures.total.count];
    passed.into_iter().any(|count| count > 0)
        || figures.segments.iter().any(|segment| segment.latencies.count > 0)
        || !figures.drops.is_empty()
}

/// Said beside losses after qvo, where another VM of the host may be whom the packets were for.
const LOCAL_TRAFFIC: &str = "    packets for other VMs of this host leave at qvo and count as lost, too";

fn lost_after(figures: &DirectionReport, hook: impl Fn(&str) -> bool) -> u64 {
    let drops = figures.drops.iter().filter(|drop| hook(&drop.after));
    drops.fold(0, |sum, drop| sum.saturating_add(drop.count))
}

#[cfg(test)]
#[path = "trace_text_tests.rs"]
mod tests;
