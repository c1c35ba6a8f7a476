//! Attaching programs to raw tracepoints.

use aya::{Ebpf, programs::RawTracePoint};

use super::AttachError;

/// Puts `program` at `tracepoint`. The link ends with the process.
pub(crate) fn attach_at(
    ebpf: &mut Ebpf,
    program: &'static str,
    tracepoint: &'static str,
) -> Result<(), AttachError> {
    let found = ebpf.program_mut(program).and_then(|found| found.try_into().ok());
    let found: &mut RawTracePoint =
        found.ok_or_else(|| AttachError::Missing(format!("program {program}")))?;
    found
        .attach(tracepoint)
        .map_err(|source| AttachError::Tracepoint { tracepoint, source: Box::new(source) })?;
    Ok(())
}
