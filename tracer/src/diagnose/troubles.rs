//! What was wrong with the path, and when: what its sources said at the start and at the end, and what the kernel told of its
//! interfaces in between.

pub(super) use super::spans::When;
use super::{
    spans::{self, Span, is_so, kind, spans},
    words::time_of_day,
};
use crate::model::{LinkChange, Path, PortReport, PortTrace, Printable, Problem, ProblemKind};

/// Something wrong, and when it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What.
    pub(super) problem: Problem,
    /// `since 16:02:51`, `until 16:03:05`; empty: throughout.
    pub(super) when: String,
    /// Whether it was so when last looked at.
    pub(super) lasts: bool,
    /// The same for comparing; `None`: it is not known since when, or until when.
    spans: Option<Vec<Span>>,
}

/// All of them: first those that were there at the start.
pub(super) fn troubles(report: &PortTrace<'_>) -> Vec<Trouble> {
    let (path, port) = (report.path(), report.port);
    let mut found: Vec<Trouble> = path.problems.iter().map(|problem| from_start(problem, port)).collect();
    let at_end = port.problems_at_end.iter().flatten();
    found.extend(at_end.filter(|problem| !is_among(&path.problems, problem)).map(|problem| {
        Trouble {
            problem: problem.clone(),
            when: last_change(port, problem, true)
                .map_or_else(|| "at the end of the trace, not at its start".to_owned(), since),
            lasts: true,
            spans: told(port, problem, false),
        }
    }));
    found.extend(in_between(path, port));
    found
}

fn from_start(problem: &Problem, port: &PortReport) -> Trouble {
    let recovered = last_change(port, problem, false);
    let lasts = match &port.problems_at_end {
        Some(at_end) => is_among(at_end, problem),
        None => recovered.is_none(),
    };
    let when = match (lasts, recovered) {
        (true, _) => String::new(),
        (false, Some(at_ns)) => format!("until {}", time_of_day(at_ns)),
        (false, None) => "at the start of the trace, no more at its end".to_owned(),
    };
    let spans =
        if lasts && recovered.is_none() { Some(vec![Span::ALWAYS]) } else { told(port, problem, true) };
    Trouble { problem: problem.clone(), when, lasts, spans }
}

/// An interface that went down while packets were admitted, and was not looked at since, or that came back.
fn in_between(path: &Path, port: &PortReport) -> Vec<Trouble> {
    let mut found: Vec<Trouble> = Vec::new();
    for change in &port.changes {
        let Some(kind) = kind(change) else { continue };
        let what = match kind {
            ProblemKind::Down => "it is down (IFF_UP is not set)",
            _ => "no carrier",
        };
        let problem = Problem { kind, at: change.ifname.clone(), what: what.to_owned() };
        let known = is_among(&path.problems, &problem)
            || port.problems_at_end.as_ref().is_some_and(|at_end| is_among(at_end, &problem))
            || found.iter().any(|trouble| same(&trouble.problem, &problem));
        if known {
            continue;
        }
        let later = |other: &&LinkChange| other.ifname == change.ifname && other.at_ns > change.at_ns;
        let back = port.changes.iter().filter(later).find(|other| !is_so(other, kind));
        // Down to the last, and not found down at the end: it is gone, and what was found instead says why.
        let is_gone = |at_end: &Vec<Problem>| at_end.iter().any(|other| other.at == change.ifname);
        if back.is_none() && port.problems_at_end.as_ref().is_some_and(is_gone) {
            continue;
        }
        let spans = spans(&port.changes, &problem, false);
        let when = match (back, spans.last()) {
            (Some(_), Some(last)) if spans.len() > 1 && last.until_ns != u64::MAX => format!(
                "{} times from {} to {}",
                spans.len(),
                time_of_day(change.at_ns),
                time_of_day(last.until_ns)
            ),
            (Some(back), _) => {
                format!("from {} to {}", time_of_day(change.at_ns), time_of_day(back.at_ns))
            }
            (None, _) if port.problems_at_end.is_some() => {
                format!("from {} on, no more at the end of the trace", time_of_day(change.at_ns))
            }
            (None, _) => since(change.at_ns),
        };
        let lasts = back.is_none() && port.problems_at_end.is_none();
        found.push(Trouble { problem, when, lasts, spans: Some(spans) });
    }
    found
}

