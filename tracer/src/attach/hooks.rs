//! The hooks of one port, at their interfaces.

use aya::Ebpf;

use super::{
    AttachError,
    attacher::Attacher,
    beside::{self, Beside},
    held::{Held, Place},
    programs::classifier,
    side::TcSide,
    stand_in::Wanted,
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
    /// Where they are to be, each with its program.
    pub(super) fn wanted(&self, beside: &Beside) -> Vec<(Wanted, &'static str)> {
        let mut wanted = Vec::new();
        for (name, hook) in self.names.iter().zip(&self.plan.hooks) {
            if hook.is_neighbour() {
                let ports = self.beside.iter().filter(|port| beside.is_known(port));
                wanted.extend(ports.map(|port| (beside::wanted(port, hook.direction), *name)));
            } else if let Some(side) = TcSide::of(hook.side) {
                let here = |interface| Wanted { interface, side, namespace: None };
                wanted.extend(hook.interfaces.iter().cloned().map(|interface| (here(interface), *name)));
            }
        }
        wanted
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
                    let wanted = Wanted { interface: interface.clone(), side, namespace: None };
                    held.hold(at, self.port, || attacher.attach(program, &wanted))?;
                }
            }
        }
        Ok(())
    }
}
