//! The list as JSON.

use serde_json::{Value, json};

use crate::model::{ListRow, SourceStatus};

/// `{schema:"hoptrace.list/1", ports:[…], sources:[{name, asked, missing}]}`; see [`ListRow`] for a port.
#[must_use]
pub fn list_json(rows: &[ListRow], sources: &[SourceStatus]) -> Value {
    let sources: Vec<_> = sources
        .iter()
        .map(|source| json!({"name": source.name, "asked": source.asked, "missing": source.missing}))
        .collect();
    json!({"schema": "hoptrace.list/1", "ports": rows, "sources": sources})
}
