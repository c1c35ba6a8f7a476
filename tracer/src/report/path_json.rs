//! A path as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::schema::written;
use crate::model::{Path, Prediction};

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
enum PathSchema {
    /// The second.
    #[serde(rename = "hoptrace.path/2")]
    V2,
}

/// The packet path of one port, and what is wrong on it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PathReport<'a> {
    /// Which version it is.
    schema: PathSchema,
    #[serde(flatten)]
    path: &'a Path,
    /// What would become of the packet of `--flow`; `None`: none was asked about.
    prediction: Option<&'a Prediction>,
}

/// One JSON object on one line, without a newline. `prediction`: what would become of a packet, if that was asked.
#[must_use]
pub fn path_json(path: &Path, prediction: Option<&Prediction>) -> String {
    written(&PathReport { schema: PathSchema::V2, path, prediction })
}
