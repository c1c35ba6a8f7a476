//! The kernel's OVS datapath of a test VM: what it counts, and that it forgets.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, anyhow};

use super::Lab;
use crate::exec::run;

/// What the datapath says of its lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatapathCounts {
    /// Packets that found a flow.
    pub hit: u64,
    /// Packets that found none, and were given to user space.
    pub missed: u64,
    /// Upcalls that user space had no room for.
    pub lost: u64,
}

impl Lab {
    /// What the datapath has counted so far, all packets together.
    ///
    /// # Errors
    /// Where `ovs-vswitchd` does not answer.
    pub fn datapath_counts(&self) -> Result<DatapathCounts> {
        let said = run("ovs-appctl", &["dpctl/show"])?;
        let count = |name: &str| {
            said.split_whitespace()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix(':')?.parse().ok())
                .with_context(|| format!("no {name} in {said}"))
        };
        Ok(DatapathCounts { hit: count("hit")?, missed: count("missed")?, lost: count("lost")? })
    }

    /// Takes all flows from the datapath and from `ovs-vswitchd`: the next packet of each is a miss, and installs it anew.
    ///
    /// # Errors
    /// Where `ovs-vswitchd` does not answer.
    pub fn datapath_forget(&self) -> Result<()> {
        run("ovs-appctl", &["revalidator/purge"]).map(drop)
    }

    /// Takes all flows from the datapath behind the back of `ovs-vswitchd`, before `meanwhile` and again and again while it runs:
    /// so most packets of then are misses. Behind its back, because version 3.1 does not survive to be asked to forget them all the time.
    ///
    /// # Errors
    /// Where `ovs-vswitchd` does not answer, or `meanwhile` fails.
    pub fn datapath_without_flows<T>(&self, meanwhile: impl FnOnce() -> Result<T>) -> Result<T> {
        let take = || run("ovs-appctl", &["dpctl/del-flows"]);
        take()?;
        let goes_on = AtomicBool::new(true);
        let (done, taken) = thread::scope(|scope| {
            let taker = scope.spawn(|| {
                while goes_on.load(Ordering::SeqCst) {
                    take()?;
                }
                anyhow::Ok(())
            });
            let done = meanwhile();
            goes_on.store(false, Ordering::SeqCst);
            (done, taker.join())
        });
        taken.map_err(|_| anyhow!("the thread that takes flows away has panicked"))??;
        // It believes that they are there, and would install none.
        self.datapath_forget()?;
        done
    }

    /// Waits until `ovs-vswitchd` has compared its flows with the datapath's once more.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn datapath_revalidated(&self) -> Result<()> {
        run("ovs-appctl", &["revalidator/wait"]).map(drop)
    }
}
