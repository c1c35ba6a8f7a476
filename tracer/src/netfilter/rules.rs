//! Rules of all filters in one shape.

/// A rule, as far as it matters whether it can drop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rule {
    /// How its program writes it, or its number.
    pub(super) text: String,
    /// Packets that hit it; `None`: it does not count.
    pub(super) packets: Option<u64>,
    /// Whether it can drop, refuse, or give to user space.
    pub(super) drops: bool,
    /// Chains that it goes on to.
    pub(super) calls: Vec<String>,
}

/// Where the kernel calls a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hook {
    /// `prerouting`, `forward` …, in lower case.
    pub(super) name: String,
    /// Of those at interfaces: which.
    pub(super) devices: Vec<String>,
    /// Whether what no rule takes is dropped.
    pub(super) policy_drops: bool,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    /// Whose it is: `nft`, `iptables`, `ip6tables` or `ebtables`, the last three with `-legacy` where the rules are not nftables'.
    pub(super) program: &'static str,
    /// `bridge`, `ip`, `ip6`, `inet`, `arp` or `netdev`.
    pub(super) family: String,
    pub(super) table: String,
    pub(super) name: String,
    /// `None`: other chains call it.
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Rule>,
}

impl Chain {
    /// Whether a chain is in the same table.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.program == other.program && self.family == other.family && self.table == other.table
    }
}

#[cfg(test)]
impl Rule {
    pub(super) fn new(text: &str, packets: Option<u64>, drops: bool, calls: &[&str]) -> Self {
        Self {
            text: text.to_owned(),
            packets,
            drops,
            calls: calls.iter().map(|chain| (*chain).to_owned()).collect(),
        }
    }
}
