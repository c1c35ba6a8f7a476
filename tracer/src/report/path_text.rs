//! A path drawn for people, from the guest down to the wire, with what is wrong right where it is.

use super::{
    Canvas, Ink,
    layout::{columns, pad, wrap},
    tunnel::tunnel_in_words,
};
use crate::model::{Beyond, Bond, BridgeKind, Hop, Path, PortKind, Printable, Step, Traceability, Tunnel};

/// Columns of the names, at least.
const NAME_COLUMNS: usize = 18;
/// Columns of a bridge's box, at least.
const BOX_COLUMNS: usize = 60;
/// What is attached at each hop.
const HOOKS: &str = "tc ingress + egress";

/// The drawing, ending with a newline.
#[must_use]
pub fn path_text(path: &Path, canvas: Canvas) -> String {
    let name_columns =
        path.steps.iter().map(|step| columns(&name(step.name()))).max().unwrap_or(0).max(NAME_COLUMNS);
    let inside = path.bridges().map(|(_, kind)| name_columns + 2 + columns(&description(path, kind)));
    let box_columns = inside.max().unwrap_or(0).max(BOX_COLUMNS);
    let role_columns = path.hops().map(|hop| columns(hop.role.as_str())).max().unwrap_or(0);
    let mut drawing = Drawing { path, canvas, name_columns, role_columns, box_columns, lines: Vec::new() };
    drawing.head();
    drawing.guest();
    let mut before = None;
    for step in &path.steps {
        drawing.step(before, step);
        before = Some(step);
    }
    drawing.wire(before);
    drawing.foot();
    drawing.lines.push(String::new());
    drawing.lines.join("\n")
}

fn name(text: &str) -> String {
    Printable(text).to_string()
}

/// `bond bond0 of eth0, eth1 (active-backup: eth1)`
fn in_words(bond: &Bond) -> String {
    let members: Vec<_> = bond.members.iter().map(|member| name(member)).collect();
    let mut text = format!("bond {} of {}", name(&bond.name), members.join(", "));
    let how: Vec<_> = bond.mode.iter().chain(&bond.active).map(|word| name(word)).collect();
    if !how.is_empty() {
        text = format!("{text} ({})", how.join(": "));
    }
    text
}

/// What a bridge is made of, in words.
fn description(path: &Path, kind: &BridgeKind) -> String {
    match kind {
        BridgeKind::Linux => {
            ["Linux bridge"].into_iter().chain(path.firewall_in_words()).collect::<Vec<_>>().join(" · ")
        }
        BridgeKind::Ovs { datapath, fail_mode } => {
            let fail_mode =
                fail_mode.as_deref().map_or(String::new(), |mode| format!(" · fail_mode {}", name(mode)));
            format!("OVS bridge · {} datapath{fail_mode}", name(datapath))
        }
    }
}

struct Drawing<'a> {
    path: &'a Path,
    canvas: Canvas,
    /// Columns of the names.
    name_columns: usize,
    /// Columns of what interfaces are called on the path.
    role_columns: usize,
    /// Columns inside each bridge's box.
    box_columns: usize,
    lines: Vec<String>,
}

