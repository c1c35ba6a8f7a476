//! Reads the host's own counters when packets begin to be admitted, and again at the end: what rose is evidence.
//!
//! A file per source. A source that cannot be asked is noted, and the others go on.

mod conntrack;
mod drivers;
mod interfaces;
mod links;
mod queues;
mod sockets;
mod vswitchd;

use std::{collections::BTreeMap, time::Duration};

use interfaces::Interfaces;
pub use links::LinkWatch;
use queues::{QueueCounts, Queues};

use crate::{
    model::{BridgeKind, Evidence, EvidenceSource, IfIndex, Interface, Path, Printable},
    ovs::{KernelDatapath, kernel_datapaths},
};

/// How long the first look may hold up the start of a trace. Only a daemon that hangs takes so long.
const FIRST_LOOK_LIMIT: Duration = Duration::from_millis(200);

/// A counter: who counts, where, and its name.
type Counter = (EvidenceSource, String, String);

/// The counters of one look, or why they could not be read, per source.
#[derive(Debug, Default)]
struct Look {
    counters: BTreeMap<Counter, u64>,
    /// Whether `ovs-vswitchd` answered: then a coverage counter that it did not show was never hit.
    vswitchd: bool,
    /// The disciplines of the NICs; `None` where they are not looked at, or could not be.
    queues: Option<QueueCounts>,
    failures: Vec<String>,
}

/// What the second look found.
#[derive(Debug, Default)]
pub struct Found {
    /// What rose.
    pub evidence: Vec<Evidence>,
    /// A line for each source that could not be asked.
    pub unasked: Vec<String>,
    /// How many packets of all VMs died at most between the last TC hook of a NIC with a wire hook and its driver, or still
    /// waited there. `None`: there is no such hook, or it is not known.
    pub nic_drops: Option<u64>,
}

/// What is looked at.
#[derive(Debug)]
pub struct Witness {
    interfaces: Interfaces,
    /// The interfaces on the paths, each with whether others use it, too.
    shared: BTreeMap<String, bool>,
    /// Their names.
    names: BTreeMap<IfIndex, String>,
    /// Whether a path leads through Open vSwitch's datapath in the kernel, and through the one in `ovs-vswitchd`.
    kernel_datapath: bool,
    user_datapath: bool,
    /// The NICs with a wire hook.
    nics: Vec<Interface>,
    before: Look,
}

impl Witness {
    /// Looks for the first time. `nics` are those with a wire hook.
    pub async fn begin(paths: &[&Path], nics: Vec<Interface>) -> Self {
        let bridges = || paths.iter().flat_map(|path| path.bridges());
        let switches = || bridges().map(|(_, kind)| kind).filter(|kind| kind.is_ovs());
        let hops = || paths.iter().flat_map(|path| path.hops());
        let names: BTreeMap<_, _> = hops().map(|hop| (hop.ifindex, hop.ifname.clone())).collect();
        let mut witness = Self {
            interfaces: Interfaces::new(names.iter().map(|(ifindex, ifname)| (*ifindex, ifname.clone()))),
            shared: hops().map(|hop| (hop.ifname.clone(), hop.facts.shared)).collect(),
            names,
            kernel_datapath: switches().any(|switch| !switch.is_userspace()),
            user_datapath: switches().any(BridgeKind::is_userspace),
            nics,
            before: Look::default(),
        };
        witness.before = witness.look(FIRST_LOOK_LIMIT).await;
        witness
    }

    /// Looks at the interfaces of another path from now on, too.
    pub async fn add(&mut self, path: &Path) {
        let new: Vec<_> = path.hops().filter(|hop| !self.shared.contains_key(&hop.ifname)).collect();
        let named = || new.iter().map(|hop| (hop.ifindex, hop.ifname.clone()));
        self.interfaces.add(named());
        self.names.extend(named());
        self.shared.extend(new.iter().map(|hop| (hop.ifname.clone(), hop.facts.shared)));
        let found = self.look(FIRST_LOOK_LIMIT).await;
        let is_new =
            |(source, at, _): &Counter| source.is_at_interface() && new.iter().any(|hop| hop.ifname == *at);
        self.before.counters.extend(found.counters.into_iter().filter(|(counter, _)| is_new(counter)));
    }

