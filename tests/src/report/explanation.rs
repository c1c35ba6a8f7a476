//! What the switch's rules do with a packet.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::json::prints_as_json;

/// A rule that a packet hits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its bridge.
    pub bridge: String,
    /// Its table.
    pub table: u64,
    /// Its priority; none: the table has no rule for it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub priority: Option<u64>,
    /// Its cookie.
    #[serde(deserialize_with = "Option::deserialize")]
    pub cookie: Option<String>,
    /// What it matches.
    pub matches: String,
    /// What it does.
    pub actions: Vec<String>,
}

/// What the switch's rules do with a packet.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The bridge that was asked.
    pub bridge: String,
    /// The packet, in Open vSwitch's words.
    pub packet: String,
    /// The rules that it hits.
    pub rules: Vec<Rule>,
    /// What was assumed of connection tracking.
    #[serde(deserialize_with = "Option::deserialize")]
    pub assumed: Option<String>,
    /// What the datapath does with it.
    pub datapath_actions: Vec<String>,
    /// The ports by which it leaves.
    #[serde(deserialize_with = "Option::deserialize")]
    pub leaves_by: Option<Vec<String>>,
    /// How often the last rule was hit meanwhile.
    #[serde(deserialize_with = "Option::deserialize")]
    pub hits: Option<u64>,
}

impl Explanation {
    /// The last rule that it hits.
    ///
    /// # Errors
    /// Where it hits none.
    pub fn last(&self) -> Result<&Rule> {
        self.rules.last().with_context(|| format!("no rule is hit: {self}"))
    }
}

prints_as_json!(Rule, Explanation);
