//! The program at the tracepoint where drivers take packets over.

use aya::{Ebpf, programs::RawTracePoint};

use super::{AttachError, error::attach_error};
use crate::model::{Plan, Side};

/// The program of all wire hooks.
pub(super) const WIRE_PROGRAM: &str = "hop_wire";
const TRACEPOINT: &str = "net_dev_start_xmit";

/// Attaches it if `plan` has wire hooks. The link ends with the process.
pub(super) fn attach(ebpf: &mut Ebpf, plan: &Plan) -> Result<(), AttachError> {
    let Some((_, nic)) = plan.wire_hooks().next() else { return Ok(()) };
    let program: &mut RawTracePoint = ebpf
        .program_mut(WIRE_PROGRAM)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| AttachError::Missing(format!("program {WIRE_PROGRAM}")))?;
    program.attach(TRACEPOINT).map_err(|source| attach_error(&nic.ifname, Side::Wire, source))?;
    Ok(())
}
