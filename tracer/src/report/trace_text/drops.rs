//! Packets that died: where, why, when, one of them, and what that means.

use std::time::Duration;

use super::{
    flow::Piece,
    places,
    port::{PortPage, saw_packets, way},
};
use crate::{
    model::{Bursts, Direction, DirectionReport, Drop, DropExample, Ledger, OnCpu, Printable},
    report::{
        Ink,
        packet::{end, time_of_day},
        units,
    },
};

impl PortPage<'_> {
    /// The drops of a direction below a title; nothing without any.
    pub(super) fn drops(&self, figures: &DirectionReport) -> Vec<String> {
        let widest = figures.drops.iter().map(|drop| drop.count.to_string().len()).max().unwrap_or(0);
        let lines: Vec<_> = figures.drops.iter().flat_map(|drop| self.drop(drop, widest)).collect();
        let title = (!lines.is_empty()).then(|| "  drops".to_owned());
        title.into_iter().chain(lines).chain(self.late(&figures.ledger)).collect()
    }

    /// A packet that comes after the time-out is lost at one hook, and joins midway at the next.
    fn late(&self, ledger: &Ledger) -> Vec<String> {
        let maybe = ledger.lost.min(ledger.joined_midway);
        if maybe == 0 {
            return Vec::new();
        }
        let text = format!(
            "    up to {maybe} of the lost may only have been late, or were changed on their way: as many packets joined \
             midway; a longer --timeout (now {} ms) tells",
            self.page.report.settings.timeout_ms
        );
        self.page.flow(&[Piece::new(Ink::Warn, text)], " ", 6)
    }

    /// A direction as `drops` tells it.
    pub(super) fn deaths(&self, direction: Direction) -> Vec<String> {
        let figures = self.port.directions.get(direction);
        let mut lines = vec![self.page.heading(direction.name(), way(direction))];
        lines.extend(self.early(figures));
        lines.extend(self.drops(figures));
        lines.extend(self.carried(direction));
        if !saw_packets(figures) {
            lines.push(self.nothing_seen(direction).to_owned());
        } else if figures.drops.is_empty()
            && figures.early_drops.is_empty()
            && figures.ledger.misdelivered == 0
        {
            lines.push("  nothing died".to_owned());
        }
        if saw_packets(figures) || figures.ledger != Ledger::default().settled() {
            lines.extend(self.ledger(direction, &figures.ledger));
            lines.extend(self.troubles(&figures.hooks));
        }
        lines
    }

    fn drop(&self, drop: &Drop, widest: usize) -> Vec<String> {
        let indent = 6 + widest;
        let pieces = [
            Piece::new(Ink::Bad, format!("    {:>widest$}", drop.count)),
            Piece::plain(format!("after {}", places::hook(&self.port.path, &drop.after))),
            Piece::plain(self.why(drop)),
        ];
        let pieces =
            [pieces.as_slice(), on_cpus(&drop.cpus, drop.count).map(Piece::plain).as_slice()].concat();
        let mut lines = self.page.flow(&pieces, "  ", indent);
        let below = |ink, text: String| {
            let start = Piece::plain(" ".repeat(indent - 1));
            self.page.flow(&[start, Piece::new(ink, text)], " ", indent + 2)
        };
        let times = times(drop.first_ns, drop.last_ns);
        let bursts = drop.bursts.map_or_else(String::new, |it| format!(" {}", in_bursts(it)));
        let example =
            drop.example.as_ref().map_or_else(String::new, |it| format!(", one of them {}", packet(it)));
        lines.extend(below(Ink::Faint, format!("{times}{bursts}{example}")));
        lines.extend(drop.advice.iter().flat_map(|advice| below(Ink::Warn, advice.clone())));
        lines.extend(drop.explain.iter().flat_map(|explained| self.explanation(explained, indent)));
        lines
    }

    /// Why, and where in the kernel.
    fn why(&self, drop: &Drop) -> String {
        match &drop.location {
            Some(location) => cause(drop.subsystem.as_deref(), drop.reason.as_deref(), location),
            None => format!(
                "lost: not seen again within {} ms, no reason seen",
                self.page.report.settings.timeout_ms
            ),
        }
    }
}

