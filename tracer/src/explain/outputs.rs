//! By which ports a packet leaves the datapath, from the actions that this is told. Pure.
//!
//! A list of actions is made for people: `push_vlan(vid=1,pcp=0),2,clone(set(tunnel(…)),5)`, with commas also inside parentheses. A port is
//! a number, or a name where names were asked for; an empty list is `drop`.

use crate::ovs::SwitchPort;

/// Lists inside of lists that are read at most.
const MAX_DEPTH: usize = 8;
/// Ports, and actions that are not understood, that are told at most.
const MAX_ITEMS: usize = 1_024;

/// Actions after which the packet is in the same hands as before, or that are about a copy of it.
const ON_THE_WAY: [&str; 20] = [
    "add_mpls",
    "ct",
    "ct_clear",
    "dec_ttl",
    "drop",
    "meter",
    "pop_eth",
    "pop_mpls",
    "pop_nsh",
    "pop_vlan",
    "psample",
    "push_eth",
    "push_mpls",
    "push_nsh",
    "push_vlan",
    "sample",
    "set",
    "set_masked",
    "trunc",
    "hash",
];
/// What `userspace` is for that only counts packets.
const SAMPLES: [&str; 3] = ["sFlow(", "flow_sample(", "ipfix("];

/// Whom user space is, where a packet goes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserSpace {
    Controller,
    SlowPath,
    Other,
}

/// A port, by number or name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) port: String,
    /// The packet gets the outer headers of a tunnel before.
    pub(crate) tunnel: bool,
}

/// What is done with the packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outputs {
    /// Each once.
    pub(crate) ports: Vec<Output>,
    /// By one that the datapath chooses by a hash: of a bond, or of a group.
    pub(crate) hashed: bool,
    pub(crate) user_space: Option<UserSpace>,
    /// Actions that are not understood, or whose end is not known.
    pub(crate) unclear: Vec<String>,
    /// Outputs into tunnels: a port of the datapath's stands for all of a kind.
    pub(crate) tunnelled: usize,
    /// It goes through the datapath once more, so often.
    recirculated: usize,
    /// The lists there were.
    passes: usize,
    /// What is done with it depends on its size.
    by_size: bool,
}

/// What the actions of all passes through the datapath do.
pub(crate) fn outputs<'a>(passes: impl Iterator<Item = &'a str>) -> Outputs {
    let mut outputs = Outputs::default();
    for actions in passes {
        outputs.passes += 1;
        outputs.read(actions, MAX_DEPTH);
    }
    // Each pass but the first is the end of one of those; what a hash chooses is chosen in one that is not told.
    if outputs.recirculated >= outputs.passes.max(1) && !outputs.hashed {
        outputs.add_unclear("recirc");
    }
    outputs
}

impl Outputs {
    /// The names of the ports, where they are all that becomes of the packet: no tunnel, nothing that is chosen by a hash or by the packet's
    /// size, and nothing that is not understood.
    pub(super) fn names(&self, ports: &[SwitchPort]) -> Option<Vec<String>> {
        let is_plain = self.passes > 0
            && !self.hashed
            && !self.by_size
            && self.tunnelled == 0
            && self.user_space.is_none()
            && self.unclear.is_empty();
        let name = |output: &Output| match output.port.parse::<u32>() {
            Ok(number) => {
                let mut named = ports.iter().filter(|port| port.number == Some(number));
                named
                    .next()
                    .filter(|port| !port.is_tunnel() && named.next().is_none())
                    .map(|port| port.name.clone())
            }
            Err(_) => Some(output.port.clone()),
        };
        self.ports.iter().map(name).collect::<Option<Vec<_>>>().filter(|_| is_plain)
    }

    fn read(&mut self, actions: &str, depth: usize) {
        // Of the packet as it is in this list.
        let mut tunnel = false;
        for item in items(actions) {
            let (word, inside) = parts(item);
            match word {
                "" => {}
                "clone" if depth > 0 => self.read(inside, depth - 1),
                // The packet in question is small.
                "check_pkt_len" if depth > 0 => {
                    self.by_size = true;
                    let small = items(inside).into_iter().map(parts).find(|(word, _)| *word == "le");
                    self.read(small.map_or("", |(_, actions)| actions), depth - 1);
                }
                "set" if inside.starts_with("tunnel(") => tunnel = true,
                "tnl_push" => {
                    let port = items(inside).into_iter().map(parts).find(|(word, _)| *word == "tnl_port");
                    self.add_port(port.map_or("", |(_, port)| port), true);
                    // What follows is about the outer packet.
                    break;
                }
                "userspace" => self.add_user_space(inside),
                "lb_output" => self.hashed = true,
                "recirc" => self.recirculated += 1,
                _ if ON_THE_WAY.contains(&word) => self.hashed |= word == "hash",
                _ if is_port(item, word) => {
                    self.add_port(item, tunnel);
                    tunnel = false;
                }
                _ => self.add_unclear(word),
            }
        }
    }

    fn add_port(&mut self, port: &str, tunnel: bool) {
        let port = serde_json::from_str(port).unwrap_or_else(|_| port.to_owned());
        self.tunnelled += usize::from(tunnel);
        if self.ports.len() < MAX_ITEMS && !self.ports.iter().any(|known| known.port == port) {
            self.ports.push(Output { port, tunnel });
        }
    }

    fn add_user_space(&mut self, inside: &str) {
        let whom = if inside.contains("controller(") {
            UserSpace::Controller
        } else if inside.contains("slow_path(") {
            UserSpace::SlowPath
        } else if SAMPLES.iter().any(|sample| inside.contains(sample)) {
            return;
        } else {
            UserSpace::Other
        };
        self.user_space.get_or_insert(whom);
    }

    fn add_unclear(&mut self, action: &str) {
        let is_new = !self.unclear.iter().any(|known| known == action);
        if is_new && self.unclear.len() < MAX_ITEMS {
            self.unclear.push(action.to_owned());
        }
    }
}

/// Whether an item is a port: a number, a name in quotes, or a name like those of interfaces.
fn is_port(item: &str, word: &str) -> bool {
    item.starts_with('"')
        || (item == word
            && !item.contains(|letter: char| letter.is_whitespace() || "<>*():".contains(letter)))
}

/// An action's word, and what is in its parentheses.
fn parts(item: &str) -> (&str, &str) {
    match item.split_once('(') {
        Some((word, inside)) if !item.starts_with('"') => {
            (word.trim(), inside.strip_suffix(')').unwrap_or(inside))
        }
        _ => (item, ""),
    }
}

/// The items of a list: what commas separate that are neither in parentheses nor in quotes.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut is_quoted, mut is_escaped, mut start) = (0_usize, false, false, 0);
    let mut items = Vec::new();
    for (at, letter) in list.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.push(list.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(list.get(start..).unwrap_or_default().trim());
    items
}

#[cfg(test)]
#[path = "outputs_tests.rs"]
mod tests;
