//! The hooks of one port, at their interfaces.

use super::{
    AttachError,
    attacher::Attacher,
    beside::Beside,
    held::{Held, Place},
    programs::{Named, classifier},
    side::TcSide,
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
    /// Attaches what is not there yet.
    pub(super) fn attach(
        &self,
        programs: &mut impl Named,
        (held, beside): (&mut Held, &mut Beside),
        attacher: &mut Attacher,
    ) -> Result<(), AttachError> {
        for (name, hook) in self.names.iter().zip(&self.plan.hooks) {
            if hook.is_neighbour() {
                beside.attach(classifier(programs, name)?, self.beside, hook.direction, attacher)?;
            } else if let Some(side) = TcSide::of(hook.side) {
                for interface in &hook.interfaces {
                    let at = Place { ifindex: interface.ifindex, side, program: name };
                    let program = classifier(programs, name)?;
                    held.hold(at, self.port, || attacher.attach(program, interface, side))?;
                }
            }
        }
        Ok(())
    }
}
