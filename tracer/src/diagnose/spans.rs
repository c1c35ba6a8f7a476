//! From when to when an interface was in a state, by what the kernel told of it.

use crate::model::{LinkChange, Problem, ProblemKind};

/// What died shortly before the kernel's word of a change was read may have died of it: in nanoseconds.
const SLACK_NS: u64 = 200_000_000;

/// A time in which something was wrong, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from_ns: u64,
    /// [`u64::MAX`]: it lasts.
    pub(super) until_ns: u64,
}

/// Whether something was wrong when packets died. The surest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    /// From the first of them to the last.
    Throughout,
    /// For some of the time between the two.
    Partly,
    /// It is not known since when it is so, or until when it was.
    NotKnown,
}

impl Span {
    /// All the time.
    pub(super) const ALWAYS: Self = Self { from_ns: 0, until_ns: u64::MAX };

    fn has(&self, at_ns: u64) -> bool {
        (self.from_ns.saturating_sub(SLACK_NS)..=self.until_ns.saturating_add(SLACK_NS)).contains(&at_ns)
    }
}

/// What a change means for what comes there; `None`: nothing is wrong.
pub(super) const fn kind(change: &LinkChange) -> Option<ProblemKind> {
    match (change.admin_up, change.carrier) {
        (false, _) => Some(ProblemKind::Down),
        (true, false) => Some(ProblemKind::NoCarrier),
        (true, true) => None,
    }
}

/// Whether it came into that state by a change.
pub(super) fn is_so(change: &LinkChange, of: ProblemKind) -> bool {
    kind(change) == Some(of)
}

/// The times in which the interface of `problem` was in its state. `at_start`: it was when the trace began.
pub(super) fn spans(changes: &[LinkChange], problem: &Problem, at_start: bool) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut since = at_start.then_some(0);
    for change in changes.iter().filter(|change| change.ifname == problem.at) {
        match (since, is_so(change, problem.kind)) {
            (None, true) => since = Some(change.at_ns),
            (Some(from_ns), false) => {
                spans.push(Span { from_ns, until_ns: change.at_ns });
                since = None;
            }
            _ => {}
        }
    }
    spans.extend(since.map(|from_ns| Span { from_ns, until_ns: u64::MAX }));
    spans
}

/// Whether packets that died from `first_ns` to `last_ns` did so in `spans`. `None`: all of them died when nothing was wrong.
pub(super) fn when(spans: &[Span], first_ns: u64, last_ns: u64) -> Option<When> {
    let has_both = |span: &Span| span.has(first_ns) && span.has(last_ns);
    let meets =
        |span: &Span| span.has(first_ns) || span.has(last_ns) || (first_ns..=last_ns).contains(&span.from_ns);
    if spans.iter().any(has_both) {
        Some(When::Throughout)
    } else {
        spans.iter().any(meets).then_some(When::Partly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn change(ifname: &str, up: bool, second: u64) -> LinkChange {
        LinkChange { ifname: ifname.to_owned(), admin_up: up, carrier: up, at_ns: second * SECOND_NS }
    }

    #[test]
    fn an_interface_is_down_from_each_change_to_the_next() {
        let problem = Problem { kind: ProblemKind::Down, at: "qvo".to_owned(), what: String::new() };
        let changes = [
            change("qvo", true, 2),
            change("ens3", false, 3),
            change("qvo", false, 5),
            change("qvo", true, 6),
            change("qvo", false, 8),
        ];
        let seconds = |at_start| {
            let second = |at_ns| if at_ns == u64::MAX { at_ns } else { at_ns / SECOND_NS };
            let spans = spans(&changes, &problem, at_start);
            spans.iter().map(|span| (second(span.from_ns), second(span.until_ns))).collect::<Vec<_>>()
        };
        assert_eq!(seconds(true), [(0, 2), (5, 6), (8, u64::MAX)]);
        assert_eq!(seconds(false), [(5, 6), (8, u64::MAX)]);
    }

    #[test]
    fn packets_died_of_it_only_if_they_died_meanwhile() {
        let spans = [(5, 6), (8, 9)]
            .map(|(from, until)| Span { from_ns: from * SECOND_NS, until_ns: until * SECOND_NS });
        let at = |first: u64, last: u64| when(&spans, first * SECOND_NS / 10, last * SECOND_NS / 10);
        assert_eq!(at(51, 59), Some(When::Throughout));
        assert_eq!(at(49, 61), Some(When::Throughout), "the kernel's word comes a little late");
        assert_eq!(at(51, 85), Some(When::Partly), "it was fine in between");
        assert_eq!(
            (at(10, 85), at(55, 70), at(10, 70)),
            (Some(When::Partly), Some(When::Partly), Some(When::Partly))
        );
        assert_eq!((at(10, 40), at(70, 75), at(95, 99)), (None, None, None));
        assert_eq!(when(&[Span::ALWAYS], 0, 0), Some(When::Throughout));
    }
}