    /// Looks again.
    pub async fn end(&self) -> Found {
        let now = self.look(crate::ovs::CALL_TIME_LIMIT).await;
        let mut unasked = self.before.failures.clone();
        unasked
            .extend(now.failures.iter().filter(|failure| !self.before.failures.contains(failure)).cloned());
        Found { evidence: self.compared(&now), unasked, nic_drops: self.nic_drops(&now) }
    }

    async fn look(&self, limit: Duration) -> Look {
        let mut look = Look::default();
        look.take("the interfaces' counters", self.interfaces.look().await);
        let ifnames = self.shared.keys().cloned().collect();
        look.take(
            "the drivers' counters",
            drivers::look(ifnames, limit).await.map(|found| look.new_in(found)),
        );
        look.take("the counters of connection tracking", conntrack::look());
        if self.kernel_datapath {
            look.take("the datapath's counters", kernel_datapaths().map(|found| self.datapaths(&found)));
        }
        if self.user_datapath {
            look.take("what the switch's sockets lost", sockets::look(&self.names));
        }
        if !self.nics.is_empty() {
            let answer = Queues::of(&self.nics).look().await;
            look.queues = look.known("the queueing disciplines' counters", answer);
        }
        if self.kernel_datapath || self.user_datapath {
            let answer = vswitchd::look(self.user_datapath, limit).await;
            look.vswitchd = answer.is_ok();
            look.take("the switch's counters", answer);
        }
        look
    }

    /// Of the ports those of the path.
    fn datapaths(&self, found: &[KernelDatapath]) -> Vec<(Counter, u64)> {
        found
            .iter()
            .flat_map(|datapath| {
                let ports = datapath.ports.iter().filter(|port| self.shared.contains_key(&port.name));
                let ports = ports.filter_map(|port| {
                    let counter =
                        (EvidenceSource::DatapathPort, port.name.clone(), "failed upcalls".to_owned());
                    Some((counter, port.failed_upcalls?))
                });
                let lost = (EvidenceSource::Datapath, datapath.name.clone(), "lost".to_owned());
                ports.chain([(lost, datapath.lost)]).collect::<Vec<_>>()
            })
            .collect()
    }

    /// See [`Found::nic_drops`]. What the disciplines count and what the interfaces do may be the same packet twice.
    fn nic_drops(&self, now: &Look) -> Option<u64> {
        let mut most = now.queues.as_ref()?.since(self.before.queues.as_ref()?)?;
        for nic in &self.nics {
            let is_ours = |counter: &Counter| {
                let (source, at, name) = counter;
                *source == EvidenceSource::Interface && *at == nic.ifname && name.starts_with("tx_")
            };
            let mut known = false;
            for (counter, count) in now.counters.iter().filter(|(counter, _)| is_ours(counter)) {
                most = most.saturating_add(count.checked_sub(*self.before.counters.get(counter)?)?);
                known = true;
            }
            if !known {
                return None;
            }
        }
        Some(most)
    }

    fn compared(&self, now: &Look) -> Vec<Evidence> {
        let rose = |(counter, count): (&Counter, &u64)| {
            let (source, at, name) = counter.clone();
            let never_hit = source == EvidenceSource::Vswitchd && self.before.vswitchd;
            let before = self.before.counters.get(counter).copied().or(never_hit.then_some(0))?;
            let shared = self.shared.get(&at).copied().unwrap_or(true);
            Some(Evidence {
                source,
                at,
                counter: name,
                count: count.checked_sub(before)?,
                of: None,
                about: (source == EvidenceSource::Conntrack).then(conntrack::fill).flatten(),
                shared,
                meaning: String::new(),
            })
        };
        conntrack::told_once(now.counters.iter().filter_map(rose).collect())
    }
}

impl Look {
    fn take<E: std::fmt::Display>(&mut self, what: &str, found: Result<Vec<(Counter, u64)>, E>) {
        let found = self.known(what, found);
        self.counters.extend(found.into_iter().flatten());
    }

    /// Of what drivers count those counters that the kernel does not show for the interface under the same name.
    fn new_in(&self, found: Vec<(Counter, u64)>) -> Vec<(Counter, u64)> {
        let is_new = |(counter, _): &(Counter, u64)| {
            let (_, at, name) = counter;
            !self.counters.contains_key(&(EvidenceSource::Interface, at.clone(), name.clone()))
        };
        found.into_iter().filter(is_new).collect()
    }

