//! Rendered traces against the schema, and the schema against broken objects.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{
    super::{
        Canvas, drops_text, findings_text,
        schema::schemas,
        trace_samples::{
            explanation, latencies, path, report, snapshot, with_drops, with_early_drops, with_evidence,
            with_share,
        },
        trace_text,
    },
    *,
};
use crate::model::{InstanceId, Snapshot, Step, SwitchPaths, Upcalls};

fn schema(name: &str) -> Value {
    let all = schemas();
    all.iter().find(|of| of.name == name).unwrap().schema.as_value().clone()
}

fn validator(name: &str) -> Validator {
    let schema = schema(name);
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

fn rendered(snapshot: &Snapshot) -> Value {
    let text = trace_json(&report(&path(), snapshot));
    assert!(text.starts_with("{\"schema\":\"hoptrace.trace/2\",\"findings\":[{\"severity\":"), "{text}");
    serde_json::from_str(&text).unwrap()
}

fn samples() -> Vec<Snapshot> {
    let mut odd = snapshot(1);
    odd.off_path = latencies(u64::MAX, u64::MAX);
    odd.tracer = TracerCost { runs_measured: u64::MAX, map_bytes: u64::MAX, ..TracerCost::default() };
    odd.directions.ingress.ledger = Ledger { entered: u64::MAX, ..Ledger::default() }.settled();
    vec![
        snapshot(1_000),
        snapshot(0),
        snapshot(u64::MAX),
        with_drops(),
        with_evidence(),
        with_early_drops(),
        with_share(),
        with_upcalls(),
        explained(),
        odd,
    ]
}

#[test]
fn drops_are_those_of_the_trace() {
    let validator = validator("drops");
    for snapshot in samples() {
        let text = drops_json(&report(&path(), &snapshot));
        assert!(text.starts_with("{\"schema\":\"hoptrace.drops/2\",\"findings\":[{\"severity\":"), "{text}");
        let object: Value = serde_json::from_str(&text).unwrap();
        assert_valid(&validator, &object);
        let trace = rendered(&snapshot);
        for part in ["findings", "evidence", "notes", "host", "settings", "duration_s", "tracer"] {
            assert_eq!(object[part], trace[part], "{part}");
        }
        for direction in ["egress", "ingress"] {
            for part in ["drops", "early_drops", "explain", "ledger"] {
                let of = |object: &Value| object["ports"][0]["directions"][direction][part].clone();
                assert_eq!(of(&object), of(&trace), "{direction} {part}");
            }
        }
    }
}

#[test]
fn what_is_read_back_says_the_same() {
    let canvas = Canvas { width: Some(120), colour: true };
    for snapshot in samples() {
        for live in [false, true] {
            let report = Report { live, ..report(&path(), &snapshot) };
            let read: Report = serde_json::from_str(&trace_json(&report)).unwrap();
            assert_eq!(read, report);
            assert_eq!(trace_text(&read, canvas), trace_text(&report, canvas));
            assert_eq!(drops_text(&read, canvas), drops_text(&report, canvas));
            assert_eq!(
                (drops_json(&read), findings_text(&read)),
                (drops_json(&report), findings_text(&report))
            );
        }
    }
}

#[test]
fn a_report_of_another_version_is_not_read() {
    let text = trace_json(&report(&path(), &snapshot(1)));
    assert!(serde_json::from_str::<Report>(&text.replace("trace/2", "trace/3")).is_err());
}

#[test]
fn evidence_has_a_meaning_and_is_no_part_of_the_ledger() {
    let object = rendered(&with_evidence());
    let first = &object["evidence"][0];
    assert_eq!((first["source"].as_str(), first["count"].as_u64()), (Some("datapath"), Some(312)));
    assert!(first["meaning"].as_str().unwrap().contains("upcall queue overflow"), "{first}");
    assert_eq!(object["ports"][0]["directions"], rendered(&with_drops())["ports"][0]["directions"]);
    assert_eq!(rendered(&with_drops())["evidence"], json!([]));
}

#[test]
fn what_died_before_the_first_hook_has_a_meaning_and_is_no_part_of_the_ledger() {
    let object = rendered(&with_early_drops());
    let egress = &object["ports"][0]["directions"]["egress"];
    let early = &egress["early_drops"][0];
    assert_eq!((early["before"].as_str(), early["count"].as_u64()), (Some("tap"), Some(137)));
    assert!(early["advice"].as_str().unwrap().contains("bpftool net show"), "{early}");
    assert_eq!(egress["ledger"], rendered(&with_drops())["ports"][0]["directions"]["egress"]["ledger"]);
}

#[track_caller]
fn assert_valid(validator: &Validator, object: &Value) {
    let errors: Vec<_> =
        validator.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn reports_keep_to_the_schema() {
    let validator = validator("trace");
    for snapshot in samples() {
        assert_valid(&validator, &rendered(&snapshot));
    }
}

/// Two packets that the switch explains.
fn explained() -> Snapshot {
    let mut snapshot = with_drops();
    snapshot.directions.egress.drops[1].explain = Some(explanation());
    snapshot.directions.ingress.explain = Some(explanation());
    snapshot
}

#[test]
fn what_the_switch_says_is_told_where_it_was_asked() {
    let object = rendered(&explained());
    let egress = &object["ports"][0]["directions"]["egress"];
    assert_eq!((&egress["explain"], &egress["drops"][0]["explain"]), (&Value::Null, &Value::Null));
    let rule = &egress["drops"][1]["explain"]["rules"][0];
    assert_eq!(
        (&rule["table"], &rule["priority"], &rule["cookie"]),
        (&json!(0), &json!(1_000), &json!("0x17"))
    );
    assert_eq!(object["ports"][0]["directions"]["ingress"]["explain"]["datapath_actions"], json!(["drop"]));
}

/// A packet of the slow path, and 41 of the fast one.
fn with_upcalls() -> Snapshot {
    let mut snapshot = snapshot(42);
    let paths = SwitchPaths { fast_path: Some(latencies(41, 900)), slow_path: Some(latencies(1, 90_000)) };
    snapshot.directions.egress.segments[2].paths = paths;
    snapshot.upcalls = Some(Upcalls { misses: 3, traced: [1, 0], ..Upcalls::default() });
    snapshot
}

#[test]
fn both_paths_of_a_switch_are_told() {
    let object = rendered(&with_upcalls());
    let segment = &object["ports"][0]["directions"]["egress"]["segments"][2];
    assert_eq!(
        (&segment["count"], &segment["fast_path"]["count"], &segment["slow_path"]["count"]),
        (&json!(42), &json!(41), &json!(1))
    );
    assert_eq!(object["ports"][0]["directions"]["egress"]["segments"][0]["slow_path"], Value::Null);
    assert_eq!((&object["upcalls"]["misses"], &object["upcalls"]["traced"]), (&json!(3), &json!([1, 0])));
}

#[test]
fn what_is_unknown_is_null() {
    let mut path = path();
    let mac = path.instance.mac;
    path.instance =
        InstanceId { name: None, uuid: None, display_name: None, mac, ips: Vec::new(), port_id: None };
    for step in &mut path.steps {
        if let Step::Interface(hop) = step {
            (hop.bridge, hop.vlan_tag) = (None, None);
        }
    }
    let snapshot = snapshot(0);
    let mut report = report(&path, &snapshot);
    report.settings.filter.clear();
    let text = trace_json(&report);
    assert!(!text.contains('\n'));
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_valid(&validator("trace"), &object);
    assert_eq!(object["ports"][0]["path"]["instance"]["name"], Value::Null);
    assert_eq!(object["settings"]["filter"], "");
    assert_eq!(object["upcalls"], Value::Null);
    let none = json!({"count": 0, "sample": null, "latency_ns": null});
    assert_eq!(object["ports"][0]["guest"]["acknowledgements"], none);
    assert_eq!(
        object["ports"][0]["guest"]["application"],
        json!({"count": 0, "sample": null, "latency_ns": null, "unclear": 0})
    );
    assert_eq!(object["ports"][0]["guest"]["latency_ns"], json!(null));
    assert_eq!(object["tracer"]["ns_per_hook"], Value::Null);
}

#[test]
fn figures_come_out_as_they_went_in() {
    let object = rendered(&with_drops());
    assert_eq!(object["schema"], "hoptrace.trace/2");
    assert_eq!(object["duration_s"], 5.04);
    assert_eq!(object["ports"][0]["path"]["steps"][3]["vlan_tag"], 1);
    let egress = &object["ports"][0]["directions"]["egress"];
    assert_eq!(
        (&egress["segments"][0]["from"], &egress["segments"][0]["to"]),
        (&json!("tap"), &json!("qvb"))
    );
    assert_eq!(egress["segments"][0]["latency_ns"]["p999"], 8_420);
    let first_ns = 12_345_123_456_789_u64;
    assert_eq!(
        egress["drops"][1],
        json!({
            "after": "qvb", "reason": null, "subsystem": null, "location": null, "count": 5, "cpus": [], "first_ns": first_ns,
            "last_ns": first_ns + 4_000_000, "bursts": null, "example": null, "explain": null, "advice": null
        })
    );
    assert_eq!(egress["drops"][2]["cpus"], json!([{"cpu": 3, "count": 1}]));
    let example = &egress["drops"][2]["example"];
    assert_eq!((&example["source_port"], &example["protocol"]), (&json!(4000), &json!("udp")));
    let advice = egress["drops"][2]["advice"].as_str().unwrap();
    assert!(advice.contains("tc -s qdisc show dev ens3"), "{advice}");
    assert_eq!((&egress["ledger"]["lost"], &egress["ledger"]["balanced"]), (&json!(5), &json!(true)));
    assert_eq!(rendered(&snapshot(u64::MAX))["ports"][0]["guest"]["count"], u64::MAX);
}

/// Every object of the report, by JSON pointer.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.push(at.to_owned());
            members.iter().for_each(|(key, member)| objects(member, &format!("{at}/{key}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| objects(item, &format!("{at}/{place}"), found));
        }
        _ => {}
    }
}

#[test]
fn an_object_with_a_member_too_few_is_rejected() {
    let mut whole = explained();
    let upcalls = with_upcalls();
    whole.upcalls = upcalls.upcalls;
    whole.directions.egress.segments[2] = upcalls.directions.egress.segments[2].clone();
    let (whole, validator) = (rendered(&whole), validator("trace"));
    let mut places = Vec::new();
    objects(&whole, "", &mut places);
    assert!(places.len() > 20);
    for place in &places {
        let members = whole.pointer(place).unwrap().as_object().unwrap();
        for key in members.keys() {
            let mut broken = whole.clone();
            broken.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(key);
            assert!(!validator.is_valid(&broken), "without {place}/{key}");
        }
    }
}

#[test]
fn wrong_values_are_rejected() {
    let (whole, validator) = (rendered(&with_drops()), validator("trace"));
    for (place, wrong) in [
        ("/schema", json!("hoptrace.trace/1")),
        ("/duration_s", json!(-1)),
        ("/ports/0/path/kind", json!("magic")),
        ("/ports/0/path/steps/0/role", json!("eth")),
        ("/ports/0/path/steps/3/vlan_tag", json!(4_096)),
        ("/ports/0/path/instance/mac", json!("fa:16:3e:21:1b")),
        ("/ports/0/path/instance/ips/0", json!("10.99.99")),
        ("/ports/0/directions/egress/segments/0/count", json!(-1)),
        ("/ports/0/directions/egress/segments/0/count", json!(1.5)),
        ("/ports/0/directions/egress/segments/0/count", json!("1")),
        ("/ports/0/directions/egress/ledger/balanced", json!(1)),
        ("/ports/0/guest/latency_ns/p50", json!(null)),
        ("/tracer/hooks", json!(null)),
    ] {
        let mut broken = whole.clone();
        *broken.pointer_mut(place).unwrap() = wrong.clone();
        assert!(!validator.is_valid(&broken), "{place} = {wrong}");
    }
}

#[test]
fn every_member_of_every_output_is_described_and_required() {
    fn check(schema: &Value, at: &str) {
        let Some(schema) = schema.as_object() else { return };
        if let Some(properties) = schema.get("properties").and_then(Value::as_object)
            && schema.get("type").is_some()
        {
            let required: Vec<_> = schema["required"].as_array().unwrap().iter().collect();
            for (key, member) in properties {
                let described = member["description"].is_string() || member["const"].is_string();
                assert!(described, "{at}/{key} has no description");
                assert!(required.contains(&&json!(key)), "{at}/{key} is not required");
            }
        }
        for (key, member) in schema {
            check(member, &format!("{at}/{key}"));
        }
    }
    for of in schemas() {
        check(of.schema.as_value(), of.name);
    }
}
