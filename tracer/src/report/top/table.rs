//! A line per port, in columns.

use super::{
    Top,
    row::{Row, Way},
};
use crate::{
    model::{Printable, Severity},
    report::{
        Canvas, Ink,
        layout::{columns, cut},
        units::{nanoseconds, short_count},
    },
};

const NOTHING: &str = "-";
/// Columns of the longest name that is shown whole; JSON has all of it.
const MAX_NAME: usize = 40;
/// Columns of findings below which other columns are left out for them.
const MIN_FINDINGS: usize = 16;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Port,
    Tap,
    PacketsOut,
    PacketsIn,
    DiedOut,
    DiedIn,
    P99Out,
    P99In,
    Guest,
    Findings,
}

const ALL: [Column; 10] = [
    Column::Port,
    Column::Tap,
    Column::PacketsOut,
    Column::PacketsIn,
    Column::DiedOut,
    Column::DiedIn,
    Column::P99Out,
    Column::P99In,
    Column::Guest,
    Column::Findings,
];

impl Column {
    const fn heading(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::Tap => "tap",
            Self::PacketsOut => "out/s",
            Self::PacketsIn => "in/s",
            Self::DiedOut => "died out",
            Self::DiedIn => "died in",
            Self::P99Out => "p99 out",
            Self::P99In => "p99 in",
            Self::Guest => "p99 guest",
            Self::Findings => "findings",
        }
    }

    /// Whether it is a number, at the right of its column.
    const fn is_number(self) -> bool {
        !matches!(self, Self::Port | Self::Tap | Self::Findings)
    }

    fn cell(self, top: &Top<'_>, row: &Row<'_>) -> String {
        let time = |ns: Option<u64>| ns.map_or_else(|| NOTHING.to_owned(), nanoseconds);
        let p99 = |way: Way| {
            if way.p99_within_ns.is_some() { format!("~{}", time(way.p99_ns)) } else { time(way.p99_ns) }
        };
        match self {
            Self::Port => Printable(&row.name).to_string(),
            Self::Tap => row.tap().map_or_else(|| NOTHING.to_owned(), |tap| Printable(tap).to_string()),
            Self::PacketsOut => rate(top.per_second(row.egress.since.packets)),
            Self::PacketsIn => rate(top.per_second(row.ingress.since.packets)),
            Self::DiedOut => short_count(row.egress.since.died()),
            Self::DiedIn => short_count(row.ingress.since.died()),
            Self::P99Out => p99(row.egress),
            Self::P99In => p99(row.ingress),
            Self::Guest => time(row.guest_p99_ns),
            Self::Findings => findings(row),
        }
    }

    /// `None`: as it is.
    fn ink(self, row: &Row<'_>) -> Option<Ink> {
        let died = |count: u64| (count > 0).then_some(Ink::Bad);
        match self {
            Self::Port => Some(Ink::Strong),
            Self::Tap => Some(Ink::Faint),
            Self::DiedOut => died(row.egress.since.died()),
            Self::DiedIn => died(row.ingress.since.died()),
            Self::Findings => row.findings.first().map(|worst| match worst.severity {
                Severity::Critical => Ink::Bad,
                Severity::Warning => Ink::Warn,
                Severity::Ok | Severity::Info => Ink::Faint,
            }),
            _ => None,
        }
    }
}

/// Packets per second; a port that is not idle does not look so.
fn rate(per_second: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate of counts")]
    if per_second > 0.0 && per_second < 0.05 {
        "<0.1".to_owned()
    } else if per_second > 0.0 && per_second < 9.95 {
        format!("{per_second:.1}")
    } else {
        short_count(per_second.round() as u64)
    }
}

/// The worst one in its short words, and how many more: `packets died +2`.
fn findings(row: &Row<'_>) -> String {
    let worst = row.findings.first().map(|worst| Printable(&worst.code.replace('-', " ")).to_string());
    match (worst, row.findings.len()) {
        (None, _) => NOTHING.to_owned(),
        (Some(worst), 1) => worst,
        (Some(worst), count) => format!("{worst} +{}", count - 1),
    }
}

/// How the columns share the width.
struct Shape {
    columns: Vec<Column>,
    widths: Vec<usize>,
    gap: usize,
}

