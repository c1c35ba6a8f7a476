//! Hands programs to the verifier.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
};

use super::{
    AttachError,
    stand_in::{HookPlaces, STAND_INS, StandIns},
};

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

/// Some programs, by their names.
pub(super) type Programs<'p> = BTreeMap<&'p str, &'p mut Program>;

/// Those of the object with these names.
pub(super) fn named<'e>(
    ebpf: &'e mut Ebpf,
    wanted: &BTreeSet<&'static str>,
) -> Result<Programs<'e>, AttachError> {
    let found: Programs<'_> = ebpf.programs_mut().filter(|(name, _)| wanted.contains(name)).collect();
    if found.len() != wanted.len() {
        let names: Vec<_> = wanted.iter().copied().collect();
        return Err(AttachError::Missing(format!("programs {}", names.join(", "))));
    }
    Ok(found)
}

fn loader_ended() -> AttachError {
    AttachError::Missing("loader thread".to_owned())
}

/// Hands programs to the verifier, and attaches those that do nothing at these places meanwhile, if they are among them.
pub(super) fn load_programs(
    mut programs: Programs<'_>,
    places: &HookPlaces,
) -> Result<StandIns, AttachError> {
    let stand_ins = STAND_INS.map(|name| programs.remove(name));
    let needed = AtomicBool::new(true);
    thread::scope(|scope| {
        let attaching = scope.spawn(|| StandIns::attach(stand_ins, places, &needed));
        let loaded = load_all(&mut programs);
        needed.store(loaded.is_ok(), Ordering::Relaxed);
        let attached = attaching.join().unwrap_or_else(|_| {
            log::warn!("programs are attached one after the other: the thread that attaches has ended");
            StandIns::default()
        });
        loaded.map(|()| attached)
    })
}

/// Hands the programs to the verifier, on all CPUs at a time: it is most of what starting takes.
fn load_all(programs: &mut Programs<'_>) -> Result<(), AttachError> {
    let mut wanted: Vec<_> = programs.iter_mut().collect();
    // Taken from the end: what takes longest first, so that no CPU has it left over.
    wanted.sort_by_key(|(name, _)| {
        LONGEST.iter().rev().position(|long| long == *name).map_or(0, |place| place + 1)
    });
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(wanted.len());
    let queue = Mutex::new(wanted);
    let load_some = || loop {
        // A poisoned lock still holds the queue.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((name, program)) = next else { return Ok(()) };
        load(program)
            .map_err(|source| AttachError::Load { program: (*name).to_owned(), source: Box::new(source) })?;
    };
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..workers).map(|_| scope.spawn(load_some)).collect();
        let mut outcome = load_some();
        for helper in helpers {
            outcome = outcome.and(helper.join().unwrap_or_else(|_| Err(loader_ended())));
        }
        outcome
    })
}
