//! Reads the host's own counters when packets begin to be admitted, and again at the end: what rose is evidence.
//!
//! A file per source. A source that cannot be asked is noted, and the others go on.

mod interfaces;
mod vswitchd;

use std::{collections::BTreeMap, time::Duration};

use interfaces::Interfaces;

use crate::{
    model::{BridgeKind, Evidence, EvidenceSource, Node, Path, Printable, Role},
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
    failures: Vec<String>,
}

/// What is looked at.
#[derive(Debug)]
pub struct Witness {
    interfaces: Interfaces,
    /// The interfaces on the path, each with whether others use it, too.
    shared: BTreeMap<String, bool>,
    /// Whether the path leads through Open vSwitch's datapath in the kernel, and through the one in `ovs-vswitchd`.
    kernel_datapath: bool,
    user_datapath: bool,
    before: Look,
}

impl Witness {
    /// Looks for the first time.
    pub async fn begin(path: &Path) -> Self {
        let is_user = |node: &Node| match node {
            Node::Bridge { kind: BridgeKind::Ovs { datapath, .. }, .. } => Some(datapath == "netdev"),
            _ => None,
        };
        let mut witness = Self {
            interfaces: Interfaces::new(path.hops.iter().map(|hop| hop.ifindex)),
            shared: path.hops.iter().map(|hop| (hop.ifname.clone(), hop.role == Role::Nic)).collect(),
            kernel_datapath: path.nodes.iter().filter_map(is_user).any(|user| !user),
            user_datapath: path.nodes.iter().filter_map(is_user).any(|user| user),
            before: Look::default(),
        };
        witness.before = witness.look(FIRST_LOOK_LIMIT).await;
        witness
    }

    /// Looks again: what rose, and a line for each source that could not be asked.
    pub async fn end(&self) -> (Vec<Evidence>, Vec<String>) {
        let now = self.look(crate::ovs::CALL_TIME_LIMIT).await;
        let mut failures = self.before.failures.clone();
        failures
            .extend(now.failures.iter().filter(|failure| !self.before.failures.contains(failure)).cloned());
        (self.compared(&now), failures)
    }

    async fn look(&self, limit: Duration) -> Look {
        let mut look = Look::default();
        look.take("the interfaces' counters", self.interfaces.look().await);
        if self.kernel_datapath {
            look.take("the datapath's counters", kernel_datapaths().map(|found| self.datapaths(&found)));
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
                about: None,
                shared,
            })
        };
        now.counters.iter().filter_map(rose).filter(|evidence| evidence.count > 0).collect()
    }
}

impl Look {
    fn take<E: std::fmt::Display>(&mut self, what: &str, found: Result<Vec<(Counter, u64)>, E>) {
        match found {
            Ok(found) => self.counters.extend(found),
            Err(error) => {
                self.failures.push(format!("{what} are not known: {}", Printable(&error.to_string())));
            }
        }
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
            kernel_datapath: true,
            user_datapath: false,
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
