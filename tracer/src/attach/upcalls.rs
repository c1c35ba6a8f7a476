//! The program where Open vSwitch's kernel datapath gives packets to user space.

use aya::Ebpf;
use btf_rs::Btf;
use hoptrace_common::upcalls::UpcallConfig;

use super::{AttachError, plan::kernel_switch_ports, tracepoint};
use crate::{
    kernel::{BtfError, upcall_config},
    model::{IfIndex, Path, Plan},
};

/// The program, and the tracepoint it runs at.
pub(super) const PROGRAM: &str = "hop_upcall";
const TRACEPOINT: &str = "ovs_dp_upcall";

/// What the program and the plan need to know.
#[derive(Debug, Clone)]
pub struct UpcallOptions {
    config: UpcallConfig,
    /// The path's interfaces that are ports of a kernel datapath.
    pub ports: Vec<IfIndex>,
}

impl UpcallOptions {
    /// Everything about the running kernel and the path; `None`: no kernel datapath is on it.
    ///
    /// # Errors
    /// When Open vSwitch's module does not describe itself: then the slow path is not told from the fast one.
    pub fn of(btf: &Btf, path: &Path) -> Result<Option<Self>, BtfError> {
        let ports = kernel_switch_ports(path);
        if ports.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { config: upcall_config(btf)?, ports }))
    }

    /// For the programs.
    pub(super) fn config(&self, plan: &Plan) -> UpcallConfig {
        UpcallConfig { after: plan.upcalled_after.into(), ..self.config }
    }
}

/// Puts the program where packets are given to user space. The link ends with the process.
pub(super) fn attach(ebpf: &mut Ebpf) -> Result<(), AttachError> {
    tracepoint::attach(ebpf, PROGRAM, TRACEPOINT)
}
