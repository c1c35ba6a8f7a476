//! The ledger in one or two lines.

use super::{flow::Piece, places, port::PortPage};
use crate::{
    model::{Direction, HookReport, Ledger},
    report::{Ink, troubles},
};

/// Columns of the words the lines begin with.
const INDENT: usize = 10;

impl PortPage<'_> {
    /// Who answered what ended at the switch.
    fn answerer(&self) -> &'static str {
        if self.sees_ports_beside() {
            "answered by the switch"
        } else {
            "answered by the switch, or at a port without a hook"
        }
    }

    /// What went in, what came out, whether it balances; then what stands beside the balance, if anything does.
    pub(super) fn ledger(&self, direction: Direction, ledger: &Ledger) -> Vec<String> {
        let apart = ledger.imbalance();
        let mut pieces = vec![Piece::plain(format!("  ledger  entered {}", ledger.entered))];
        if ledger.by_switch > 0 && direction == Direction::Ingress {
            let whose = if self.sees_ports_beside() {
                "answers of the switch"
            } else {
                "answers of the switch, or of a port without a hook"
            };
            pieces.push(Piece::plain(format!("({} of them {whose})", ledger.by_switch)));
        }
        let more_in = [("joined midway", ledger.joined_midway), ("split", ledger.split)];
        pieces.extend(
            more_in.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| plus(name, count)),
        );
        let equals = if apart == 0 { "=" } else { "≠" };
        pieces.push(Piece::plain(format!("{equals} completed {}", ledger.completed)));
        let by_switch = if direction == Direction::Egress { ledger.by_switch } else { 0 };
        let of_them =
            [("elsewhere", ledger.elsewhere), (self.answerer(), by_switch), ("unseen", ledger.unseen)];
        let of_them = of_them.into_iter().filter(|(_, count)| *count > 0);
        pieces.extend(of_them.map(|(name, count)| Piece::plain(format!("({count} of them {name})"))));
        let out = [
            ("misdelivered", ledger.misdelivered, false),
            ("dropped", ledger.dropped, false),
            ("lost", ledger.lost, true),
            ("merged", ledger.merged, false),
            ("in flight", ledger.in_flight, true),
        ];
        pieces.extend(
            out.into_iter()
                .filter(|(_, count, always)| *always || *count > 0)
                .map(|(name, count, _)| plus(name, count)),
        );
        pieces.push(match (apart, self.page.report.live) {
            (0, _) => Piece::new(Ink::Good, "· balanced"),
            (_, true) => {
                Piece::new(Ink::Warn, format!("· {} apart while packets move", apart.unsigned_abs()))
            }
            (_, false) => Piece::new(Ink::Bad, format!("· DOES NOT BALANCE by {}", apart.unsigned_abs())),
        });
        let mut lines = self.page.flow(&pieces, " ", INDENT);
        lines.extend(self.page.flow(&beside(ledger), " · ", INDENT));
        lines
    }

    /// Where packets could not be followed; nothing where all could.
    pub(super) fn troubles(&self, hooks: &[HookReport]) -> Vec<String> {
        let phrases = troubles::troubles(hooks, |label| places::hook(&self.port.path, label));
        let pieces = phrases.into_iter().enumerate().map(|(place, phrase)| {
            Piece::new(Ink::Warn, if place == 0 { format!("  where   {phrase}") } else { phrase })
        });
        self.page.flow(&pieces.collect::<Vec<_>>(), " · ", INDENT)
    }
}

fn plus(name: &str, count: u64) -> Piece {
    Piece::plain(format!("+ {name} {count}"))
}

fn beside(ledger: &Ledger) -> Vec<Piece> {
    let counts = [
        ("late", ledger.late),
        ("look alike", ledger.ambiguous),
        ("untracked", ledger.untracked),
        ("unparsed", ledger.unparsed),
        ("clock skew", ledger.clock_skew),
        ("further copies", ledger.copies),
        ("copies dropped", ledger.copy_dropped),
        ("ring lost", ledger.ring_lost),
    ];
    let shown = counts.into_iter().filter(|(_, count)| *count > 0).enumerate();
    shown
        .map(|(place, (name, count))| {
            let start = if place == 0 { "  beside  " } else { "" };
            Piece::plain(format!("{start}{name} {count}"))
        })
        .collect()
}