impl Shape {
    /// The roomiest of all that fits; the tightest where none does.
    fn new(cells: &[Vec<String>], width: Option<usize>) -> Self {
        let tap = [Column::Tap].as_slice();
        let guest = &[Column::Tap, Column::Guest];
        let times = &[Column::Tap, Column::Guest, Column::P99In, Column::P99Out];
        let shapes = [
            ([].as_slice(), MAX_NAME, 2),
            (tap, MAX_NAME, 2),
            (tap, 20, 2),
            (tap, 16, 1),
            (guest, 16, 1),
            (times, 16, 1),
        ];
        let mut shapes =
            shapes.into_iter().map(|(without, name, gap)| Self::without(without, name, gap, cells));
        let Some(width) = width else {
            return shapes.next().unwrap_or_else(|| Self::without(&[], MAX_NAME, 2, cells));
        };
        let tightest = || Self::without(times, 12, 1, cells).within(width);
        shapes.find_map(|shape| shape.fitted(width)).unwrap_or_else(tightest)
    }

    fn without(left_out: &[Column], name: usize, gap: usize, cells: &[Vec<String>]) -> Self {
        let (mut kept, mut widths) = (Vec::new(), Vec::new());
        for (place, column) in ALL.into_iter().enumerate().filter(|(_, column)| !left_out.contains(column)) {
            let of_rows = cells.iter().filter_map(|row| row.get(place)).map(|cell| columns(cell)).max();
            let widest = of_rows.unwrap_or(0).max(columns(column.heading()));
            kept.push(column);
            widths.push(if column == Column::Port { widest.min(name) } else { widest });
        }
        Self { columns: kept, widths, gap }
    }

    /// Columns before those of the last one, the findings.
    fn before_findings(&self) -> usize {
        let numbers = self.widths.iter().rev().skip(1);
        numbers.map(|width| width + self.gap).sum()
    }

    /// The same where enough of the findings fits.
    fn fitted(self, width: usize) -> Option<Self> {
        let room = width.saturating_sub(self.before_findings());
        let wanted = self.widths.last().copied().unwrap_or(0).min(MIN_FINDINGS);
        (room >= wanted).then(|| self.within(width))
    }

    /// The same with the findings cut to what is left.
    fn within(mut self, width: usize) -> Self {
        let room = width.saturating_sub(self.before_findings());
        if let Some(last) = self.widths.last_mut() {
            *last = room.min(*last);
        }
        self
    }

    /// A line of cells, each with its ink.
    fn line(&self, cells: &[(String, Option<Ink>)], canvas: Canvas) -> String {
        let mut line = String::new();
        let mut room = 0;
        for ((column, width), (cell, ink)) in self.columns.iter().zip(&self.widths).zip(cells) {
            let cell = cut(cell, *width);
            let spare = width.saturating_sub(columns(&cell));
            if cell.is_empty() {
                continue;
            }
            let before = if column.is_number() { room + spare } else { room };
            line.push_str(&" ".repeat(before));
            line.push_str(&ink.map_or_else(|| cell.clone(), |ink| canvas.paint(ink, &cell)));
            room = self.gap + if column.is_number() { 0 } else { spare };
        }
        line
    }
}

/// The lines, with their heading.
pub(in crate::report) fn table(top: &Top<'_>, canvas: Canvas) -> Vec<String> {
    let cells: Vec<Vec<String>> =
        top.rows.iter().map(|row| ALL.map(|column| column.cell(top, row)).to_vec()).collect();
    let shape = Shape::new(&cells, canvas.width);
    let heading: Vec<_> = shape.columns.iter().map(|column| (column.heading().to_owned(), None)).collect();
    let heading = shape.line(&heading, Canvas::PLAIN);
    let rows = top.rows.iter().zip(cells).map(|(row, cells)| {
        let cells = ALL.into_iter().zip(cells).filter(|(column, _)| shape.columns.contains(column));
        let cells: Vec<_> = cells.map(|(column, cell)| (cell, column.ink(row))).collect();
        shape.line(&cells, canvas)
    });
    std::iter::once(canvas.paint(Ink::Faint, heading)).chain(rows).collect()
}
