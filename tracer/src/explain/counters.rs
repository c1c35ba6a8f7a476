//! How often each rule of the path's bridges was hit (`bridge/dump-flows`).

use std::collections::HashMap;

use super::answer::short;
use crate::{
    model::{OpenFlowRule, Path},
    ovs::{Unixctl, UnixctlError},
};

/// The priority that is not told.
const DEFAULT_PRIORITY: u32 = 32_768;

/// A rule by its bridge, table, priority and matches.
type Key = (String, u32, u32, String);

/// The packets that rules have been hit by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleCounts(HashMap<Key, u64>);

impl RuleCounts {
    /// Reads those of all rules of the path's bridges.
    ///
    /// # Errors
    /// When `ovs-vswitchd` can not be asked, or waited for.
    pub async fn read(path: &Path) -> Result<Self, UnixctlError> {
        let mut switch = Unixctl::connect().await?;
        // A rule knows of the datapath's hits when these have been collected, about twice a second. With several datapaths
        // it cannot be waited for, and what is read is too little.
        switch.call("revalidator/wait", &[]).await?;
        let mut counts = HashMap::new();
        for (name, _) in path.bridges().filter(|(_, kind)| kind.is_ovs()) {
            let answer = switch.call("bridge/dump-flows", &[name]).await?;
            counts.extend(Self::of(name, &answer).0);
        }
        Ok(Self(counts))
    }

    /// Those of one bridge.
    pub(super) fn of(bridge: &str, answer: &str) -> Self {
        Self(answer.lines().filter_map(|line| flow(bridge, line)).collect())
    }

    /// By how much a rule's count has risen since `before`; one that was not there has risen from 0. `None`: it is not known,
    /// as of a table where no rule matched.
    pub(super) fn risen(&self, before: &Self, rule: &OpenFlowRule) -> Option<u64> {
        let key = (rule.bridge.clone(), rule.table, rule.priority?, rule.matches.clone());
        let (now, before) = (*self.0.get(&key)?, before.0.get(&key).copied().unwrap_or(0));
        // It was taken away and set anew.
        Some(now.checked_sub(before).unwrap_or(now))
    }
}

/// `table_id=70, duration=5s, n_packets=91, n_bytes=9, priority=10,ct_state=+inv+trk,ip,actions=drop`; table 0 is not told.
fn flow(bridge: &str, line: &str) -> Option<(Key, u64)> {
    let (mut table, mut packets, mut rest) = (0, None, line.trim());
    while let Some((word, behind)) = rest.split_once(", ") {
        let Some((name, value)) = word.split_once('=') else { break };
        match name {
            "table_id" => table = value.parse().ok()?,
            "n_packets" => packets = Some(value.parse().ok()?),
            "duration" | "n_bytes" | "n_offload_packets" | "n_offload_bytes" => {}
            _ => break,
        }
        rest = behind;
    }
    let rule = match rest.strip_prefix("actions=") {
        Some(_) => "",
        None => rest.split_once(",actions=").or_else(|| rest.split_once(" actions="))?.0,
    };
    let (priority, matches) = match rule.strip_prefix("priority=") {
        Some(rule) => {
            let (number, matches) = rule.split_once(',').unwrap_or((rule, ""));
            (number.parse().ok()?, matches)
        }
        None => (DEFAULT_PRIORITY, rule),
    };
    Some(((bridge.to_owned(), table, priority, short(matches)), packets?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(table: u32, priority: u32, matches: &str) -> OpenFlowRule {
        OpenFlowRule {
            bridge: "br-int".to_owned(),
            table,
            priority: Some(priority),
            cookie: None,
            matches: matches.to_owned(),
            actions: Vec::new(),
            logical: None,
        }
    }

    #[test]
    fn rules_are_found_by_what_they_match_and_only_what_rose_counts() {
        let read = |lines: &[&str]| RuleCounts::of("br-int", &lines.join("\n"));
        let before = read(&[
            "duration=5s, n_packets=10, n_bytes=980, priority=0,actions=NORMAL",
            "table_id=70, duration=5s, n_packets=2, n_bytes=9, priority=10,ct_state=+inv+trk,ip,actions=drop",
        ]);
        let after = read(&[
            "duration=6s, n_packets=10, n_bytes=980, priority=0,actions=NORMAL",
            "table_id=70, duration=6s, n_packets=93, n_bytes=9, priority=10,ct_state=+inv+trk,ip,actions=drop",
            "table_id=70, duration=1s, n_packets=4, n_bytes=9, udp,tp_dst=9,actions=set_field:1->reg0,drop",
            "nonsense",
        ]);
        assert_eq!(after.risen(&before, &rule(70, 10, "ct_state=+inv+trk,ip")), Some(91));
        assert_eq!(after.risen(&before, &rule(0, 0, "")), Some(0));
        assert_eq!(after.risen(&before, &rule(70, 32_768, "udp,tp_dst=9")), Some(4));
        assert_eq!(after.risen(&before, &rule(1, 1, "tcp")), None);
        assert_eq!(before.risen(&after, &rule(70, 10, "ct_state=+inv+trk,ip")), Some(2), "set anew");
    }
}
