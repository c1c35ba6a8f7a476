//! The parts of a report that are about one port.

use super::{
    Part,
    flow::Piece,
    guest,
    page::Page,
    places,
    table::{Block, Layout, Row},
    upcalls,
};
use crate::{
    model::{Direction, DirectionReport, Ledger, PortReport, PortTrace, Printable},
    report::{Ink, packet_text},
};

/// A port, on the report's page.
#[derive(Clone, Copy)]
pub(super) struct PortPage<'a> {
    pub(super) page: Page<'a>,
    pub(super) port: &'a PortReport,
    /// What it is called in this trace.
    pub(super) name: &'a str,
}

impl PortPage<'_> {
    /// What is told of it.
    pub(super) fn part(&self, part: Part) -> Vec<String> {
        match part {
            Part::All => self.figures(),
            Part::Deaths => self.all_deaths(),
        }
    }

    /// Its latencies, what died, its ledgers, the guest's times, and the ports beside the path.
    fn figures(&self) -> Vec<String> {
        let directions = Direction::ALL.map(|direction| (direction, self.rows(direction)));
        let guest = guest::block(&self.port.guest);
        let blocks: Vec<&Block> =
            directions.iter().filter_map(|(_, block)| block.as_ref()).chain(&guest).collect();
        let layout = Layout::new(&blocks, self.page.columns);
        let mut lines = Vec::new();
        if directions.iter().any(|(_, block)| block.is_some()) {
            let arrow = "a → b: seen at hook a and next at hook b; the times are those in between";
            lines.extend(self.page.flow(&[Piece::new(Ink::Faint, arrow)], " ", 2));
        }
        for (direction, block) in &directions {
            lines.push(String::new());
            lines.extend(self.direction(*direction, block.as_ref(), &layout));
        }
        lines.push(String::new());
        lines.extend(self.guest(guest.as_ref(), &layout));
        lines.extend(self.neighbours());
        lines
    }

    /// Only what died.
    fn all_deaths(&self) -> Vec<String> {
        let of = |direction| [vec![String::new()], self.deaths(direction)].concat();
        Direction::ALL.into_iter().flat_map(of).collect()
    }

    /// The table of a direction; `None` when nothing was seen in it.
    fn rows(&self, direction: Direction) -> Option<Block> {
        let figures = self.port.directions.get(direction);
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
            let ends = places::ends(&self.port.path, segment);
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
        let figures = self.port.directions.get(direction);
        let mut lines = vec![self.page.heading(direction.name(), way(direction))];
        match block {
            Some(block) => lines.extend(layout.draw(block, self.page.canvas)),
            None => lines.push(self.nothing_seen(direction).to_owned()),
        }
        lines.extend(self.early(figures));
        lines.extend(self.drops(figures));
        lines.extend(self.carried(direction));
        lines.extend(self.slowest(figures));
        if direction == Direction::Egress && !self.sees_ports_beside() {
            let path = &self.port.path;
            let comes_to_switch = |after: &str| {
                let hop = path.hop_of(after).filter(|hop| !hop.leads_out());
                hop.is_some_and(|hop| path.is_in_switch(hop))
            };
            let left = lost_after(figures, comes_to_switch);
            if left > 0 {
                lines.push(self.page.canvas.paint(Ink::Bad, LOCAL_TRAFFIC));
            }
        }
        if block.is_some() || figures.ledger != Ledger::default().settled() {
            lines.extend(self.ledger(direction, &figures.ledger));
        }
        lines.extend(self.troubles(&figures.hooks));
        lines
    }

    /// Said of a direction without packets.
    pub(super) fn nothing_seen(&self, direction: Direction) -> &'static str {
        let trace = PortTrace { trace: self.page.report, port: self.port };
        if direction == Direction::Ingress && trace.had_other_addresses() {
            "  no packet for the port's own address was seen; those for others are told below (also seen)"
        } else if direction == Direction::Ingress && trace.had_group_frames() {
            "  no packet for the port's own address was seen; those for groups are told below"
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
            self.page.flow(&[Piece::plain("   "), line], " ", 6)
        });
        title.into_iter().chain(packets).collect()
    }
}

pub(in crate::report) const fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "VM → wire",
        Direction::Ingress => "wire → VM",
    }
}

pub(super) fn saw_packets(figures: &DirectionReport) -> bool {
    let ledger = &figures.ledger;
    let passed = [ledger.entered, ledger.joined_midway, ledger.split, ledger.completed, figures.total.count];
    passed.into_iter().any(|count| count > 0)
        || figures.segments.iter().any(|segment| segment.latencies.count > 0)
        || !figures.drops.is_empty()
}

/// Said beside losses before the switch, where another VM of the host may be whom the packets were for.
const LOCAL_TRAFFIC: &str = "    packets for other VMs of this host leave there and count as lost, too";

fn lost_after(figures: &DirectionReport, hook: impl Fn(&str) -> bool) -> u64 {
    let drops = figures.drops.iter().filter(|drop| hook(&drop.after));
    drops.fold(0, |sum, drop| sum.saturating_add(drop.count))
}
