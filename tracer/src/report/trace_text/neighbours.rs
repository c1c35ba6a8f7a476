//! Other VMs' ports on the same switch that packets left by or came from.

use super::Page;
use crate::model::{Neighbour, Printable};

impl Page<'_> {
    /// A line for each neighbour that had to do with the traced VM, below a heading; nothing without any.
    pub(super) fn neighbours(&self) -> Vec<String> {
        let met: Vec<&Neighbour> = self
            .report
            .snapshot
            .neighbours
            .iter()
            .filter(|neighbour| neighbour.received + neighbour.copies + neighbour.sent > 0)
            .collect();
        if met.is_empty() {
            return Vec::new();
        }
        let what = "other VMs' ports on the same switch, off the path";
        let lines = met.into_iter().map(|neighbour| {
            let mac = neighbour.mac.map_or_else(String::new, |mac| format!("  {mac}"));
            let counts = [
                (neighbour.received, "received"),
                (neighbour.copies, "copies of packets for others"),
                (neighbour.sent, "sent"),
            ];
            let counts: Vec<_> = counts
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            format!("  {}{mac}  {}", Printable(&neighbour.ifname), counts.join(", "))
        });
        [String::new(), self.heading("neighbours", what)].into_iter().chain(lines).collect()
    }
}
