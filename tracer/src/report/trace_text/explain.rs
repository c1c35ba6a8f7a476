//! What the switch's rules do with an example: the rules it hits in order, and what the datapath is told.

use super::{
    columns_on,
    flow::{Piece, flow},
    port::PortPage,
};
use crate::{
    model::{Direction, Explanation, LogicalFlow, OpenFlowRule, Printable},
    report::{Canvas, Ink, layout::wrap},
};

impl PortPage<'_> {
    /// What becomes of a packet of `direction` that went through.
    pub(super) fn carried(&self, direction: Direction) -> Vec<String> {
        let explained = self.port.directions.get(direction).explain.as_ref();
        let title = explained.map(|_| "  through Open vSwitch".to_owned());
        title.into_iter().chain(explained.into_iter().flat_map(|it| self.explanation(it, 4))).collect()
    }

    /// The explanation, `indent` columns from the left.
    pub(super) fn explanation(&self, explained: &Explanation, indent: usize) -> Vec<String> {
        Setting { columns: self.page.columns, canvas: self.page.canvas }.explanation(explained, indent)
    }
}

/// How an explanation is set, be it of a trace's example or of a packet that nobody has sent.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Setting {
    columns: usize,
    canvas: Canvas,
}

impl Setting {
    pub(in crate::report) fn on(canvas: Canvas) -> Self {
        Self { columns: columns_on(canvas), canvas }
    }

    /// A sentence, `indent` columns from the left, and two more from its second line on.
    pub(in crate::report) fn sentence(self, indent: usize, ink: Option<Ink>, text: &str) -> Vec<String> {
        let room = self.columns.saturating_sub(indent);
        let first = wrap(text, Some(room)).into_iter().next().unwrap_or_default();
        let rest = text.get(first.len()..).unwrap_or_default().trim_start();
        let more = if rest.is_empty() { Vec::new() } else { wrap(rest, Some(room.saturating_sub(2))) };
        let lines = std::iter::once((indent, first)).chain(more.into_iter().map(|line| (indent + 2, line)));
        let set = lines.map(|(indent, line)| {
            let line = match ink {
                Some(ink) => self.canvas.paint(ink, line),
                None => line,
            };
            format!("{}{line}", " ".repeat(indent))
        });
        set.collect()
    }

    /// The explanation, `indent` columns from the left.
    pub(in crate::report) fn explanation(self, explained: &Explanation, indent: usize) -> Vec<String> {
        let question =
            format!("ofproto/trace {} {}", Printable(&explained.bridge), Printable(&explained.packet));
        let mut lines = self.set(indent, Some(Ink::Faint), &question);
        if let Some(assumed) = &explained.assumed {
            lines.extend(self.set(indent, Some(Ink::Warn), &Printable(assumed).to_string()));
        }
        let mut bridge = None;
        for rule in &explained.rules {
            if bridge != Some(&rule.bridge) {
                lines.extend(self.set(indent, None, &Printable(&rule.bridge).to_string()));
                bridge = Some(&rule.bridge);
            }
            lines.extend(self.set(indent + 2, Some(Ink::Strong), &of_rule(rule)));
            if let Some(flow) = &rule.logical {
                lines.extend(self.set(indent + 4, Some(Ink::Strong), &of_logical(flow)));
            }
            for action in &rule.actions {
                lines.extend(self.set(indent + 4, None, &Printable(action).to_string()));
            }
        }
        for actions in &explained.datapath_actions {
            lines.extend(self.set(indent, None, &format!("datapath actions: {}", Printable(actions))));
        }
        if let Some(ports) = explained.leaves_by.as_deref().filter(|ports| !ports.is_empty()) {
            let ports: Vec<_> = ports.iter().map(|port| Printable(port).to_string()).collect();
            lines.extend(self.set(indent, None, &format!("leaves by {}", ports.join(", "))));
        }
        if explained.is_cut {
            lines.extend(self.set(indent, Some(Ink::Warn), "there was more, which is left out"));
        }
        lines
    }

    /// Text in lines of its own, which end behind commas.
    fn set(self, indent: usize, ink: Option<Ink>, text: &str) -> Vec<String> {
        let parts = text.split_inclusive(',').map(|part| match ink {
            Some(ink) => Piece::new(ink, part),
            None => Piece::plain(part),
        });
        let pieces: Vec<_> = std::iter::once(Piece::plain(" ".repeat(indent))).chain(parts).collect();
        flow(&pieces, "", indent + 4, self.columns, self.canvas)
    }
}

/// `table 60 priority 3 cookie 0x17: in_port=2,dl_vlan=1`
fn of_rule(rule: &OpenFlowRule) -> String {
    let part =
        |name: &str, value: Option<String>| value.map_or_else(String::new, |it| format!(" {name} {it}"));
    let priority = part("priority", rule.priority.map(|priority| priority.to_string()));
    let cookie = part("cookie", rule.cookie.as_deref().map(|cookie| Printable(cookie).to_string()));
    let matches =
        if rule.matches.is_empty() { "any packet".to_owned() } else { Printable(&rule.matches).to_string() };
    format!("table {}{priority}{cookie}: {matches}", rule.table)
}

/// `OVN ls_out_acl: udp.dst == 9 /* drop */`
fn of_logical(flow: &LogicalFlow) -> String {
    let stage = Printable(flow.stage.as_deref().unwrap_or("logical flow"));
    format!("OVN {stage}: {} {}", Printable(&flow.matches), Printable(&flow.actions))
}
