//! Hooks at the tracepoint where drivers take packets over.

use aya::{Ebpf, EbpfLoader, programs::RawTracePoint};
use hoptrace_common::config::{MAX_XDP, XdpPlace};
use zerocopy::IntoBytes as _;

use super::{Host, Probe, Trace, places::places};
use crate::{
    attach::{AttachError, Attachable, PlanOptions, Sizes, attach_error},
    model::{Plan, Side},
};

/// The program of all wire hooks, and the tracepoint it runs at.
const PROGRAM: &str = "hop_wire";
const TRACEPOINT: &str = "net_dev_start_xmit";

/// Needs to know where packets have their fields; left out where there is no NIC, or no room.
#[derive(Debug)]
pub(super) struct Wire {
    wanted: bool,
    /// Of a trace of one port.
    places: [XdpPlace; MAX_XDP],
    attached: bool,
}

impl Wire {
    pub(super) fn of(host: &Host<'_>) -> Self {
        Self { wanted: host.wire && host.btf.is_some(), places: Default::default(), attached: false }
    }
}

impl Probe for Wire {
    fn wish<'p>(&'p self, options: &mut PlanOptions<'p>) {
        options.wire = self.wanted;
    }

    fn planned(&mut self, trace: &Trace<'_>) {
        if trace.share.room.is_for_one() {
            self.places = places(trace.plan.wire_hooks());
        }
    }
}

impl Attachable for Wire {
    fn configure<'s>(&'s self, object: &mut EbpfLoader<'s>, _sizes: Sizes) {
        object.override_global("WIRE", self.places.as_bytes(), true);
    }

    fn hook_program(&self, side: Side) -> Option<&'static str> {
        (side == Side::Wire).then_some(PROGRAM)
    }

    fn attach(&mut self, object: &mut Ebpf, plan: &Plan) -> Result<(), AttachError> {
        let Some((_, nic)) = plan.wire_hooks().next() else { return Ok(()) };
        if std::mem::replace(&mut self.attached, true) {
            return Ok(());
        }
        let program: &mut RawTracePoint = object
            .program_mut(PROGRAM)
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| AttachError::Missing(format!("program {PROGRAM}")))?;
        program.attach(TRACEPOINT).map_err(|source| attach_error(&nic.ifname, Side::Wire, source))?;
        Ok(())
    }
}
