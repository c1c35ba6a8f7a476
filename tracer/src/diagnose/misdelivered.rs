//! Packets that the switch sent to a wrong port: how many, whose port, and what next.

use super::words::packets;
use crate::model::{Direction, Finding, Neighbour, PortKind, PortTrace, Printable, Severity};

/// Ports that are named at most.
const MAX_NAMED: usize = 3;

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    let of = |direction: Direction| {
        let count = report.port.directions.get(direction).ledger.misdelivered;
        let was = if count == 1 { "was" } else { "were" };
        let wrong = wrong(&report.port.neighbours, direction);
        let why = match direction {
            Direction::Egress => "a wrong rule, or a flood of which the copy for the wire died",
            Direction::Ingress => {
                "a wrong rule, or the switch believes that the VM is there, or it flooded and the VM's own copy died"
            }
        };
        let text = format!(
            "{} {} {was} sent to {} and seen nowhere else: not whom they were for ({why})",
            packets(count),
            direction.course(),
            named(&wrong)
        );
        let finding = Finding::new(Severity::Critical, "misdelivered", text)
            .next("ovs-ofctl dump-flows tells which rule sends there, ovs-appctl fdb/show where the switch looks for an address");
        let finding = match wrong.first() {
            Some(worst) => finding.at(worst.ifname.clone()),
            None => finding,
        };
        (count > 0).then_some(finding)
    };
    Direction::ALL.into_iter().filter_map(of).collect()
}

/// The ports that packets for others came to, the most first.
fn wrong(neighbours: &[Neighbour], direction: Direction) -> Vec<&Neighbour> {
    let strays = |neighbour: &Neighbour| match direction {
        Direction::Egress => neighbour.strays,
        Direction::Ingress => neighbour.strays_in,
    };
    let mut wrong: Vec<&Neighbour> = neighbours.iter().filter(|neighbour| strays(neighbour) > 0).collect();
    wrong.sort_by_key(|neighbour| std::cmp::Reverse(strays(neighbour)));
    wrong
}

/// `the port of another VM (qvo7be41f06-31, of fa:16:3e:5c:90:d2)`.
fn named(wrong: &[&Neighbour]) -> String {
    let names = wrong.iter().take(MAX_NAMED).map(|neighbour| {
        let mac = neighbour.mac.map_or_else(String::new, |mac| format!(", of {mac}"));
        format!("{}{mac}", Printable(&neighbour.place))
    });
    let mut names: Vec<String> = names.collect();
    if wrong.len() > MAX_NAMED {
        names.push(format!("{} more", wrong.len() - MAX_NAMED));
    }
    let whose = match (wrong.iter().all(|neighbour| neighbour.kind == PortKind::Vm), wrong.len()) {
        (true, 0 | 1) => "the port of another VM",
        (true, _) => "the ports of other VMs",
        (false, 0 | 1) => "a port of the host",
        (false, _) => "ports of others",
    };
    if names.is_empty() { whose.to_owned() } else { format!("{whose} ({})", names.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::{Verdict, verdict},
        model::Ledger,
        report::trace_samples::{path, report, snapshot},
    };

    fn neighbour(ifname: &str, kind: PortKind, strays: u64) -> Neighbour {
        let mac = "fa:16:3e:5c:90:d2".parse().ok();
        Neighbour {
            ifname: ifname.to_owned(),
            place: ifname.to_owned(),
            kind,
            mac,
            copies: strays,
            strays,
            ..Neighbour::default()
        }
    }

    #[test]
    fn wrong_ports_are_named_worst_first() {
        let names = |neighbours: &[Neighbour]| named(&wrong(neighbours, Direction::Egress));
        let one = [neighbour("qvo2", PortKind::Vm, 0), neighbour("qvo3", PortKind::Vm, 7)];
        assert_eq!(names(&one), "the port of another VM (qvo3, of fa:16:3e:5c:90:d2)");
        let many: Vec<_> =
            (1..=5).map(|count| neighbour(&format!("q{count}"), PortKind::Vm, count)).collect();
        let text = names(&many);
        assert!(text.starts_with("the ports of other VMs (q5, of ") && text.ends_with("; 2 more)"), "{text}");
        let came = Neighbour { strays_in: 3, ..neighbour("qvo4", PortKind::Vm, 0) };
        assert_eq!(
            named(&wrong(std::slice::from_ref(&came), Direction::Ingress)),
            "the port of another VM (qvo4, of fa:16:3e:5c:90:d2)"
        );
        assert!(wrong(&[came], Direction::Egress).is_empty());
        assert!(names(&[neighbour("br-ex", PortKind::Local, 1)]).starts_with("a port of the host (br-ex"));
    }

    #[test]
    fn where_all_go_astray_not_one_has_arrived() {
        let mut snapshot = snapshot(0);
        snapshot.directions.egress.ledger =
            Ledger { entered: 176, misdelivered: 176, ..Ledger::default() }.settled();
        snapshot.neighbours = vec![neighbour("qvo3", PortKind::Vm, 176)];
        let found = report(&path(), &snapshot).findings;
        assert_eq!(&*found[0].code, "misdelivered", "{found:?}");
        assert_eq!(found[0].place.as_deref(), Some("qvo3"));
        assert!(
            found[0].text.starts_with("176 packets from the VM were sent to the port of another VM (qvo3,"),
            "{found:?}"
        );
        assert!(found.iter().all(|finding| finding.code != "nothing-died"), "{found:?}");
        assert_eq!(verdict(&report(&path(), &snapshot)), Verdict::EverythingDied);
    }
}
