//! What the host's packet filters (nftables, iptables, ebtables) can drop.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule, or a chain's policy, that can drop packets of the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirewallRule {
    /// Whose rules they are: `nft`, `iptables`, `ip6tables`, `ebtables`.
    pub program: Cow<'static, str>,
    /// The family, `bridge`, `ip`, `ip6`, `inet`, `arp` or `netdev`.
    pub family: String,
    /// The table.
    pub table: String,
    /// The chains that lead there, from the one at the kernel's hook to the one that drops.
    pub chains: Vec<String>,
    /// The rule, as its owner names or writes it; `None`: the chain's policy.
    pub rule: Option<String>,
    /// By how much its counter rose meanwhile; `None`: it has none, or it was not read before.
    pub rose: Option<u64>,
    /// Counters were set to zero meanwhile: it rose by as much at least.
    pub at_least: bool,
}

/// What was read of the filters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Firewall {
    /// What can drop at a place that the path's packets come by; those that cannot have been hit are left out.
    pub rules: Vec<FirewallRule>,
    /// What could not be read, a line each.
    pub unread: Vec<String>,
}
