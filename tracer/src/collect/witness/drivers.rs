//! Counters of the interfaces' drivers (`ethtool -S`), each driver with names of its own.

use std::{collections::BTreeSet, io, time::Duration};

use super::Counter;
use crate::{kernel::ethtool, model::EvidenceSource};

/// What a counter of packets that were not taken or not sent has in its name.
const ABOUT_DROPS: [&str; 12] = [
    "drop", "discard", "err", "miss", "overrun", "overflow", "no_buf", "nobuf", "no_desc", "fail", "timeout",
    "bad",
];

/// What the drivers of `interfaces` count of packets that were not taken or not sent.
pub(super) async fn look(interfaces: BTreeSet<String>, limit: Duration) -> io::Result<Vec<(Counter, u64)>> {
    // Drivers may ask their hardware, and wait for it.
    let answer = tokio::task::spawn_blocking(move || interfaces.iter().map(|ifname| of(ifname)).collect());
    let answer = tokio::time::timeout(limit, answer).await;
    let found: Vec<io::Result<Vec<_>>> = answer.map_err(|_| io::Error::other("no answer"))??;
    found.into_iter().collect::<io::Result<Vec<_>>>().map(|found| found.into_iter().flatten().collect())
}

fn of(ifname: &str) -> io::Result<Vec<(Counter, u64)>> {
    let about = ethtool::statistics(ifname)?.into_iter().filter(|(name, _)| is_about_drops(name));
    Ok(about.map(|(name, count)| ((EvidenceSource::Driver, ifname.to_owned(), name), count)).collect())
}

fn is_about_drops(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ABOUT_DROPS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counters_of_drivers_about_drops_are_known_by_their_names() {
        for name in [
            "rx_queue_0_drops",
            "rx_no_buffer_count",
            "rx_out_of_buffer_discards",
            "rx_missed_errors",
            "port.rx_crc_errors",
            "rx0_xdp_drops",
            "tx_timeout_count",
            "rx_nodesc_drop_cnt",
        ] {
            assert!(is_about_drops(name), "{name}");
        }
        for name in
            ["rx_queue_0_packets", "peer_ifindex", "tx_bytes", "tx_queue_1_xdp_xmit", "rx_csum_complete"]
        {
            assert!(!is_about_drops(name), "{name}");
        }
    }

    #[tokio::test]
    async fn an_interface_that_is_gone_has_none() {
        let found = look(["lo".to_owned(), "not-there".to_owned()].into(), Duration::from_secs(5)).await;
        assert_eq!(found.unwrap(), []);
    }
}
