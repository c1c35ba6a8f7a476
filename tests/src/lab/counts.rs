//! What the kernel itself counts at the interfaces of the path: the second witness of a flood.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

/// How long packets may take to an interface.
const PATIENCE: Duration = Duration::from_secs(20);

/// Counters of one interface, from `/sys/class/net/…/statistics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InterfaceCounts {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets for which there was no room on arrival.
    pub rx_dropped: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets that could not be sent.
    pub tx_dropped: u64,
}

impl InterfaceCounts {
    /// Reads the counters of an interface on the host's side of the lab.
    ///
    /// # Errors
    /// Where there is no such interface.
    pub fn of(interface: &str) -> Result<Self> {
        let read = |name: &str| {
            let path = format!("/sys/class/net/{interface}/statistics/{name}");
            let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
            text.trim().parse::<u64>().with_context(|| format!("{path}: {text:?}"))
        };
        Ok(Self {
            rx_packets: read("rx_packets")?,
            rx_dropped: read("rx_dropped")?,
            tx_packets: read("tx_packets")?,
            tx_dropped: read("tx_dropped")?,
        })
    }

    /// Waits until the interface has received so many packets since it counted `self`.
    ///
    /// # Errors
    /// When they do not come.
    pub fn wait_for_received(&self, interface: &str, packets: u64) -> Result<()> {
        self.wait_for(interface, packets, |counts| counts.rx_packets)
    }

    /// Waits until the interface has sent so many packets since it counted `self`.
    ///
    /// # Errors
    /// When they do not come.
    pub fn wait_for_sent(&self, interface: &str, packets: u64) -> Result<()> {
        self.wait_for(interface, packets, |counts| counts.tx_packets)
    }

    /// The kernel tells nobody when it has counted one.
    fn wait_for(&self, interface: &str, packets: u64, count: fn(&Self) -> u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counted = count(&Self::of(interface)?.since(self));
            if counted >= packets {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{counted} of {packets} came to {interface}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What was counted since `before`.
    #[must_use]
    pub const fn since(&self, before: &Self) -> Self {
        Self {
            rx_packets: self.rx_packets - before.rx_packets,
            rx_dropped: self.rx_dropped - before.rx_dropped,
            tx_packets: self.tx_packets - before.tx_packets,
            tx_dropped: self.tx_dropped - before.tx_dropped,
        }
    }
}
