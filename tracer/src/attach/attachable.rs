//! What the loader asks of a source in the kernel beside the hooks at the interfaces.

use aya::{Ebpf, EbpfLoader};
use hoptrace_common::{
    config::{HookConfig, MAX_HOOKS, TraceConfig},
    ports::PortConfig,
};

use super::AttachError;
use crate::model::{IfIndex, Plan, PortId, Room, Side};

/// The steps of loading, in their order. The loader walks a list of these and knows none of them by name; what one has no use
/// for, it leaves out.
pub trait Attachable {
    /// Changes what all programs are told, before it becomes part of the object.
    fn tell(&self, _trace: &mut TraceConfig) {}

    /// Changes what programs are told of a port and its hooks. In a trace of one port only the hooks count: the rest is part of the object, by
    /// [`Attachable::configure`].
    fn tell_port(&self, _port: PortId, _hooks: &mut [HookConfig; MAX_HOOKS], _told: &mut PortConfig) {}

    /// Sets its own constants in the object, and the sizes of its maps.
    fn configure<'s>(&'s self, _object: &mut EbpfLoader<'s>, _sizes: Sizes) {}

    /// Its programs that are at no interface.
    fn programs(&self) -> &'static [&'static str] {
        &[]
    }

    /// The program of hooks on this side, if those are its own.
    fn hook_program(&self, _side: Side) -> Option<&'static str> {
        None
    }

    /// Interfaces beside those with hooks that packets of a port come by.
    fn further_interfaces(&self, _port: PortId) -> Vec<Further> {
        Vec::new()
    }

    /// Fills its maps with what holds for the whole trace; the programs are in the kernel and do not run yet.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn teach(&mut self, _object: &mut Ebpf) -> Result<(), AttachError> {
        Ok(())
    }

    /// Adds what holds for a port; where it comes later, the programs run, and see none of its packets yet.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn introduce(&mut self, _object: &mut Ebpf, _port: PortId) -> Result<(), AttachError> {
        Ok(())
    }

    /// Takes that away: the programs see no packet of the port any more.
    fn forget(&mut self, _object: &mut Ebpf, _port: PortId) {}

    /// Puts its programs where they run, for the port with this plan; the port's gate is still closed. What is there for other ports already
    /// stays as it is. Links end with the process.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn attach(&mut self, _object: &mut Ebpf, _plan: &Plan) -> Result<(), AttachError> {
        Ok(())
    }
}

/// How large maps are.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// All CPUs that are possible.
    pub cpus: u32,
    /// How many ports there is room for.
    pub room: Room,
}

impl Sizes {
    /// Of a map with a block for each CPU, and in it an element for each port.
    #[must_use]
    pub const fn per_cpu(self) -> u32 {
        self.cpus * self.room.ports()
    }
}

/// An interface that packets of a port come by, and that has none of its hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Further {
    /// Which.
    pub ifindex: IfIndex,
    /// Whether others' packets come by it, too, whoever is traced.
    pub shared: bool,
}
