//! A path as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::schema::written;
use crate::model::Path;

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
}

/// One JSON object on one line, without a newline.
#[must_use]
pub fn path_json(path: &Path) -> String {
    written(&PathReport { schema: PathSchema::V2, path })
}
