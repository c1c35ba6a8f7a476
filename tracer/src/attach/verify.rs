//! Hands programs to the verifier.

use std::{
    collections::BTreeSet,
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
};

use super::AttachError;

/// Hands one program to the verifier.
fn load(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::SchedClassifier(program) => program.load(),
        Program::Xdp(program) => program.load(),
        Program::RawTracePoint(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// The programs that take the verifier longest, the longest first.
const LONGEST: [&str; 6] = ["hop_freed", "several_in", "several_out", "hop_in", "hop_out", "hop_rarely"];

/// Hands the programs to the verifier, on all CPUs at a time: it is most of what starting takes.
pub(super) fn load_programs<'n>(
    ebpf: &mut Ebpf,
    names: impl Iterator<Item = &'n str>,
) -> Result<(), AttachError> {
    let names: BTreeSet<&str> = names.collect();
    let mut wanted: Vec<(&str, &mut Program)> =
        ebpf.programs_mut().filter(|(name, _)| names.contains(name)).collect();
    // Taken from the end: what takes longest first, so that no CPU has it left over.
    wanted.sort_by_key(|(name, _)| {
        LONGEST.iter().rev().position(|long| long == name).map_or(0, |place| place + 1)
    });
    if wanted.len() != names.len() {
        return Err(AttachError::Missing(format!("programs {}", Vec::from_iter(names).join(", "))));
    }
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(wanted.len());
    let queue = Mutex::new(wanted);
    let load_some = || loop {
        // A poisoned lock still holds the queue.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((name, program)) = next else { return Ok(()) };
        load(program)
            .map_err(|source| AttachError::Load { program: name.to_owned(), source: Box::new(source) })?;
    };
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..workers).map(|_| scope.spawn(load_some)).collect();
        let mut outcome = load_some();
        for helper in helpers {
            let joined =
                helper.join().unwrap_or_else(|_| Err(AttachError::Missing("loader thread".to_owned())));
            outcome = outcome.and(joined);
        }
        outcome
    })
}
