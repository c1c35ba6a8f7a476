//! The list as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::schema::written;
use crate::model::{ListRow, SourceName, SourceStatus, StaleRow};

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
enum ListSchema {
    /// The first.
    #[serde(rename = "hoptrace.list/1")]
    V1,
}

/// What this host can trace.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Listing<'a> {
    /// Which version it is.
    schema: ListSchema,
    /// A member for each port, and for each instance without any.
    ports: &'a [ListRow],
    /// What VMs that are gone left in the switch.
    leftovers: &'a [StaleRow],
    /// Who was asked.
    sources: Vec<Source<'a>>,
}

/// A source of facts about the host.
#[derive(Debug, Serialize, JsonSchema)]
struct Source<'a> {
    /// Which source.
    name: SourceName,
    /// Where it was asked: a URI, a remote, a socket.
    asked: &'a str,
    /// Why nothing came of it; null when it answered.
    missing: Option<&'a str>,
}

/// One JSON object on one line, without a newline.
#[must_use]
pub fn list_json(rows: &[ListRow], leftovers: &[StaleRow], sources: &[SourceStatus]) -> String {
    fn source(source: &SourceStatus) -> Source<'_> {
        let SourceStatus { name, asked, missing, .. } = source;
        Source { name: *name, asked, missing: missing.as_deref() }
    }
    let sources = sources.iter().map(source).collect();
    written(&Listing { schema: ListSchema::V1, ports: rows, leftovers, sources })
}
