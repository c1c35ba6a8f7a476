//! Looks at the host beside the hooks: at the path again when a trace ends, at its interfaces meanwhile, and at packet filters.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
    time::Duration,
};

use tokio::sync::oneshot;

use super::{Note, NoteTo};
use crate::{
    collect::LinkWatch,
    discover::{Sources, discover},
    explain::RuleCounts,
    kernel::is_nf_queue,
    model::{
        BridgeKind, Direction, Drop, Firewall, Hop, HostReport, LinkChange, Path, PortId, Printable, Problem,
        ProblemKind, Snapshot, SourceName, Topology, TraceFigures, VmPort,
    },
    netfilter::{self, Course, Filters},
    ovs::Remote,
    path,
};

/// How long packets wait for the first look at the filters, which goes on beside the loading of the programs. Where there are
/// many rules, it ends while packets are admitted, and their counters are then those of a moment later.
const FIRST_LOOK_LIMIT: Duration = Duration::from_millis(20);
/// How long the report waits for it.
const LAST_LOOK_LIMIT: Duration = Duration::from_secs(4);
/// Why packets die in a filter.
const BY_FILTER: &str = "NETFILTER_DROP";

/// A first look, under way or done.
#[derive(Debug)]
pub(super) struct FirstLook {
    asked: Option<oneshot::Receiver<Filters>>,
    found: Option<Filters>,
}

impl FirstLook {
    /// Begins it, in a thread of its own: loading the programs keeps this one busy.
    pub(super) fn begin() -> Self {
        let (sender, asked) = oneshot::channel();
        let look = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            // Where the trace has ended, the answer is not wanted any more.
            let _ = sender.send(runtime.block_on(netfilter::look()));
            Ok::<(), std::io::Error>(())
        };
        let started = thread::Builder::new().name("filters".to_owned()).spawn(look);
        Self { asked: started.is_ok().then_some(asked), found: None }
    }

    /// Waits for it a little; it goes on behind the limit.
    async fn wait(&mut self) {
        let Some(asked) = &mut self.asked else { return };
        if let Ok(answer) = tokio::time::timeout(FIRST_LOOK_LIMIT, asked).await {
            self.found = answer.ok();
            self.asked = None;
        }
    }

    /// What it found; `None`: it hangs, or could not be begun.
    fn found(&mut self) -> Option<&Filters> {
        if let Some(answer) = self.asked.as_mut().and_then(|asked| asked.try_recv().ok()) {
            self.found = Some(answer);
        }
        self.found.as_ref()
    }
}

/// What is watched while packets are admitted.
#[derive(Debug)]
pub(super) struct HostWatch {
    sources: Sources,
    /// Those that answered at the start.
    answered: Vec<SourceName>,
    /// Where OVN's southbound database is, if it answered.
    southbound: Option<Remote>,
    first: FirstLook,
    links: Option<LinkWatch>,
    /// How often the switch's rules had been hit when a port came, where it will be asked about them.
    rules: BTreeMap<PortId, RuleCounts>,
    /// What was wrong with each path at the end.
    problems_at_end: BTreeMap<PortId, Vec<Problem>>,
    silent_at_end: Vec<SourceName>,
    firewall: Option<Firewall>,
}

impl HostWatch {
    /// Begins to watch `paths`, which were found in `topology`.
    pub(super) fn begin(
        sources: Sources,
        paths: &[Path],
        topology: &Topology,
        first: FirstLook,
        note: NoteTo,
    ) -> Self {
        let links = LinkWatch::begin(&paths.iter().collect::<Vec<_>>())
            .inspect_err(|error| note(&Note::LinksUnwatched(error.to_string())))
            .ok();
        let answered = topology.sources.iter().filter(|source| source.missing.is_none());
        Self {
            sources,
            answered: answered.clone().map(|source| source.name).collect(),
            southbound: answered
                .filter(|source| source.name == SourceName::Southbound)
                .find_map(|source| source.asked.parse().ok()),
            first,
            links,
            rules: BTreeMap::new(),
            problems_at_end: BTreeMap::new(),
            silent_at_end: Vec::new(),
            firewall: None,
        }
    }

    /// Watches another path, too.
    pub(super) fn add(&self, path: &Path) {
        if let Some(links) = &self.links {
            links.add(path);
        }
    }

    /// Waits a little for the first look at the packet filters.
    pub(super) async fn wait_for_filters(&mut self) {
        self.first.wait().await;
    }

    /// Reads how often the rules of the path's switch have been hit. Where it can not be asked, that is said when it is asked
    /// about examples.
    pub(super) async fn count_rules(&mut self, port: PortId, path: &Path) {
        match RuleCounts::read(path).await {
            Ok(rules) => {
                self.rules.insert(port, rules);
            }
            Err(error) => log::info!("the rules' counters are not known: {error}"),
        }
    }

    /// What that gave.
    pub(super) fn rules(&self, port: PortId) -> Option<&RuleCounts> {
        self.rules.get(&port)
    }

    /// Where OVN says of what it made its rules.
    pub(super) const fn southbound(&self) -> Option<&Remote> {
        self.southbound.as_ref()
    }

