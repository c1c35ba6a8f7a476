//! What `ovs-vswitchd` counts: packets that its own datapath lost, and its coverage counters of drops.
//!
//! Coverage is counted per thread, and each thread adds its counts to those that can be read about once a second.

use std::time::Duration;

use super::Counter;
use crate::{
    model::EvidenceSource,
    ovs::{CALL_TIME_LIMIT, Unixctl, UnixctlError},
};

/// The daemon, as evidence names it.
const DAEMON: &str = "ovs-vswitchd";
/// How the names of user-space datapaths begin.
const USER_DATAPATH: &str = "netdev@";

/// Asks within `limit`. `datapath`: whether a datapath of the daemon's own is on the path.
pub(super) async fn look(datapath: bool, limit: Duration) -> Result<Vec<(Counter, u64)>, UnixctlError> {
    let limit = limit.min(CALL_TIME_LIMIT);
    let asking = async {
        let mut daemon = Unixctl::connect().await?;
        // First: an idle daemon wakes by this, and its main thread adds what it has counted before it sleeps again.
        let shown = daemon.call("dpctl/show", &[]).await;
        let mut found = coverage(&daemon.call("coverage/show", &[]).await?);
        if datapath {
            found.extend(lost(&shown?));
        }
        Ok(found)
    };
    let slow = || UnixctlError::Slow { method: "coverage/show".to_owned(), limit };
    tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| Err(slow()))
}

/// The counters that are about packets that died: `datapath_drop_upcall_error  0.0/sec … total: 3`. One that is not
/// shown was never hit.
fn coverage(text: &str) -> Vec<(Counter, u64)> {
    let counter = |line: &str| {
        let name = line.split_whitespace().next()?;
        let total = line.rsplit_once("total:")?.1.trim().parse().ok()?;
        is_about_drops(name).then(|| ((EvidenceSource::Vswitchd, DAEMON.to_owned(), name.to_owned()), total))
    };
    text.lines().filter_map(counter).collect()
}

fn is_about_drops(name: &str) -> bool {
    name.contains("drop") || name == "dpif_execute_error"
}

/// The user-space datapaths' `lost`: a datapath's name stands by itself, and its counters below it.
fn lost(text: &str) -> Vec<(Counter, u64)> {
    let mut found = Vec::new();
    let mut datapath = None;
    for line in text.lines() {
        if !line.starts_with(char::is_whitespace) {
            datapath = line.strip_suffix(':').filter(|name| name.starts_with(USER_DATAPATH));
        }
        let count = line.trim_start().strip_prefix("lookups:").and_then(|counts| {
            counts.split_whitespace().find_map(|word| word.strip_prefix("lost:")?.parse().ok())
        });
        if let (Some(name), Some(count)) = (datapath, count) {
            found.push(((EvidenceSource::Datapath, name.to_owned(), "lost".to_owned()), count));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_drops_are_picked_out_of_the_others() {
        let text = "\
Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=f1ae3b36:
bridge_reconfigure         0.0/sec     0.117/sec        0.0019/sec   total: 7
datapath_drop_upcall_error   0.0/sec     0.000/sec        0.0000/sec   total: 3
drop_action_of_pipeline    0.0/sec     0.000/sec        0.0000/sec   total: 18446744073709551615
dpif_execute_error         0.0/sec     0.000/sec        0.0000/sec   total: 1
datapath_drop_meter        0.0/sec     0.000/sec        0.0000/sec   total: many
132 events never hit
";
        let found = coverage(text);
        let found: Vec<_> = found.iter().map(|((_, _, name), count)| (name.as_str(), *count)).collect();
        assert_eq!(
            found,
            [
                ("datapath_drop_upcall_error", 3),
                ("drop_action_of_pipeline", u64::MAX),
                ("dpif_execute_error", 1)
            ]
        );
        assert!(coverage("").is_empty());
    }

    #[test]
    fn only_the_daemon_s_own_datapaths_are_read_here() {
        let text = "\
netdev@ovs-netdev:
  lookups: hit:25 missed:63 lost:4
  flows: 0
  port 0: ovs-netdev (tap)
system@ovs-system:
  lookups: hit:1 missed:2 lost:9
  masks: hit:63 total:0 hit/pkt:0.72
";
        let found = lost(text);
        let found: Vec<_> =
            found.iter().map(|((_, at, name), count)| (at.as_str(), name.as_str(), *count)).collect();
        assert_eq!(found, [("netdev@ovs-netdev", "lost", 4)]);
        assert!(lost("").is_empty());
    }
}
