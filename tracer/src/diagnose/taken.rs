//! Hooks were taken away: the figures end there.

use crate::model::{Finding, Report, Severity};

pub(super) fn findings(report: &Report) -> Vec<Finding> {
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
    report.taken.iter().map(of).collect()
}
