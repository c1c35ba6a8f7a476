//! Hooks were taken away: the figures end there.

use crate::model::{Finding, PortTrace, Severity};

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    let of = |taken: &crate::model::Taken| {
        let text = format!(
            "somebody removed the hooks at {} at {}: the trace ended there, and what was on its way then counts as in flight",
            taken.hooks, taken.at
        );
        Finding::new(Severity::Critical, "hooks-taken", text).next(
            "find out who changes traffic control there (`tc qdisc`, `tc filter`), or trace with --attach tracepoints, which \
             nobody can take away",
        )
    };
    report.trace.taken.iter().map(of).collect()
}
