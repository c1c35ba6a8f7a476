//! Asks `ovs-vswitchd` what its rules would do with a packet that nobody has sent: where it leaves the switch, or which rule drops it.
//!
//! No stage: `trace` calls it for `path --flow`. Words become a packet (`draft`), with what the host knows where they say nothing, each
//! assumption told; the switch is asked about it as in `explain`; and its answer becomes a verdict (`verdict`). Only the asking is
//! here; the rest is pure. Nothing is sent, and the switch learns nothing from the question.

mod draft;
mod error;
mod known;
mod packet;
#[cfg(test)]
mod testing;
mod verdict;

pub use error::PredictError;

use draft::{Draft, Drafted};
use known::{Known, name};
use verdict::{Answered, verdict};

use crate::{
    explain::{self, TRACE},
    model::{BridgeKind, Direction, Explanation, PacketWords, Path, Prediction, Topology, VmPort},
    ovs::{SwitchPort, Unixctl, learned, switch_ports},
};

/// What was asked, as far as the verdict depends on it.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    direction: Direction,
    in_port: &'a str,
    doubts: &'a [String],
}

/// What would become of the packet that `words` mean, on the path of a VM in `topology`. `ports`: those of all VMs of the host.
///
/// # Errors
/// When the words leave open where the packet goes, no switch of Open vSwitch is on the path, or it does not answer.
pub async fn predict(
    path: &Path,
    topology: &Topology,
    ports: &[VmPort],
    words: &PacketWords,
) -> Result<Prediction, PredictError> {
    let known = Known { path, topology, ports };
    let draft = Draft::new(words, known)?;
    let mut switch = Unixctl::connect().await?;
    let ports = switch_ports(&mut switch, draft.bridge).await?;
    let learned = if draft.wants_learned() { learned(&mut switch, draft.bridge).await? } else { Vec::new() };
    let (direction, bridge, in_port) = (draft.direction, draft.bridge, draft.in_port);
    let Drafted { packet, assumptions, doubts } = draft.packet(known, &learned, &ports);
    let flow = explain::flow(in_port, &packet.head());
    let flow = flow.ok_or_else(|| PredictError::Answer(format!("no question can be made of {packet}")))?;
    let answer = switch.call(TRACE, &[bridge, &flow]).await?;
    let explain = explained(bridge, &flow, &answer)?;
    let asked = Asked { direction, in_port, doubts: &doubts };
    let verdict = verdict(known, &answered(asked, &explain, &answer, &ports));
    Ok(Prediction {
        packet: packet.to_string(),
        direction,
        fate: verdict.fate,
        verdict: verdict.line,
        outputs: verdict.outputs,
        assumptions,
        not_predicted: not_predicted(path, direction),
        explain,
    })
}

fn explained(bridge: &str, flow: &str, answer: &str) -> Result<Explanation, PredictError> {
    let first = || answer.lines().next().unwrap_or_default().to_owned();
    let explained = explain::parse(bridge, flow, answer).ok_or_else(|| PredictError::Answer(first()))?;
    let assumed = (explain::passes(answer) > 0).then(|| {
        "connection tracking is not asked: ct_state=trk|new is assumed, as of the first packet of a connection".to_owned()
    });
    Ok(Explanation { assumed, ..explained })
}

/// What the answer says of the packet's end.
fn answered<'a>(
    Asked { direction, in_port, doubts }: Asked<'a>,
    explained: &'a Explanation,
    answer: &'a str,
    ports: &'a [SwitchPort],
) -> Answered<'a> {
    let failed = explain::failure(answer);
    let outputs = explain::outputs(explain::datapath_actions(answer));
    Answered { direction, in_port, doubts, explained, outputs, failed, ports }
}

/// What on the way no switch decides: the firewall on a Linux bridge.
fn not_predicted(path: &Path, direction: Direction) -> Vec<String> {
    let has_firewall = path.hops().any(|hop| hop.facts.firewall_behind == Some(direction));
    let bridges = path.bridges().filter(|(_, kind)| has_firewall && **kind == BridgeKind::Linux);
    bridges.map(|(bridge, _)| format!("security groups on {} are not predicted", name(bridge))).collect()
}

#[cfg(test)]
mod tests;
