//! Ports beside the path that packets left by or came from.

use super::port::PortPage;
use crate::model::{Neighbour, OtherPort, PortKind, Printable};

impl PortPage<'_> {
    /// Whether there are hooks at all ports of the switch beside the path.
    pub(super) fn sees_ports_beside(&self) -> bool {
        // Of several ports the report does not list them.
        if self.page.report.ports.len() > 1 && self.page.report.settings.path_only {
            return false;
        }
        let neighbours = &self.port.neighbours;
        let is_seen = |port: &OtherPort| {
            port.kind == PortKind::Bridge || neighbours.iter().any(|it| it.hooked && it.place == port.place())
        };
        self.port.path.other_ports.iter().all(is_seen)
    }

    /// A line for each port that had to do with the traced VM, below a heading; nothing without any.
    pub(super) fn neighbours(&self) -> Vec<String> {
        let met: Vec<&Neighbour> = self
            .port
            .neighbours
            .iter()
            .filter(|neighbour| {
                neighbour.received + neighbour.copies + neighbour.sent + neighbour.strays_in > 0
            })
            .collect();
        if met.is_empty() {
            return Vec::new();
        }
        let what = if met.iter().all(|neighbour| neighbour.kind == PortKind::Vm) {
            "other VMs' ports on the same switch, off the path"
        } else {
            "ports off the path: other VMs' and the host's own"
        };
        let lines = met.into_iter().map(|neighbour| {
            let mac = neighbour.mac.map_or_else(String::new, |mac| format!("  {mac}"));
            let copies = neighbour.copies - neighbour.strays.min(neighbour.copies);
            let counts = [
                (neighbour.received, "received"),
                (copies, "copies of packets for others"),
                (neighbour.strays, "for other addresses"),
                (neighbour.sent, "sent"),
                (neighbour.strays_in, "for the VM that came here"),
            ];
            let counts: Vec<_> = counts
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            format!("  {}{mac}  {}", Printable(&neighbour.place), counts.join(", "))
        });
        [String::new(), self.page.heading("neighbours", what)].into_iter().chain(lines).collect()
    }
}
