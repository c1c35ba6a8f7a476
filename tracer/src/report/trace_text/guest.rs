//! The guest's own times.

use super::{
    flow::Piece,
    places,
    port::PortPage,
    table::{Block, Layout, Row},
};
use crate::{
    model::{GuestTimes, Latencies},
    report::{Ink, units},
};

const APPLICATION: &str = "application";
const ACKNOWLEDGED: &str = "acknowledged";
const KERNEL: &str = "kernel";

/// A row for each of them that there is.
pub(super) fn block(guest: &GuestTimes) -> Option<Block> {
    let row = |name, latencies| Row { ends: places::Ends::named(name), latencies, lost: None };
    let rows: Vec<_> = of(guest)
        .into_iter()
        .filter(|(_, latencies, _)| latencies.count > 0)
        .map(|(name, latencies, _)| row(name, latencies))
        .collect();
    (!rows.is_empty()).then_some(Block { counted: "replies", rows })
}

/// The rows, with what is measured in each.
fn of(guest: &GuestTimes) -> [(&'static str, Latencies, &'static str); 3] {
    [
        (
            APPLICATION,
            guest.application.answers,
            "from the last TCP data of a question to the first data of its answer",
        ),
        (
            ACKNOWLEDGED,
            guest.acknowledgements,
            "from TCP data to its acknowledgement, which a guest's kernel may delay",
        ),
        (KERNEL, guest.kernel, "from an echo request, a SYN or an ARP request to its answer"),
    ]
}

impl PortPage<'_> {
    pub(super) fn guest(&self, block: Option<&Block>, layout: &Layout) -> Vec<String> {
        let what = "its own response time: tap egress → tap ingress of the reply";
        let mut lines = self.page.flow(&[Piece::new(Ink::Strong, "guest"), Piece::plain(what)], "  ", 2);
        let guest = &self.port.guest;
        match block {
            Some(block) => {
                lines.extend(layout.draw(block, self.page.canvas));
                for (name, latencies, what) in of(guest) {
                    if latencies.count > 0 {
                        lines.extend(self.page.flow(
                            &[Piece::new(Ink::Faint, format!("{name}: {what}"))],
                            "  ",
                            2,
                        ));
                    }
                }
            }
            None => lines.push("  no reply of the guest was matched to a request".to_owned()),
        }
        if guest.application.unclear > 0 {
            let text = format!(
                "{} more answers of applications are not measured: asked again, out of turn, or before the answer to the \
                 question before",
                units::short_count(guest.application.unclear)
            );
            lines.extend(self.page.flow(&[Piece::new(Ink::Faint, text)], " ", 2));
        }
        lines
    }
}
