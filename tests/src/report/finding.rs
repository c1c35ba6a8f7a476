//! What a person should know about a trace, and counters that say more.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::json::prints_as_json;

/// One thing that a person should know.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `critical`, `warning`, `ok` or `info`.
    pub severity: String,
    /// What kind of thing it is.
    pub code: String,
    /// The port that it is about, by its MAC address.
    #[serde(deserialize_with = "Option::deserialize")]
    pub port: Option<String>,
    /// What it is about.
    #[serde(rename = "where", deserialize_with = "Option::deserialize")]
    pub place: Option<String>,
    /// What is so.
    pub text: String,
    /// What to do next.
    #[serde(deserialize_with = "Option::deserialize")]
    pub next: Option<String>,
}

impl Finding {
    /// Its text contains these words.
    ///
    /// # Errors
    /// Where it does not.
    pub fn says(&self, words: &str) -> Result<()> {
        ensure!(self.text.contains(words), "no `{words}`: {self}");
        Ok(())
    }

    /// What to do next contains these words.
    ///
    /// # Errors
    /// Where it does not.
    pub fn suggests(&self, words: &str) -> Result<()> {
        ensure!(self.next.as_ref().is_some_and(|next| next.contains(words)), "no `{words}`: {self}");
        Ok(())
    }
}

/// A counter that rose, or a question without an answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who counted.
    pub source: String,
    /// The interface, datapath or daemon.
    pub at: String,
    /// The counter.
    pub counter: String,
    /// By how much it rose.
    pub count: u64,
    /// Out of so many.
    #[serde(deserialize_with = "Option::deserialize")]
    pub of: Option<u64>,
    /// What it was about.
    #[serde(deserialize_with = "Option::deserialize")]
    pub about: Option<String>,
    /// Whether packets of others count, too.
    pub shared: bool,
    /// What that means.
    pub meaning: String,
}

impl Evidence {
    /// Its meaning contains these words.
    ///
    /// # Errors
    /// Where it does not.
    pub fn means(&self, words: &str) -> Result<()> {
        ensure!(self.meaning.contains(words), "no `{words}`: {self}");
        Ok(())
    }
}

prints_as_json!(Finding, Evidence);