impl Drawing<'_> {
    fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    fn faint(&self, text: &str) -> String {
        self.canvas.paint(Ink::Faint, text)
    }

    fn head(&mut self) {
        let id = &self.path.instance;
        let mut title = vec![self.canvas.paint(Ink::Strong, name(&id.title()))];
        title.extend(id.name.as_deref().filter(|it| *it != id.title()).map(name));
        title.extend(id.uuid.as_deref().filter(|it| *it != id.title()).map(name));
        self.line(title.join("  "));
        let mut facts: Vec<String> = id.port_id.iter().map(|port| format!("port {}", name(port))).collect();
        facts.push(self.path.kind.as_str().to_owned());
        facts.extend(self.path.network.as_deref().map(name));
        self.line(self.faint(&facts.join(" · ")));
        self.line("");
    }

    fn guest(&mut self) {
        let ips: Vec<_> = self.path.instance.ips.iter().map(ToString::to_string).collect();
        let spine = format!("   {}  ", self.canvas.paint(Ink::Strong, "◆"));
        let guest = pad("guest", self.name_columns);
        self.line(
            format!("{spine}{guest}  {}  {}", self.path.instance.mac, ips.join("  ")).trim_end().to_owned(),
        );
        self.problems(Path::GUEST);
    }

    fn step(&mut self, before: Option<&Step>, step: &Step) {
        match step {
            Step::Interface(hop) => self.interface(before, hop),
            Step::Bridge { name, kind } => self.bridge(name, kind),
            Step::Patch { name, peer, veth } => self.patch(name, peer, *veth),
            Step::Tunnel(tunnel) => self.tunnel(tunnel),
            Step::Gap { missing } => {
                self.spine();
                let line = format!(
                    "   {}  {}",
                    self.canvas.paint(Ink::Bad, "✘"),
                    self.canvas.paint(Ink::Bad, name(missing))
                );
                self.line(line);
            }
        }
        // A bridge's own interface has its name.
        let is_told =
            matches!(step, Step::Patch { .. }) || matches!(step, Step::Interface(hop) if hop.is_host_s());
        if !is_told {
            step.names().into_iter().for_each(|name| self.problems(name));
        }
    }

    fn interface(&mut self, before: Option<&Step>, hop: &Hop) {
        match before {
            Some(Step::Interface(before)) if before.is_pair_with(hop) => {
                let pair = self.faint("veth pair");
                self.line(format!("   ║  {pair}"));
            }
            // Alternatives stand side by side.
            Some(Step::Interface(before)) if before.is_alternative_to(hop) => {}
            _ => self.spine(),
        }
        let line = self.hop(hop);
        self.line(line);
        self.limits(hop);
    }

    fn limits(&mut self, hop: &Hop) {
        for limit in &hop.limits {
            let beyond = match limit.beyond {
                _ if limit.in_force == Some(false) => "not in force",
                Beyond::Die => "drops what is more",
                Beyond::Wait if hop.is_guests() => "what is more waits behind the last hook, in no latency",
                Beyond::Wait if hop.is_uplink() => {
                    "what is more waits behind the last hook, in no latency but with --wire"
                }
                Beyond::Wait => "what is more waits",
            };
            for line in wrap(&format!("{}; {beyond}", limit.in_words()), self.room()) {
                let text = self.faint(&line);
                self.line(format!("   │    {text}"));
            }
        }
    }

    fn hop(&self, hop: &Hop) -> String {
        let broken = self.path.problems_at(&hop.ifname).next().is_some();
        let mark = self.canvas.paint(if broken { Ink::Bad } else { Ink::Hook }, "●");
        let ifname = self.canvas.paint(Ink::Strong, pad(&name(&hop.ifname), self.name_columns));
        let vlan = hop.vlan_tag.map_or(String::new(), |tag| format!("VLAN {tag}"));
        let facts = format!(
            "{}  {}  {}  {}",
            pad(hop.role.as_str(), self.role_columns),
            pad(&format!("ifindex {}", hop.ifindex), 12),
            pad(&format!("mtu {}", hop.mtu_bytes), 9),
            pad(&vlan, 9),
        );
        let bond =
            hop.bond.as_ref().map_or_else(String::new, |bond| self.faint(&format!("  {}", in_words(bond))));
        format!("   {mark}  {ifname}  {facts}  {}{bond}", self.canvas.paint(Ink::Hook, HOOKS))
    }

    fn bridge(&mut self, bridge: &str, kind: &BridgeKind) {
        let (what, width) = (description(self.path, kind), self.box_columns);
        let padded = pad(&what, width.saturating_sub(self.name_columns + 2));
        let title = self.canvas.paint(Ink::Strong, pad(&name(bridge), self.name_columns));
        self.line(format!(" ┌─┴──{}─┐", "─".repeat(width)));
        self.line(format!(" │    {title}  {padded} │"));
        self.line(format!(" └─┬──{}─┘", "─".repeat(width)));
    }

    fn patch(&mut self, near: &str, far: &str, is_veth: bool) {
        let label = self.faint(if is_veth { "veth" } else { "patch port" });
        let width = self.name_columns;
        self.line(format!("   ○  {}  {label}", pad(&name(near), width)));
        self.problems(near);
        self.line("   ┊");
        self.line(format!("   ○  {}  {label}", pad(&name(far), width)));
        self.problems(far);
    }

    fn tunnel(&mut self, tunnel: &Tunnel) {
        self.line("   ┊");
        for (number, line) in tunnel_in_words(tunnel, "\n").lines().enumerate() {
            let mark = if number == 0 { '≈' } else { '┊' };
            self.line(format!("   {mark}  {}", self.faint(line)));
        }
    }

    fn spine(&mut self) {
        self.line("   │");
    }

    /// Columns for what is said about a step.
    fn room(&self) -> Option<usize> {
        self.canvas.width.map(|width| width.saturating_sub(10).max(20))
    }

    fn problems(&mut self, at: &str) {
        let room = self.room();
        for problem in self.path.problems_at(at) {
            for (number, line) in wrap(&problem.what, room).into_iter().enumerate() {
                let mark = if number == 0 { "✘ " } else { "  " };
                let text = self.canvas.paint(Ink::Bad, format!("{mark}{line}"));
                self.lines.push(format!("   │    {text}"));
            }
        }
    }

    fn wire(&mut self, last: Option<&Step>) {
        if self.path.leads_out() {
            self.line("   │");
            let wire = self.canvas.paint(Ink::Strong, "wire");
            self.line(format!("   ▼  {wire}"));
        } else if self.path.hops().any(Hop::is_host_s) {
            self.line("   │");
            let host = self.canvas.paint(Ink::Strong, "the host's own network stack");
            self.line(format!("   ▼  {host}"));
        } else if last.is_some() {
            let end = self.canvas.paint(Ink::Warn, "the path ends here");
            self.line("   ┊");
            self.line(format!("   ✘  {end}"));
        }
        self.line("");
    }

    fn foot(&mut self) {
        let hops = self.path.hops().count();
        let (ink, verdict) = match &self.path.traceability {
            Traceability::Fully => (Ink::Good, "traceable".to_owned()),
            Traceability::Partly { why } => (Ink::Warn, format!("partly traceable: {why}")),
            Traceability::No { why } => (Ink::Bad, format!("not traceable: {why}")),
        };
        for line in wrap(&verdict, self.canvas.width) {
            self.lines.push(self.canvas.paint(ink, line));
        }
        if !matches!(self.path.traceability, Traceability::No { .. }) {
            self.line(format!("{} hooks: tc ingress and egress at {hops} interfaces", 2 * hops));
        }
        let vms = self.path.other_ports.iter().filter(|port| port.kind == PortKind::Vm);
        let others: Vec<_> = vms.map(|port| name(&port.ifname)).collect();
        if !others.is_empty() {
            let shown = others.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
            let more = if others.len() > 4 { ", …" } else { "" };
            let noun = if others.len() == 1 { "port" } else { "ports" };
            let line = format!("{} other VM {noun} on the same switch: {shown}{more}", others.len());
            self.line(self.faint(&line));
        }
        if !self.path.problems.is_empty() {
            let count = self.path.problems.len();
            let noun = if count == 1 { "problem" } else { "problems" };
            self.line(self.canvas.paint(Ink::Bad, format!("{count} {noun}, marked ✘ above")));
        }
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
