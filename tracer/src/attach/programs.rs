//! Which programs a trace needs, and how they find each other.

use aya::{
    Ebpf,
    maps::{MapData, ProgramArray},
    programs::SchedClassifier,
};

use super::{AttachError, Attachable, host_wide};
use crate::model::{HookPlan, Mechanism, Plan, Side};

/// The programs that all hooks share, in the order of their places in the map where hooks find them.
const RARE_PROGRAMS: [&str; 5] = ["hop_rarely", "hop_merged", "hop_checksum", "hop_answers", "hop_others"];
const RARE_MAP: &str = "RARE";

/// A program at TC.
pub(super) fn classifier<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut SchedClassifier, AttachError> {
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| AttachError::Missing(format!("program {name}")))
}

/// Puts the programs that all hooks share where their tail calls look for them.
pub(super) fn connect_rare_programs(ebpf: &mut Ebpf) -> Result<ProgramArray<MapData>, AttachError> {
    let map = ebpf.take_map(RARE_MAP).ok_or_else(|| AttachError::Missing(format!("map {RARE_MAP}")))?;
    let failed = |source| AttachError::Map { map: RARE_MAP, source: Box::new(source) };
    let mut rare = ProgramArray::try_from(map).map_err(failed)?;
    for (place, name) in (0..).zip(RARE_PROGRAMS) {
        let program = classifier(ebpf, name)?.fd();
        let program = program
            .map_err(|source| AttachError::Load { program: name.to_owned(), source: Box::new(source) })?;
        rare.set(place, program, 0).map_err(failed)?;
    }
    Ok(rare)
}

/// The programs that those of hooks go on in.
pub(super) const fn shared_programs(mechanism: Mechanism) -> &'static [&'static str] {
    match mechanism {
        Mechanism::Tcx | Mechanism::Clsact => &RARE_PROGRAMS,
        Mechanism::Tracepoints => &host_wide::SHARED,
    }
}

/// The program of each hook: of several ports another one, so that one port does not pay for what there is to ask.
pub(super) fn hook_programs(
    plan: &Plan,
    (mechanism, several): (Mechanism, bool),
    probes: &[&mut dyn Attachable],
) -> Result<Vec<&'static str>, AttachError> {
    let at_tracepoints = matches!(mechanism, Mechanism::Tracepoints);
    let of = |hook: &HookPlan| match (hook.side, hook.is_neighbour()) {
        (Side::Ingress, _) if at_tracepoints => Ok(host_wide::RECEIVED),
        (Side::Egress, _) if at_tracepoints => Ok(host_wide::QUEUED),
        (Side::Ingress, false) if several => Ok("several_in"),
        (Side::Egress, false) if several => Ok("several_out"),
        (Side::Ingress, true) if several => Ok("several_in_beside"),
        (Side::Egress, true) if several => Ok("several_out_beside"),
        (Side::Ingress, false) => Ok("hop_in"),
        (Side::Egress, false) => Ok("hop_out"),
        (Side::Ingress, true) => Ok("hop_in_beside"),
        (Side::Egress, true) => Ok("hop_out_beside"),
        (side, _) => probes
            .iter()
            .find_map(|probe| probe.hook_program(side))
            .ok_or_else(|| AttachError::Missing(format!("program for {}", side.name()))),
    };
    plan.hooks.iter().map(of).collect()
}

/// Those of them that run for packets of the whole host.
pub(super) fn host_wide_programs(
    plan: &Plan,
    mechanism: Mechanism,
    programs: &[&'static str],
) -> Vec<&'static str> {
    let is_one = |hook: &HookPlan| match hook.side {
        Side::Wire => true,
        Side::Ingress | Side::Egress => mechanism == Mechanism::Tracepoints,
        Side::Xdp(_) => false,
    };
    let hooks = plan.hooks.iter().zip(programs).filter(|(hook, _)| is_one(hook));
    hooks.map(|(_, program)| *program).collect()
}
