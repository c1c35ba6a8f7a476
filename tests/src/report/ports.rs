//! The only port of a report.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// The report of one port: what it says of the port (`path`, `directions`, `guest` …) stands beside what it says of the trace
/// (`findings`, `evidence`, `tracer` …).
pub(super) fn beside_the_trace(printed: &[u8]) -> Result<Value> {
    let mut report: Value = serde_json::from_slice(printed)
        .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(printed)))?;
    let members = report.as_object_mut().context("no object")?;
    let Some(Value::Array(mut ports)) = members.remove("ports") else { bail!("a report without ports") };
    ensure!(ports.len() == 1, "{} ports in a report of one", ports.len());
    let Some(Value::Object(port)) = ports.pop() else { bail!("a port that is no object") };
    for (name, value) in port {
        ensure!(members.insert(name.clone(), value).is_none(), "the trace and its port both have {name}");
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::beside_the_trace;

    #[test]
    fn the_only_port_stands_beside_the_trace() {
        let report = beside_the_trace(br#"{"findings":[],"ports":[{"guest":{"count":1}}]}"#).unwrap();
        assert_eq!((&report["guest"]["count"], &report["findings"]), (&1.into(), &serde_json::json!([])));
        for wrong in [
            r#"{"ports":[]}"#,
            r#"{"ports":[{},{}]}"#,
            r#"{"guest":1}"#,
            r#"{"guest":1,"ports":[{"guest":2}]}"#,
        ] {
            assert!(beside_the_trace(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
