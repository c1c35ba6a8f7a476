//! What the loader asks of a source in the kernel beside the hooks at the interfaces.

use aya::{Ebpf, EbpfLoader};
use hoptrace_common::config::{HookConfig, MAX_HOOKS, TraceConfig};

use super::AttachError;
use crate::model::{Plan, Side};

/// The steps of loading, in their order. The loader walks a list of these and knows none of them by name; what one has no use
/// for, it leaves out.
pub trait Attachable {
    /// Changes what the programs of hooks are told, before it becomes part of the object.
    fn tell_hooks(&self, _trace: &mut TraceConfig, _hooks: &mut [HookConfig; MAX_HOOKS]) {}

    /// Sets its own constants in the object, and the sizes of its maps. `cpus` are all that are possible: so many blocks has a map
    /// with one for each.
    fn configure<'s>(&'s self, _object: &mut EbpfLoader<'s>, _cpus: u32) {}

    /// Its programs that are at no interface.
    fn programs(&self) -> &'static [&'static str] {
        &[]
    }

    /// The program of hooks on this side, if those are its own.
    fn hook_program(&self, _side: Side) -> Option<&'static str> {
        None
    }

    /// Fills its maps; the programs are in the kernel and do not run yet.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn teach(&mut self, _object: &mut Ebpf) -> Result<(), AttachError> {
        Ok(())
    }

    /// Puts its programs where they run; the gate is still closed. Links end with the process.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn attach(&mut self, _object: &mut Ebpf, _plan: &Plan) -> Result<(), AttachError> {
        Ok(())
    }
}
