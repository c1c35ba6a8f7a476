//! The path of a port.

use serde::{Deserialize, Serialize};

use super::json::prints_as_json;

/// How much of a path can be traced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "traceable", rename_all = "lowercase")]
pub enum Traceability {
    /// All.
    #[default]
    Fully,
    /// A part.
    Partly {
        /// Why not all.
        why: String,
    },
    /// Nothing.
    No {
        /// Why not.
        why: String,
    },
}

/// The path of a port.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// How much of it can be traced.
    #[serde(flatten)]
    pub traceability: Traceability,
}

impl Path {
    /// Why not all of it can be traced.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match &self.traceability {
            Traceability::Fully => None,
            Traceability::Partly { why } | Traceability::No { why } => Some(why),
        }
    }
}

prints_as_json!(Path);
