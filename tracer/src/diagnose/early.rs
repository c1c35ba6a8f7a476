//! Packets that died before the first hook: how many, where, why, and what next.

use super::{
    advice::Advice,
    verdict::{all_died, died_early, seen},
    words::{hook, packets},
};
use crate::model::{Direction, DirectionReport, EarlyDrop, Finding, Path, PortTrace, Printable, Severity};

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    let of = |direction: Direction| {
        let figures = report.port.directions.get(direction);
        let told = figures.early_drops.iter().filter(|early| early.count > 0);
        told.map(move |early| finding(report.path(), direction, figures, early))
    };
    Direction::ALL.into_iter().flat_map(of).collect()
}

/// One for each cause: no other figure contains them, so each says how many.
fn finding(path: &Path, direction: Direction, figures: &DirectionReport, early: &EarlyDrop) -> Finding {
    let code = if all_died(figures) { "everything-died" } else { "died-before-path" };
    let every_one = early.count == died_early(figures) && early.count == seen(figures);
    let many = match (every_one, early.count) {
        (true, 1) => "the only packet".to_owned(),
        (true, count) => format!("all {count} packets"),
        (false, count) => packets(count),
    };
    let Advice { what, next } = advice(path, early);
    let text = format!(
        "{many} {} died before {}, where the path begins: {what}; no figure below contains {}",
        direction.course(),
        hook(path, &early.before),
        if early.count == 1 { "it" } else { "them" },
    );
    let finding = Finding::new(Severity::Critical, code, text).at(early.before.clone());
    match next {
        Some(next) => finding.next(next),
        None => finding,
    }
}

/// What it means that packets died before the first hook.
#[must_use]
pub(super) fn advice(path: &Path, early: &EarlyDrop) -> Advice {
    let hop = path.hop_of(&early.before);
    let own = Printable(hop.map_or(early.before.as_str(), |hop| hop.ifname.as_str()));
    match early.reason.as_deref().unwrap_or_default() {
        reason if reason.starts_with("TC_") => {
            Advice::new(format!("somebody else's filter drops what {own} receives, before hoptrace sees it"))
                .next(format!("tc filter show dev {own} ingress, bpftool net show dev {own}"))
        }
        "CPU_BACKLOG" => Advice::new(
            "the CPU's input queue is full: more packets than the host's softirqs can take (net.core.netdev_max_backlog)",
        ),
        _ => Advice::new(format!("an XDP program drops what {own} receives"))
            .next(format!("ip -details link show dev {own}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::{Verdict, verdict},
        model::{Ledger, Snapshot},
        report::trace_samples::{direction, path, report, snapshot, with_early_drops},
    };

    fn of(snapshot: &Snapshot) -> Vec<Finding> {
        report(&path(), snapshot).findings
    }

    /// 137 packets from the VM that no hook saw.
    fn early_only() -> Snapshot {
        let mut snapshot = snapshot(0);
        snapshot.directions.egress.early_drops = with_early_drops().directions.egress.early_drops;
        snapshot
    }

    #[test]
    fn they_are_told_before_those_that_hooks_saw() {
        let found = of(&with_early_drops());
        assert_eq!((found[0].severity, &*found[0].code), (Severity::Critical, "died-before-path"));
        assert_eq!(
            found[0].text,
            "137 packets from the VM died before tap tapc3d70d5c-a90, where the path begins: somebody else's filter drops what \
             tapc3d70d5c-a90 receives, before hoptrace sees it; no figure below contains them"
        );
        assert!(found[0].next.as_deref().is_some_and(|next| next.contains("bpftool net show")), "{found:?}");
        assert!(found[1].text.starts_with("8 of 1000 packets from the VM that hooks saw died"), "{found:?}");
        assert_eq!(verdict(&report(&path(), &with_early_drops())), Verdict::Told);
    }

    #[test]
    fn they_were_seen_and_none_arrived() {
        let snapshot = early_only();
        let found = of(&snapshot);
        assert_eq!((found.len(), &*found[0].code), (1, "everything-died"), "{found:?}");
        assert!(found[0].text.starts_with("all 137 packets from the VM died before tap"), "{found:?}");
        assert_eq!(verdict(&report(&path(), &snapshot)), Verdict::EverythingDied);
    }

    #[test]
    fn what_arrived_makes_them_a_part() {
        let mut snapshot = early_only();
        snapshot.directions.egress = DirectionReport {
            early_drops: snapshot.directions.egress.early_drops,
            ..direction(["tap", "qvb", "qvo", "nic"], 1_000)
        };
        let codes: Vec<_> = of(&snapshot).iter().map(|finding| finding.code.clone()).collect();
        assert_eq!(codes, ["died-before-path"], "and not that nothing died");
        assert_eq!(verdict(&report(&path(), &snapshot)), Verdict::Told);
        // The rest died behind: none arrived.
        snapshot.directions.egress.ledger = Ledger { entered: 5, lost: 5, ..Ledger::default() }.settled();
        assert_eq!(verdict(&report(&path(), &snapshot)), Verdict::EverythingDied);
        let found = of(&snapshot);
        assert!(found[0].text.starts_with("137 packets from the VM died before"), "{found:?}");
        assert_eq!(&*found[0].code, "everything-died");
    }

    #[test]
    fn an_xdp_program_and_a_full_queue_are_named() {
        let mut early = with_early_drops().directions.egress.early_drops.remove(0);
        let mut told = |reason: Option<&str>| {
            early.reason = reason.map(str::to_owned);
            let Advice { what, next } = advice(&path(), &early);
            (what, next)
        };
        let (what, next) = told(None);
        assert_eq!(what, "an XDP program drops what tapc3d70d5c-a90 receives");
        assert_eq!(next.as_deref(), Some("ip -details link show dev tapc3d70d5c-a90"));
        let (what, next) = told(Some("CPU_BACKLOG"));
        assert!(what.contains("netdev_max_backlog") && next.is_none(), "{what}");
    }
}
