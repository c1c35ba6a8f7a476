//! Asks `ovs-vswitchd` what its rules do with a packet: `ofproto/trace`.
//!
//! No stage: after a trace its examples are explained, before it is rendered. The switch answers with the rules it has now;
//! nothing is sent and nothing changed.

mod answer;
mod frame;

use std::collections::BTreeSet;

use crate::{
    model::{Direction, Explanation, Hop, PacketHead, Path, Snapshot},
    ovs::{Unixctl, UnixctlError},
};

/// Packets that are explained at most: each is a question to a daemon that forwards packets meanwhile.
const MAX_QUESTIONS: usize = 16;
const TRACE: &str = "ofproto/trace";

/// Explains one packet of each kind that died in the switch, and one of each direction that went through. What could not be
/// explained is said in a note.
pub async fn explain(path: &Path, snapshot: &mut Snapshot) {
    let mut asked = 0;
    let mut troubles = BTreeSet::new();
    let mut switch = match Unixctl::connect().await {
        Ok(switch) => switch,
        Err(error) => {
            snapshot.notes.push(format!("no packet is explained: {error}"));
            return;
        }
    };
    for direction in Direction::ALL {
        let figures = snapshot.directions.get_mut(direction);
        let dead = figures.drops.iter_mut().map(|drop| (drop.head.as_ref(), &mut drop.explain));
        let carried = [(figures.carried.as_ref(), &mut figures.explain)];
        for (head, place) in dead.chain(carried) {
            let Some(head) = head else { continue };
            if asked == MAX_QUESTIONS {
                troubles.insert(format!("no more than {MAX_QUESTIONS} packets are explained"));
                break;
            }
            asked += 1;
            match ask(&mut switch, path, head).await {
                Ok(explanation) => *place = Some(explanation),
                Err(why) => {
                    troubles.insert(why);
                }
            }
        }
    }
    let troubles = troubles.into_iter().map(|why| format!("a packet is not explained: {why}"));
    snapshot.notes.extend(troubles);
}

/// One question.
async fn ask(switch: &mut Unixctl, path: &Path, head: &PacketHead) -> Result<Explanation, String> {
    let hop = hop(path, &head.hook).ok_or_else(|| format!("there is no interface behind {}", head.hook))?;
    let bridge = hop.bridge.as_deref().ok_or_else(|| format!("{} is on no bridge", hop.ifname))?;
    let packet = frame::flow(&hop.ifname, head).ok_or("its headers are not understood")?;
    let answer =
        switch.call(TRACE, &[bridge, &packet]).await.map_err(|error: UnixctlError| error.to_string())?;
    answer::parse(bridge, &packet, &answer).ok_or_else(|| "the switch's answer is not understood".to_owned())
}

/// The hop of a hook's label: a role, perhaps with an interface behind a colon.
fn hop<'a>(path: &'a Path, label: &str) -> Option<&'a Hop> {
    let (role, ifname) = label.split_once(':').map_or((label, None), |(role, ifname)| (role, Some(ifname)));
    path.hops.iter().find(|hop| hop.role.as_str() == role && ifname.is_none_or(|ifname| hop.ifname == ifname))
}
