//! Rows of figures in columns that all tables of a report share.

use super::places::Ends;
use crate::{
    model::{Interval, Latencies, Sample},
    report::{
        Canvas, Ink,
        layout::{columns, pad},
        units::{nanoseconds, short_count},
    },
};

const QUANTILES: [&str; 6] = ["min", "p50", "p90", "p99", "p99.9", "max"];
const LOST: &str = "died";
const NOTHING: &str = "-";
/// Columns before every row.
const INDENT: usize = 2;
/// Columns before the names below a row.
const DETAIL_INDENT: usize = 4;
const CELLS: usize = QUANTILES.len() + 2;
/// Cells that are left out where nothing else helps: p90 and p99.9.
const SPARED: [usize; 2] = [3, 5];

/// A segment, a total, or the guest.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) ends: Ends,
    pub(super) latencies: Latencies,
    /// Packets that died; `None` where that is not known.
    pub(super) lost: Option<String>,
}

/// A table.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// What the first column counts.
    pub(super) counted: &'static str,
    pub(super) rows: Vec<Row>,
}

type Cells = [String; CELLS];

impl Block {
    fn heading(&self) -> Cells {
        let has_lost = self.rows.iter().any(|row| row.lost.is_some());
        let mut names = [self.counted].into_iter().chain(QUANTILES).chain(has_lost.then_some(LOST));
        std::array::from_fn(|_| names.next().unwrap_or_default().to_owned())
    }
}

impl Row {
    fn cells(&self, short_counts: bool) -> Cells {
        let count = if short_counts { short_count } else { |count: u64| count.to_string() };
        let latency = self.latencies.latency_ns.map(|it| [it.min, it.p50, it.p90, it.p99, it.p999, it.max]);
        // Of those that were timed, or of all as far as these tell.
        let about = if self.latencies.sample.is_some() { "~" } else { "" };
        let mut quantiles = latency.into_iter().flatten().map(|ns| format!("{about}{}", nanoseconds(ns)));
        let lost = self.lost.as_ref().map_or(String::new(), |lost| lost.parse().map_or(lost.clone(), count));
        let mut cells = [count(self.latencies.count)]
            .into_iter()
            .chain((0..QUANTILES.len()).map(|_| quantiles.next().unwrap_or_else(|| NOTHING.to_owned())))
            .chain([lost]);
        std::array::from_fn(|_| cells.next().unwrap_or_default())
    }
}

/// Between what a quantile of all packets is.
fn between((name, Interval { low, high }): (&str, Interval)) -> String {
    match high {
        Some(high) if nanoseconds(low) == nanoseconds(high) => format!("{name} {}", nanoseconds(low)),
        Some(high) => format!("{name} {} to {}", nanoseconds(low), nanoseconds(high)),
        None => format!("{name} {} or more", nanoseconds(low)),
    }
}

/// How the columns share the width: as roomy as it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Interfaces stand in the row, not below it.
    names_in_row: bool,
    /// What lies between stands at the end of the row, not below it.
    via_in_row: bool,
    /// Counts are shortened to three digits.
    short_counts: bool,
    /// Cells that are left out.
    spared: &'static [usize],
    /// Columns there are.
    room: usize,
    gap: usize,
    label: usize,
    cells: [usize; CELLS],
}

impl Layout {
    /// The roomiest layout in which all tables fit into `width`; the tightest, when none does.
    pub(super) fn new(blocks: &[&Block], width: usize) -> Self {
        let shape = |(names_in_row, via_in_row, gap, short_counts, spared)| {
            let (label, cells) = (0, [0; CELLS]);
            let room = width;
            Self { names_in_row, via_in_row, short_counts, spared, room, gap, label, cells }.fitted(blocks)
        };
        [
            (true, true, 2, false, &[][..]),
            (true, false, 2, false, &[]),
            (false, false, 2, false, &[]),
            (false, false, 1, false, &[]),
            (false, false, 1, true, &[]),
        ]
        .into_iter()
        .map(shape)
        .find(|layout| layout.width(blocks) <= width)
        .unwrap_or_else(|| shape((false, false, 1, true, &SPARED)))
    }

