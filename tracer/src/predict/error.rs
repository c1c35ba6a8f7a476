//! Why nothing is predicted.

use crate::{
    model::Printable,
    ovs::{OvsError, UnixctlError},
};

/// Nothing can be predicted: one line that says why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The words leave open what cannot be filled in.
    #[error("--flow: the words do not say where the packet goes; add `dst host ADDRESS`")]
    NoDestination,
    /// There is nobody to ask.
    #[error(
        "no switch of Open vSwitch is on this path: there are no rules to ask; `hoptrace trace` shows where packets go"
    )]
    NoSwitch,
    /// The path's port of the switch is not known.
    #[error("no port of Open vSwitch is known on this path, so its rules cannot be asked: {0}")]
    NoPort(String),
    /// By which port packets for the VM come in is not known.
    #[error(
        "none of the path's NICs is a port of Open vSwitch, so where packets for the VM come in is not known; `src host ADDRESS` of a VM of this \
         host asks from there{0}"
    )]
    NoWayIn(String),
    /// `ovs-vswitchd` does not answer.
    #[error("the switch's rules cannot be asked: {0}{what}", what = hint(.0))]
    Ask(#[from] UnixctlError),
    /// Its answer makes no sense.
    #[error("the switch's answer to ofproto/trace is not understood: {}", Printable(.0))]
    Answer(String),
}

/// What to do where nobody could be reached.
const fn hint(error: &UnixctlError) -> &'static str {
    match error {
        UnixctlError::PidFile { .. }
        | UnixctlError::NoPid(_)
        | UnixctlError::Call(OvsError::Connect { .. } | OvsError::Io(_) | OvsError::Closed) => {
            "; it takes root, and a running ovs-vswitchd on this host"
        }
        UnixctlError::Call(_) | UnixctlError::Slow { .. } => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_could_not_be_reached_is_told_apart_from_who_refused() {
        let refused =
            OvsError::Refused { method: "ofproto/trace".to_owned(), error: "br0: unknown bridge".to_owned() };
        let said = PredictError::from(UnixctlError::from(refused)).to_string();
        assert!(said.contains("br0: unknown bridge") && !said.contains("root"), "{said}");
        let said = PredictError::from(UnixctlError::from(OvsError::Closed)).to_string();
        assert!(said.ends_with("it takes root, and a running ovs-vswitchd on this host"), "{said}");
    }
}
