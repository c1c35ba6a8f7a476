//! Packets for a group that the filter names, which came to this host and not to the guest.

use super::words::{hook, packets};
use crate::model::{Direction, Finding, Hop, PortTrace, Severity};

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    finding(report).into_iter().collect()
}

fn finding(report: &PortTrace<'_>) -> Option<Finding> {
    let path = report.path();
    let hooks = &report.port.directions.get(Direction::Ingress).hooks;
    let first = hooks.iter().find(|hook| hook.groups > 0)?;
    let furthest = hooks.iter().rev().find(|hook| hook.groups > 0)?;
    let guests = hooks.iter().find(|hook| path.hop_of(&hook.hook).is_some_and(Hop::is_guests))?;
    if guests.groups > 0 {
        return None;
    }
    let text = format!(
        "{} for groups came by {}, and none to the guest: the last hook that saw any is {}. Others' networks may be among what a shared interface sees",
        packets(first.groups),
        hook(path, &first.hook),
        hook(path, &furthest.hook),
    );
    let next = "a switch that snoops sends a group's packets to who has joined it, and forgets that where nobody asks again (a querier): ovs-appctl mdb/show, \
                bridge mdb show";
    Some(Finding::new(Severity::Warning, "group-ends", text).at(furthest.hook.clone()).next(next))
}

#[cfg(test)]
mod tests {
    use crate::report::trace_samples::{path, report, snapshot};

    /// What is said where so many frames were seen at the hooks from the NIC to the tap.
    fn told(groups: [u64; 4]) -> Option<String> {
        let mut snapshot = snapshot(0);
        for (hook, count) in snapshot.directions.ingress.hooks.iter_mut().zip(groups) {
            hook.groups = count;
        }
        let found = report(&path(), &snapshot).findings;
        found.into_iter().find(|finding| finding.code == "group-ends").map(|finding| finding.text)
    }

    #[test]
    fn the_last_hook_that_saw_any_is_named() {
        let told_at_qvo = told([50, 50, 0, 0]).unwrap();
        assert!(
            told_at_qvo.starts_with("50 packets for groups came by nic ens3, and none to the guest"),
            "{told_at_qvo}"
        );
        assert!(told_at_qvo.contains("saw any is qvo qvoc3d70d5c-a90"), "{told_at_qvo}");
        assert!(told([50, 0, 0, 0]).unwrap().contains("saw any is nic ens3"));
    }

    #[test]
    fn nothing_is_said_where_some_came_or_there_are_none() {
        assert_eq!(told([50, 50, 50, 1]), None);
        assert_eq!(told([0; 4]), None);
    }
}