    fn fitted(mut self, blocks: &[&Block]) -> Self {
        for block in blocks {
            let rows = block.rows.iter().map(|row| row.cells(self.short_counts));
            for cells in rows.chain([block.heading()]) {
                for (width, cell) in self.cells.iter_mut().zip(&cells) {
                    *width = columns(cell).max(*width);
                }
            }
            let labels = block.rows.iter().map(|row| columns(self.label(row)));
            self.label = labels.max().unwrap_or(0).max(self.label);
        }
        self
    }

    fn label<'a>(&self, row: &'a Row) -> &'a str {
        if self.names_in_row { &row.ends.long } else { &row.ends.short }
    }

    fn width(&self, blocks: &[&Block]) -> usize {
        let via = blocks.iter().flat_map(|block| &block.rows).map(|row| columns(&row.ends.via)).max();
        let via = via.filter(|_| self.via_in_row).map_or(0, |via| via + 2);
        let cells = self.cells.iter().enumerate().filter(|(place, _)| self.shows(*place));
        INDENT + self.label + cells.map(|(_, width)| width + self.gap).sum::<usize>() + via
    }

    fn shows(&self, cell: usize) -> bool {
        !self.spared.contains(&cell)
    }

    /// The lines of a table.
    pub(super) fn draw(&self, block: &Block, canvas: Canvas) -> Vec<String> {
        let heading = self.line("", &block.heading());
        let mut lines = vec![canvas.paint(Ink::Faint, heading.trim_end())];
        for row in &block.rows {
            lines.push(self.row(row, canvas));
            lines.extend(self.detail(row).into_iter().map(|detail| canvas.paint(Ink::Faint, detail)));
        }
        lines
    }

    fn row(&self, row: &Row, canvas: Canvas) -> String {
        let cells = row.cells(self.short_counts);
        let [figures @ .., lost] = &cells;
        let [.., lost_width] = &self.cells;
        let line = self.line(self.label(row), figures);
        let room = " ".repeat(self.gap + lost_width.saturating_sub(columns(lost)));
        let died = row.lost.as_deref().is_some_and(|lost| lost.parse::<u64>().is_ok_and(|lost| lost > 0));
        let lost = if died { canvas.paint(Ink::Bad, lost) } else { lost.clone() };
        if self.via_in_row && !row.ends.via.is_empty() {
            return format!("{line}{room}{lost}  {}", canvas.paint(Ink::Faint, &row.ends.via));
        }
        format!("{line}{room}{lost}").trim_end().to_owned()
    }

    /// A label and the first cells, each at the right of its column.
    fn line(&self, label: &str, cells: &[String]) -> String {
        let mut line = format!("{}{}", " ".repeat(INDENT), pad(label, self.label));
        for (_, (cell, width)) in
            cells.iter().zip(&self.cells).enumerate().filter(|(place, _)| self.shows(*place))
        {
            line.push_str(&" ".repeat(self.gap + width.saturating_sub(columns(cell))));
            line.push_str(cell);
        }
        line
    }

    /// Where the quantiles of all packets are, given those that were timed; in two lines where one is too narrow.
    fn within(&self, sample: &Sample) -> Vec<String> {
        if sample.timed == 0 {
            return vec!["none of them timed".to_owned()];
        }
        let [p50, p99, p999] =
            [("p50", sample.p50_ns), ("p99", sample.p99_ns), ("p99.9", sample.p999_ns)].map(between);
        let timed = format!("{} timed: {p50}, {p99}", short_count(sample.timed));
        let whole = format!("{timed}, {p999}");
        if columns(&whole) + DETAIL_INDENT <= self.room {
            vec![whole]
        } else {
            vec![format!("{timed},"), p999]
        }
    }

    /// What did not fit into the row, in two lines where one is too narrow.
    fn detail(&self, row: &Row) -> Vec<String> {
        let names = if self.names_in_row { "" } else { row.ends.names.as_str() };
        let via = if self.via_in_row { "" } else { row.ends.via.as_str() };
        let parts: Vec<_> = [names, via].into_iter().filter(|part| !part.is_empty()).collect();
        let indented = |text: &str| format!("{}{text}", " ".repeat(DETAIL_INDENT));
        let whole = indented(&parts.join("  "));
        let lines: Vec<String> = if columns(&whole) > self.room {
            parts.into_iter().map(indented).collect()
        } else {
            (!parts.is_empty()).then_some(whole).into_iter().collect()
        };
        let within = row.latencies.sample.iter().flat_map(|sample| self.within(sample));
        lines.into_iter().chain(within.map(|line| indented(&line))).collect()
    }
}
