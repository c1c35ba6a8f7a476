//! Which flow of OVN's logical network a rule was made of: its controller makes the rule's cookie of the first 32 bits of the flow's UUID.
//!
//! The southbound database has hundreds of thousands of such flows, and no index by a part of a UUID: it is asked which there are of the
//! rule's priority, and then for the one.

use serde_json::{Value, json};

use super::answer::short;
use crate::{
    model::{LogicalFlow, OpenFlowRule},
    ovs::{CALL_TIME_LIMIT, Client, OvsError, Remote},
};

/// The flow that `rule` was made of, as the database at `remote` has it; `None`: of none.
///
/// # Errors
/// One line, when the database does not answer.
pub(super) async fn flow_of(remote: &Remote, rule: &OpenFlowRule) -> Result<Option<LogicalFlow>, String> {
    let start = rule.cookie.as_deref().and_then(start_of_uuid);
    let Some((start, priority)) = start.zip(rule.priority) else { return Ok(None) };
    let answer = async {
        let mut client = Client::connect(remote).await?;
        let all = select(&mut client, &json!(["priority", "==", priority]), &["_uuid"]).await?;
        let Some(uuid) = all.iter().find_map(|row| uuid(row).filter(|uuid| uuid.starts_with(&start))) else {
            return Ok(None);
        };
        let columns = ["match", "actions", "external_ids"];
        let found = select(&mut client, &json!(["_uuid", "==", ["uuid", uuid]]), &columns).await?;
        Ok(found.first().and_then(flow))
    };
    match tokio::time::timeout(CALL_TIME_LIMIT, answer).await {
        Ok(answer) => answer.map_err(|error: OvsError| error.to_string()),
        Err(_) => Err(format!("{remote}: no answer within {CALL_TIME_LIMIT:?}")),
    }
}

/// These columns of the logical flows that meet a condition.
async fn select(client: &mut Client, condition: &Value, columns: &[&str]) -> Result<Vec<Value>, OvsError> {
    let select = json!({"op": "select", "table": "Logical_Flow", "where": [condition], "columns": columns});
    let answer = client.call("transact", json!(["OVN_Southbound", select])).await?;
    let rows = answer.pointer("/0/rows").and_then(Value::as_array);
    rows.cloned().ok_or_else(|| OvsError::Shape("the reply to a select has no rows".to_owned()))
}

fn uuid(row: &Value) -> Option<&str> {
    row.pointer("/_uuid/1")?.as_str()
}

/// `0xd9d842bb` is the start of a UUID, `0x1d9d842bb` of none.
fn start_of_uuid(cookie: &str) -> Option<String> {
    let number = u32::from_str_radix(cookie.strip_prefix("0x")?, 16).ok()?;
    Some(format!("{number:08x}"))
}

/// The flow of a row.
fn flow(row: &Value) -> Option<LogicalFlow> {
    let text = |column: &str| row.get(column).and_then(Value::as_str).map(|text| short(text.trim()));
    let external = |key: &str| {
        let pairs = row.pointer("/external_ids/1").and_then(Value::as_array)?;
        let mut pairs = pairs.iter().filter_map(Value::as_array);
        let value = pairs.find_map(|pair| pair.get(1).filter(|_| pair.first() == Some(&json!(key))))?;
        value.as_str().map(short)
    };
    Some(LogicalFlow {
        stage: external("stage-name"),
        matches: text("match")?,
        actions: text("actions")?,
        hint: external("stage-hint"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_the_start_of_a_uuid() {
        assert_eq!(start_of_uuid("0xd9d842bb").as_deref(), Some("d9d842bb"));
        assert_eq!(start_of_uuid("0x17").as_deref(), Some("00000017"));
        for other in ["0x1d9d842bb", "d9d842bb", "0x", "0xg"] {
            assert_eq!(start_of_uuid(other), None, "{other}");
        }
    }

    #[test]
    fn a_row_is_a_flow() {
        let row = json!({
            "match": "udp.dst == 9 ",
            "actions": "/* drop */",
            "external_ids": ["map", [["source", "northd.c:1"], ["stage-hint", "1a2b3c4d"], ["stage-name", "ls_out_acl"]]],
        });
        let found = flow(&row).unwrap();
        assert_eq!((found.matches.as_str(), found.actions.as_str()), ("udp.dst == 9", "/* drop */"));
        let named = (found.stage.as_deref(), found.hint.as_deref());
        assert_eq!(named, (Some("ls_out_acl"), Some("1a2b3c4d")));
        assert_eq!(uuid(&json!({"_uuid": ["uuid", "d9d842bb-6b4b"]})), Some("d9d842bb-6b4b"));
        for odd in [json!(null), json!([]), json!({"match": 7}), json!({"match": "ip", "external_ids": []})] {
            assert_eq!((flow(&odd), uuid(&odd)), (None, None), "{odd}");
        }
    }
}
