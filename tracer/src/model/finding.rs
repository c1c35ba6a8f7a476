//! What a person should know about a trace, in words: made once, and rendered by every format.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MacAddr;

/// How bad it is; the worst is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Packets died, cannot get through, or the figures are not to be trusted.
    Critical,
    /// Something that may be why, or makes some figures doubtful.
    Warning,
    /// All is well.
    Ok,
    /// Good to know.
    Info,
}

/// One thing a person should know, with its evidence and the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is, for programs: `packets-died`. Does not change between versions.
    pub code: Cow<'static, str>,
    /// The port it is about, by its MAC address; `None`: all of the trace.
    pub port: Option<MacAddr>,
    /// The hook, interface, bridge, daemon or guest it is about; `None`: the trace as a whole.
    #[serde(rename = "where")]
    pub place: Option<String>,
    /// What is so, and what shows it: one line of plain text.
    pub text: String,
    /// What to do next; `None`: nothing, or it is not known.
    pub next: Option<String>,
}

impl Finding {
    /// A finding about the trace as a whole, without a next step.
    #[must_use]
    pub fn new(severity: Severity, code: &'static str, text: impl Into<String>) -> Self {
        let (code, text) = (Cow::Borrowed(code), text.into());
        Self { severity, code, port: None, place: None, text, next: None }
    }

    /// The same about a place.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// The same with what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}