/// Why the kernel freed a packet, and where.
pub(super) fn cause(subsystem: Option<&str>, reason: Option<&str>, location: &str) -> String {
    let subsystem = subsystem.map_or_else(String::new, |name| format!("{} ", Printable(name)));
    let reason = reason.map_or_else(
        || "freed, the kernel gives no reason,".to_owned(),
        |reason| format!("{subsystem}{}", Printable(reason)),
    );
    format!("{reason} in {}", Printable(location))
}

/// CPUs that are named one by one at most.
const MAX_CPUS_NAMED: usize = 4;

/// On which of `cpus` so many packets died; `None`: it is not known of any.
pub(super) fn on_cpus(cpus: &[OnCpu], count: u64) -> Option<String> {
    let known: u64 = cpus.iter().map(|on| on.count).sum();
    let most = cpus.iter().max_by_key(|on| on.count)?;
    let is_most = cpus.iter().all(|on| on.cpu == most.cpu || on.count < most.count);
    let which = match cpus {
        [one] => format!("on CPU {}", one.cpu),
        some if some.len() <= MAX_CPUS_NAMED => {
            let names: Vec<_> = some.iter().map(|on| on.cpu.to_string()).collect();
            format!("on CPUs {}", names.join(", "))
        }
        many => format!("on {} CPUs", many.len()),
    };
    let notes = [
        (is_most && cpus.len() > 1).then(|| format!("most on {}", most.cpu)),
        (known < count).then(|| format!("of {} it is not known", count - known)),
    ];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    Some(if notes.is_empty() { which } else { format!("{which} ({})", notes.join("; ")) })
}

/// When packets died.
pub(super) fn times(first_ns: u64, last_ns: u64) -> String {
    match (time_of_day(first_ns), time_of_day(last_ns)) {
        (first, last) if first == last => format!("at {first}"),
        (first, last) => format!("from {first} to {last}"),
    }
}

/// That they died in bursts.
fn in_bursts(bursts: Bursts) -> String {
    format!("{bursts}, one each {}", units::duration(Duration::from_nanos(bursts.every_ns)))
}

pub(super) fn packet(example: &DropExample) -> String {
    let flow = &example.flow;
    format!(
        "{} > {} {} {} B",
        end(flow.source, flow.source_port),
        end(flow.destination, flow.destination_port),
        flow.protocol,
        example.len_bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(cpus: &[(u32, u64)], count: u64) -> Option<String> {
        let cpus: Vec<_> = cpus.iter().map(|(cpu, count)| OnCpu { cpu: *cpu, count: *count }).collect();
        on_cpus(&cpus, count)
    }

    #[test]
    fn a_few_cpus_are_named_and_the_busiest_of_many() {
        let told = |cpus: &[(u32, u64)]| on(cpus, cpus.iter().map(|(_, count)| count).sum());
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[(3, 7)]).as_deref(), Some("on CPU 3"));
        assert_eq!(told(&[(0, 1), (3, 7)]).as_deref(), Some("on CPUs 0, 3 (most on 3)"));
        assert_eq!(told(&[(0, 7), (3, 7), (9, 1)]).as_deref(), Some("on CPUs 0, 3, 9"), "none has the most");
        let many = [(0, 1), (1, 1), (2, 5), (3, 1), (64, 1)];
        assert_eq!(told(&many).as_deref(), Some("on 5 CPUs (most on 2)"));
    }

    #[test]
    fn packets_of_which_the_cpu_is_not_known_are_no_other_cpus() {
        assert_eq!(on(&[(3, 7)], 9).as_deref(), Some("on CPU 3 (of 2 it is not known)"));
        let told = on(&[(0, 1), (3, 7)], 9);
        assert_eq!(told.as_deref(), Some("on CPUs 0, 3 (most on 3; of 1 it is not known)"));
        assert_eq!(on(&[], 9), None, "lost packets died nowhere that is known");
    }
}
