//! The ports of a report, each with what the report says of the trace.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// When packets were admitted: a port may come later than the trace began. Beside the trace it is the port's.
const TIMES: [&str; 2] = ["began_ns", "duration_s"];

/// The report of one port: what it says of the port (`path`, `directions`, `guest` …) stands beside what it says of the trace
/// (`findings`, `evidence`, `tracer` …).
pub(super) fn beside_the_trace(printed: &[u8]) -> Result<Value> {
    let mut reports = each_beside_the_trace(printed)?;
    ensure!(reports.len() == 1, "{} ports in a report of one", reports.len());
    reports.pop().context("no port")
}

/// The same for each port of a trace, in their order.
pub(super) fn each_beside_the_trace(printed: &[u8]) -> Result<Vec<Value>> {
    let mut report: Value = serde_json::from_slice(printed)
        .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(printed)))?;
    let trace = report.as_object_mut().context("no object")?;
    let Some(Value::Array(ports)) = trace.remove("ports") else { bail!("a report without ports") };
    let beside = |port| {
        let Value::Object(port) = port else { bail!("a port that is no object") };
        let mut members = trace.clone();
        for (name, value) in port {
            let of_trace = members.insert(name.clone(), value);
            ensure!(
                of_trace.is_none() || TIMES.contains(&name.as_str()),
                "the trace and its port both have {name}"
            );
        }
        Ok(Value::Object(members))
    };
    ports.into_iter().map(beside).collect()
}

#[cfg(test)]
mod tests {
    use super::{beside_the_trace, each_beside_the_trace};

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

    #[test]
    fn each_of_several_ports_stands_beside_the_trace() {
        let each = each_beside_the_trace(br#"{"notes":["a"],"ports":[{"guest":1},{"guest":2}]}"#).unwrap();
        let wanted = [1, 2].map(|guest| serde_json::json!({"notes": ["a"], "guest": guest}));
        assert_eq!(each, wanted);
    }
}
