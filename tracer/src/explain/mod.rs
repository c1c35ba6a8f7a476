//! Asks `ovs-vswitchd` what its rules do with a packet: `ofproto/trace`.
//!
//! No stage: after a trace its examples are explained, before it is rendered; `predict` puts its packet and reads the answer as is done here.
//! The switch answers with the rules it has now; nothing is sent and nothing changed. What connection tracking had said of a packet it does
//! not know: see `states`.

mod answer;
mod counters;
mod frame;
mod logical;
mod outputs;
mod states;

use std::collections::{BTreeSet, HashMap};

pub(crate) use answer::{datapath_actions, failure, parse};
pub use counters::RuleCounts;
pub(crate) use frame::flow;
pub(crate) use outputs::{Output, Outputs, UserSpace, outputs};
pub(crate) use states::passes;
use states::{STATES, Tried, fitting};

use crate::{
    model::{Direction, Explanation, PacketHead, Path, Snapshot},
    ovs::{Remote, SwitchPort, Unixctl, UnixctlError, switch_ports},
};

/// Packets that are explained at most: each is a question to a daemon that forwards packets meanwhile.
const MAX_QUESTIONS: usize = 16;
/// The request that asks what becomes of a packet.
pub(crate) const TRACE: &str = "ofproto/trace";

/// Explains one packet of each kind that died in the switch, and one of each direction that went through. What could not be
/// explained is said in a note. `before`: how often the rules had been hit when the trace began; `southbound`: where OVN's southbound database is.
pub async fn explain(
    path: &Path,
    snapshot: &mut Snapshot,
    before: Option<&RuleCounts>,
    mut southbound: Option<&Remote>,
) {
    let mut troubles = BTreeSet::new();
    let switch = match Unixctl::connect().await {
        Ok(switch) => switch,
        Err(error) => {
            snapshot.notes.push(format!("no packet is explained: {error}"));
            return;
        }
    };
    let mut asking = Asking { switch, path, before, after: None, ports: HashMap::new() };
    let mut asked = 0;
    for direction in Direction::ALL {
        let figures = snapshot.directions.get_mut(direction);
        let dead = figures.drops.iter_mut().map(|drop| (drop.head.as_ref(), &mut drop.explain, true));
        let carried = [(figures.carried.as_ref(), &mut figures.explain, false)];
        for (head, place, dead) in dead.chain(carried) {
            let Some(head) = head else { continue };
            if asked == MAX_QUESTIONS {
                troubles.insert(format!("no more than {MAX_QUESTIONS} packets are explained"));
                break;
            }
            asked += 1;
            match asking.ask(head, dead).await {
                Ok(mut explanation) => {
                    if let Some(remote) = southbound.filter(|_| dead)
                        && let Err(why) = name_last(&mut explanation, remote).await
                    {
                        snapshot.notes.push(format!("of what OVN made a rule is not known: {why}"));
                        // What does not answer once keeps no report waiting again.
                        southbound = None;
                    }
                    *place = Some(explanation);
                }
                Err(why) => {
                    troubles.insert(why);
                }
            }
        }
    }
    let troubles = troubles.into_iter().map(|why| format!("a packet is not explained: {why}"));
    snapshot.notes.extend(troubles);
}

/// Says what OVN made the rule of that drops.
async fn name_last(explanation: &mut Explanation, southbound: &Remote) -> Result<(), String> {
    let drops = explanation.datapath_actions.last().is_some_and(|actions| actions == "drop");
    if let Some(rule) = explanation.rules.last_mut().filter(|_| drops) {
        rule.logical = logical::flow_of(southbound, rule).await?;
    }
    Ok(())
}

/// Questions to the switch, one after the other.
struct Asking<'a> {
    switch: Unixctl,
    path: &'a Path,
    before: Option<&'a RuleCounts>,
    /// Read when it is first needed.
    after: Option<RuleCounts>,
    /// Those of the switches that bridges are part of, read when they are first needed; empty: they are not known.
    ports: HashMap<String, Vec<SwitchPort>>,
}

impl Asking<'_> {
    /// What the rules do with a packet. `dead`: it died.
    async fn ask(&mut self, head: &PacketHead, dead: bool) -> Result<Explanation, String> {
        let hop = self
            .path
            .hop_of(&head.hook)
            .ok_or_else(|| format!("there is no interface behind {}", head.hook))?;
        if hop.is_tunnel() {
            return Err(format!("by which port of the switch packets came is not known at {}", hop.ifname));
        }
        let bridge = hop.bridge.as_deref().ok_or_else(|| format!("{} is on no bridge", hop.ifname))?;
        let packet = frame::flow(&hop.ifname, head).ok_or("its headers are not understood")?;
        let unknown = || "the switch's answer is not understood".to_owned();
        let answer = self.call(&[bridge, &packet]).await?;
        let explained = self.read(bridge, &packet, &answer).await.ok_or_else(unknown)?;
        if self.after.is_none() && self.before.is_some() {
            self.after = RuleCounts::read(self.path).await.ok();
        }
        if passes(&answer) == 0 {
            return Ok(self.counted(explained));
        }
        let [usual, others @ ..] = STATES;
        let mut tried = vec![Tried { state: usual, explained: explained.clone() }];
        for state in others {
            // The same each time it goes through connection tracking.
            let mut question = vec![bridge, packet.as_str()];
            question.extend(["--ct-next", state].iter().copied().cycle().take(2 * passes(&answer)));
            let answer = self.call(&question).await?;
            let explained = self.read(bridge, &packet, &answer).await;
            tried.extend(explained.map(|explained| Tried { state, explained }));
        }
        let fitting = fitting(tried, dead, self.before.zip(self.after.as_ref()));
        Ok(self.counted(fitting.unwrap_or(explained)))
    }

    /// What an answer says, and by which ports the packet leaves.
    async fn read(&mut self, bridge: &str, packet: &str, answer: &str) -> Option<Explanation> {
        let explained = answer::parse(bridge, packet, answer)?;
        if !self.ports.contains_key(bridge) {
            let ports = switch_ports(&mut self.switch, bridge).await.unwrap_or_default();
            self.ports.insert(bridge.to_owned(), ports);
        }
        let ports = self.ports.get(bridge).filter(|_| failure(answer).is_none());
        let leaves_by = ports.and_then(|ports| outputs(datapath_actions(answer)).names(ports));
        Some(Explanation { leaves_by, ..explained })
    }

    /// With how often the last rule was hit meanwhile.
    fn counted(&self, explained: Explanation) -> Explanation {
        let counts = self.before.zip(self.after.as_ref()).zip(explained.rules.last());
        let hits = counts.and_then(|((before, after), rule)| after.risen(before, rule));
        Explanation { hits, ..explained }
    }

    async fn call(&mut self, question: &[&str]) -> Result<String, String> {
        self.switch.call(TRACE, question).await.map_err(|error: UnixctlError| error.to_string())
    }
}
