//! Whether a packet that has no slot may have one.

use hoptrace_common::config::{Control as GateState, HookConfig};

use crate::{
    claim::CLAIM_IF_TRACKED,
    maps::{config, control::Gate, hooks::HookFacts},
    neighbour,
};

/// As far as its claim, the hook and the sight there tell.
#[inline(always)]
pub(crate) fn is_admissible(hook: HookFacts, claim: u32, sight: u32) -> bool {
    // What leaves by a neighbour's port came by the path: a packet unknown there is none of ours, or was faster than its sight at the
    // first hook.
    let comes_by_path = neighbour::leaves_beside(hook)
        && !(hook.has_trait(HookConfig::OVERTAKES) && neighbour::ends_here(sight));
    claim != CLAIM_IF_TRACKED && !comes_by_path
}

/// Whether one that [`is_admissible`] may as far as the gate tells, whose state is `state`. Asked once for each packet: at the first
/// hook of a direction it takes one off the budget.
#[inline(always)]
pub(crate) fn admits(gate: Gate, state: u32, hook: HookFacts, is_admissible: bool) -> bool {
    let admits = is_admissible && state == GateState::OPEN;
    if admits && hook.has(HookConfig::ENTRY) && config::budgeted() != 0 { gate.take() } else { admits }
}