/// When something was wrong, if the kernel has told of its changes.
fn told(port: &PortReport, problem: &Problem, at_start: bool) -> Option<Vec<Span>> {
    last_change(port, problem, !at_start).map(|_| spans(&port.changes, problem, at_start))
}

/// When the interface of a problem was last told to come into that state, or out of it.
fn last_change(port: &PortReport, problem: &Problem, into: bool) -> Option<u64> {
    let mut of = port.changes.iter().filter(|change| change.ifname == problem.at);
    let last = of.rfind(|change| is_so(change, problem.kind) == into);
    let about_links = matches!(problem.kind, ProblemKind::Down | ProblemKind::NoCarrier);
    last.filter(|_| about_links).map(|change| change.at_ns)
}

fn since(at_ns: u64) -> String {
    format!("since {}", time_of_day(at_ns))
}

fn is_among(problems: &[Problem], problem: &Problem) -> bool {
    problems.iter().any(|other| same(other, problem))
}

fn same(one: &Problem, other: &Problem) -> bool {
    // Of what has no kind, the words say what it is.
    one.at == other.at && one.kind == other.kind && (one.kind != ProblemKind::Other || one.what == other.what)
}

/// The guest's interface on the host.
fn tap(path: &Path) -> String {
    path.guests().map_or_else(|| "its tap".to_owned(), |hop| Printable(&hop.ifname).to_string())
}

impl Trouble {
    /// Whether it was so when packets died, the first and the last of them at these times; `None`: it was not.
    pub(super) fn when_of(&self, first_ns: u64, last_ns: u64) -> Option<When> {
        self.spans.as_ref().map_or(Some(When::NotKnown), |spans| spans::when(spans, first_ns, last_ns))
    }

    /// In words, with the time.
    pub(super) fn words(&self, path: &Path) -> String {
        let at = Printable(&self.problem.at);
        let domain = path.instance.name.as_deref().unwrap_or_default();
        let is_or_was = if self.lasts { "is" } else { "was" };
        let what = match self.problem.kind {
            ProblemKind::Down => format!("{at} {is_or_was} DOWN (IFF_UP is not set)"),
            ProblemKind::Unplugged => {
                let tap = tap(path);
                format!("libvirt: the link of {tap} {is_or_was} set DOWN, the guest gets nothing")
            }
            ProblemKind::Paused => {
                format!("libvirt: {} {is_or_was} PAUSED, its CPUs take nothing", Printable(domain))
            }
            _ => format!("{at}: {}", self.problem.what),
        };
        if self.when.is_empty() { what } else { format!("{what}, {}", self.when) }
    }

    /// What to do about it, while it lasts.
    pub(super) fn next(&self, path: &Path) -> Option<String> {
        let at = Printable(&self.problem.at);
        let domain = Printable(path.instance.name.as_deref().unwrap_or_default()).to_string();
        let next = match self.problem.kind {
            ProblemKind::Down => format!("ip link set {at} up"),
            ProblemKind::NoCarrier => format!("ip -d link show {at}, then the other end of it"),
            ProblemKind::NotForwarding => format!("bridge -d link show dev {at}"),
            ProblemKind::SmallerMtu => "hoptrace path shows every MTU".to_owned(),
            ProblemKind::Paused => {
                format!("virsh domstate --reason {domain}, then virsh resume {domain}")
            }
            ProblemKind::Unplugged => format!("virsh domif-setlink {domain} {} up", tap(path)),
            ProblemKind::NotRunning => format!("virsh domstate --reason {domain}, then virsh start {domain}"),
            ProblemKind::NotOpened => format!("ovs-vsctl list interface {at} shows the error"),
            ProblemKind::NotInSwitch | ProblemKind::NoUplink => "ovs-vsctl show".to_owned(),
            ProblemKind::OtherVlan => format!("ovs-vsctl get port {at} tag"),
            ProblemKind::DeadVlan => {
                "openstack port show: binding_vif_type; and the log of neutron-openvswitch-agent".to_owned()
            }
            ProblemKind::Other => return None,
        };
        self.lasts.then_some(next)
    }
}
