//! The hooks of one port, at their interfaces.

use aya::Ebpf;

use super::{
    AttachError,
    attacher::Attacher,
    beside::{self, Beside},
    held::{Held, Place},
    programs::classifier,
    side::TcSide,
    stand_in::HookPlace,
};
use crate::model::{OtherPort, Plan, PortId};

/// The hooks of one port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hooks<'h> {
    pub(super) port: PortId,
    pub(super) plan: &'h Plan,
    /// The name of each hook's program.
    pub(super) names: &'h [&'static str],
    /// The ports beside its path.
    pub(super) beside: &'h [OtherPort],
}

impl Hooks<'_> {
    /// Where they are to be.
    pub(super) fn places(&self, beside: &Beside) -> impl Iterator<Item = HookPlace> {
        self.plan.hooks.iter().flat_map(|hook| {
            let here = TcSide::of(hook.side).filter(|_| !hook.is_neighbour()).map(|side| {
                hook.interfaces.iter().cloned().map(move |interface| HookPlace::on_path(interface, side))
            });
            let ports = self.beside.iter().filter(|port| hook.is_neighbour() && beside.is_known(port));
            here.into_iter().flatten().chain(ports.map(|port| beside::place(port, hook.direction)))
        })
    }

    /// Attaches what is not there yet.
    pub(super) fn attach(
        &self,
        ebpf: &mut Ebpf,
        (held, beside): (&mut Held, &mut Beside),
        attacher: &mut Attacher,
    ) -> Result<(), AttachError> {
        for (name, hook) in self.names.iter().zip(&self.plan.hooks) {
            if hook.is_neighbour() {
                beside.attach(classifier(ebpf, name)?, self.beside, hook.direction, attacher)?;
            } else if let Some(side) = TcSide::of(hook.side) {
                for interface in &hook.interfaces {
                    let at = Place { ifindex: interface.ifindex, side, program: name };
                    let program = classifier(ebpf, name)?;
                    let place = HookPlace::on_path(interface.clone(), side);
                    held.hold(at, self.port, || attacher.attach(program, &place))?;
                }
            }
        }
        Ok(())
    }
}