    /// What is known of a port's path so far.
    pub(super) fn of_port(&self, port: PortId, path: &Path) -> HostReport {
        let changes = self.links.as_ref().map(LinkWatch::changes).unwrap_or_default();
        let is_there = |change: &LinkChange| path.steps.iter().any(|step| step.name() == change.ifname);
        HostReport {
            changes: changes.into_iter().filter(is_there).collect(),
            problems_at_end: self.problems_at_end.get(&port).cloned(),
            ..HostReport::default()
        }
    }

    /// Adds what is known of the host.
    pub(super) fn tell(&self, figures: &mut TraceFigures) {
        figures.firewall.clone_from(&self.firewall);
        figures.silent_at_end.clone_from(&self.silent_at_end);
    }

    /// Looks at the paths again, as they are when packets are no longer admitted.
    pub(super) async fn look_again(&mut self, paths: &BTreeMap<PortId, Path>) {
        let now = discover(&self.sources).await;
        // Where a source is missing now, that nothing is wrong by it says nothing.
        // OVN's database is no longer asked when the host's last port has gone.
        let is_needless = |name: SourceName| name == SourceName::Southbound && !now.asked(name);
        let silent = self.answered.iter().filter(|name| !now.answered(**name) && !is_needless(**name));
        self.silent_at_end = silent.copied().collect();
        if self.silent_at_end.is_empty() {
            let ports = path::ports(&now);
            let found = paths.iter().map(|(port, path)| (*port, problems(path, &now, &ports)));
            self.problems_at_end = found.collect();
        }
    }

    /// Reads the packet filters where packets of one of these ports have died in one.
    pub(super) async fn read_filters(&mut self, ports: impl Iterator<Item = (&Path, &Snapshot)>) {
        let by_filter = |drop: &Drop| {
            drop.reason.as_deref() == Some(BY_FILTER) || drop.location.as_deref().is_some_and(is_nf_queue)
        };
        let filtered = ports.filter(|(_, snapshot)| {
            let drops = Direction::ALL.iter().flat_map(|way| &snapshot.directions.get(*way).drops);
            drops.into_iter().any(by_filter)
        });
        let paths: Vec<&Path> = filtered.map(|(path, _)| path).collect();
        if paths.is_empty() {
            return;
        }
        let after = netfilter::look();
        let Ok(after) = tokio::time::timeout(LAST_LOOK_LIMIT, after).await else {
            let unread = vec!["the host's packet filters did not answer in time".to_owned()];
            self.firewall = Some(Firewall { rules: Vec::new(), unread });
            return;
        };
        let rules = netfilter::can_drop(self.first.found(), &after, &course(&paths));
        self.firewall = Some(Firewall { rules, unread: after.unread });
    }
}

/// What is sent to one VLAN does not come to another.
fn other_vlan(before: &Hop, now: &Hop) -> Option<Problem> {
    let named =
        |tag: Option<u16>| tag.map_or_else(|| "no VLAN tag".to_owned(), |tag| format!("VLAN tag {tag}"));
    // Without an answer of OVSDB neither bridge nor tag were known.
    let are_known = before.bridge.is_some() && now.bridge.is_some();
    (are_known && before.vlan_tag != now.vlan_tag).then(|| Problem {
        kind: ProblemKind::OtherVlan,
        at: now.ifname.clone(),
        what: format!("{} instead of {}", named(now.vlan_tag), named(before.vlan_tag)),
    })
}

/// What is wrong with the same port's path now, given all ports there are now.
fn problems(path: &Path, now: &Topology, ports: &[VmPort]) -> Vec<Problem> {
    let port = path.instance.port_id.clone().unwrap_or_else(|| path.instance.mac.to_string());
    match path::resolve(now, ports, &port).and_then(|port| path::path_of(now, &port)) {
        Ok(found) => {
            let moved = found
                .hops()
                .filter_map(|hop| path.hop_at(&hop.ifname).and_then(|before| other_vlan(before, hop)));
            let moved: Vec<_> = moved.collect();
            found.problems.into_iter().chain(moved).collect()
        }
        Err(error) => {
            let what = format!("its path is not found any more: {}", Printable(&error.to_string()));
            vec![Problem { kind: ProblemKind::Other, at: Path::GUEST.to_owned(), what }]
        }
    }
}

/// Which filters the paths' packets come by.
fn course(paths: &[&Path]) -> Course {
    let is_set = |file: String| fs::read_to_string(file).is_ok_and(|text| text.trim() == "1");
    let bridges = paths.iter().flat_map(|path| path.bridges());
    let bridges: Vec<_> =
        bridges.filter(|(_, kind)| **kind == BridgeKind::Linux).map(|(name, _)| name).collect();
    // For all bridges, or for one.
    let shown = |to: &str| {
        is_set(format!("/proc/sys/net/bridge/bridge-nf-call-{to}"))
            || bridges.iter().any(|bridge| is_set(format!("/sys/class/net/{bridge}/bridge/nf_call_{to}")))
    };
    // One that paths share, once.
    let interfaces: BTreeSet<String> =
        paths.iter().flat_map(|path| path.hops()).map(|hop| hop.ifname.clone()).collect();
    Course {
        interfaces: interfaces.into_iter().collect(),
        bridged_ip: shown("iptables"),
        bridged_ip6: shown("ip6tables"),
        bridged_arp: shown("arptables"),
    }
}
