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

/// Whose path it is.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The libvirt domain.
    #[serde(deserialize_with = "Option::deserialize")]
    pub name: Option<String>,
    /// The instance's UUID.
    #[serde(deserialize_with = "Option::deserialize")]
    pub uuid: Option<String>,
    /// Nova's name for it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub display_name: Option<String>,
    /// The port's MAC address.
    pub mac: String,
    /// The Neutron port, after which its interfaces are named.
    #[serde(deserialize_with = "Option::deserialize")]
    pub port_id: Option<String>,
}

impl Instance {
    /// What people call it: display name, else domain, else UUID, else MAC address.
    #[must_use]
    pub fn title(&self) -> &str {
        let names = [&self.display_name, &self.name, &self.uuid];
        names.into_iter().flatten().next().unwrap_or(&self.mac)
    }
}

/// The path of a port.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// How much of it can be traced.
    #[serde(flatten)]
    pub traceability: Traceability,
    /// Whose it is.
    pub instance: Instance,
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

prints_as_json!(Instance, Path);