    /// What was found; a failure is noted.
    fn known<T, E: std::fmt::Display>(&mut self, what: &str, found: Result<T, E>) -> Option<T> {
        let note = |error: E| format!("{what} are not known: {}", Printable(&error.to_string()));
        found.map_err(|error| self.failures.push(note(error))).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ovs::DatapathPort;

    fn witness() -> Witness {
        Witness {
            interfaces: Interfaces::new([].into_iter()),
            shared: [("qvo".to_owned(), false), ("ens3".to_owned(), true)].into(),
            names: BTreeMap::new(),
            kernel_datapath: true,
            user_datapath: false,
            nics: vec![Interface { ifname: "ens3".to_owned(), ifindex: IfIndex(3) }],
            before: Look::default(),
        }
    }

    fn look(witness: &Witness, lost: u64, qvo: Option<u64>, nic: Option<u64>) -> Look {
        let ports = [("qvo", qvo), ("ens3", nic), ("other", Some(lost))]
            .map(|(name, failed_upcalls)| DatapathPort { name: name.to_owned(), failed_upcalls });
        let found =
            [KernelDatapath { name: "ovs-system".to_owned(), missed: 9, lost, ports: ports.to_vec() }];
        let mut look = Look::default();
        look.take("them", Ok::<_, std::io::Error>(witness.datapaths(&found)));
        look
    }

    #[test]
    fn what_rose_is_evidence_and_nothing_else_is() {
        let mut witness = witness();
        witness.before = look(&witness, 10, Some(3), Some(5));
        let found = witness.compared(&look(&witness, 17, Some(3), Some(6)));
        let found: Vec<_> =
            found.iter().map(|it| (it.at.as_str(), it.counter.as_str(), it.count, it.shared)).collect();
        assert_eq!(found, [("ovs-system", "lost", 7, true), ("ens3", "failed upcalls", 1, true)]);
        assert!(witness.compared(&look(&witness, 10, None, None)).is_empty());
        // A counter that began anew says nothing.
        assert!(witness.compared(&look(&witness, 2, Some(0), Some(5))).is_empty());
    }

    #[test]
    fn what_may_have_died_at_the_nic_is_what_it_counts_of_packets_sent() {
        let look = |queued, dropped: &[(&str, u64)]| {
            let counter = |(name, count): &(&str, u64)| {
                ((EvidenceSource::Interface, "ens3".to_owned(), (*name).to_owned()), *count)
            };
            Look { queues: queued, counters: dropped.iter().map(counter).collect(), ..Look::default() }
        };
        let queued = |drops, waiting| Some(QueueCounts::with(&[(1, drops)], waiting));
        let mut witness = witness();
        witness.before = look(queued(10, 4), &[("tx_dropped", 1), ("tx_errors", 0), ("rx_dropped", 7)]);
        let now = |queued| look(queued, &[("tx_dropped", 3), ("tx_errors", 1), ("rx_dropped", 90)]);
        assert_eq!(witness.nic_drops(&now(queued(15, 2))), Some(5 + 2 + 3));
        // Nothing is known where one of them is not, or began anew.
        assert_eq!(witness.nic_drops(&now(None)), None);
        assert_eq!(witness.nic_drops(&now(queued(9, 0))), None);
        assert_eq!(witness.nic_drops(&look(queued(10, 0), &[("rx_dropped", 7)])), None);
        assert_eq!(witness.nic_drops(&look(queued(10, 0), &[("tx_dropped", 0)])), None);
    }

    #[test]
    fn a_coverage_counter_that_was_not_shown_before_was_zero_if_the_daemon_answered() {
        let mut witness = witness();
        let mut now = Look::default();
        let counter = (EvidenceSource::Vswitchd, "ovs-vswitchd".to_owned(), "datapath_drop_meter".to_owned());
        now.counters.insert(counter, 4);
        assert!(witness.compared(&now).is_empty());
        witness.before.vswitchd = true;
        assert_eq!(witness.compared(&now).iter().map(|it| it.count).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn what_was_not_known_before_is_no_evidence() {
        let mut witness = witness();
        witness.before.take("them", Err::<Vec<_>, _>(std::io::Error::other("no\u{1b}[2J")));
        assert!(witness.compared(&look(&witness, 17, Some(3), Some(6))).is_empty());
        assert_eq!(witness.before.failures, ["them are not known: no\\u{1b}[2J"]);
    }
}
