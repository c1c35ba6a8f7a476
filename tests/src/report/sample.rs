//! That tests are told where a report lacks what they look at.

use serde_json::{Value, json};

use super::{DropsReport, Report};

fn explanation() -> Value {
    let rule = json!({
        "bridge": "br-int", "table": 0, "priority": 2, "cookie": "0x1", "matches": "udp", "actions": ["drop"],
    });
    json!({
        "bridge": "br-int", "packet": "udp", "rules": [rule], "assumed": "nothing", "datapath_actions": ["drop"],
        "leaves_by": [], "hits": 1,
    })
}

fn direction(more: &Value) -> Value {
    let latency = json!({"min": 1, "p50": 2, "p90": 2, "p99": 2, "p999": 3, "max": 3});
    let latencies = json!({"count": 1, "sample": null, "latency_ns": latency});
    let example = json!({"protocol": "udp", "len_bytes": 60, "destination_port": 9});
    let mut direction = json!({
        "ledger": {
            "entered": 2, "joined_midway": 0, "completed": 1, "elsewhere": 0, "unseen": 0, "by_switch": 0,
            "misdelivered": 0, "dropped": 1, "lost": 0, "merged": 0, "split": 0, "in_flight": 0, "evicted": 0,
            "late": 0, "ambiguous": 0, "copies": 0, "copy_dropped": 0, "untracked": 0, "unparsed": 0, "clock_skew": 0, "overtaken": 0,
            "ring_lost": 0, "balanced": true,
        },
        "drops": [{
            "after": "qvo", "reason": "x", "subsystem": "y", "location": "z+0x1", "count": 1, "cpus": [{"cpu": 0, "count": 1}],
            "first_ns": 1, "last_ns": 1, "bursts": {"count": 3, "longest_ns": 1, "every_ns": 2}, "example": example, "explain": explanation(), "advice": "look",
        }],
        "early_drops": [{"before": "tap", "reason": "x", "location": "z+0x1", "count": 1, "cpus": [{"cpu": 0, "count": 1}], "example": example}],
        "explain": explanation(),
    });
    if more.is_null() {
        return direction;
    }
    direction["segments"] = json!([{
        "from": "tap", "to": "qvb", "off_path": false, "count": 1, "sample": null, "latency_ns": latency, "fast_path": latencies,
        "slow_path": latencies,
    }]);
    direction["total"] = latencies.clone();
    direction["neighbour_total"] = latencies;
    direction["hooks"] = json!([{"hook": "tap", "seen": 2, "groups": 0}]);
    direction["slowest"] = json!([{
        "direction": "egress", "identity": "00000000000000ff", "source_port": 1, "destination_port": 9,
        "hops": [{"hook": "tap", "at_ns": 0}], "sampled": false, "slow": true,
    }]);
    direction
}

/// A report with all that tests look at, and nothing else: of a trace, or of drops alone.
fn sample(is_trace: bool) -> Value {
    let latency = json!({"min": 1, "p50": 2, "p90": 2, "p99": 2, "p999": 3, "max": 3});
    let latencies = json!({"count": 1, "sample": null, "latency_ns": latency});
    let more = if is_trace { json!(true) } else { Value::Null };
    let mut port = json!({
        "path": {
            "traceable": "partly", "why": "so",
            "instance": {"name": "i-1", "uuid": "u", "display_name": "vm-1", "mac": "m", "port_id": "p"},
        },
        "directions": {"egress": direction(&more), "ingress": direction(&more)},
    });
    let mut report = json!({
        "schema": "hoptrace.drops/2",
        "findings": [{"severity": "ok", "code": "c", "port": null, "where": "tap", "text": "t", "next": "n"}],
        "evidence": [{
            "source": "tap", "at": "tap0", "counter": "c", "count": 1, "of": 2, "about": "UDP", "shared": false,
            "meaning": "m",
        }],
        "notes": ["a note"],
        "drops_without_site": 0,
        "tracer": {"mechanism": "tcx", "missed_runs": 0, "map_bytes": 1, "hooks_cpu_pct": 0.5, "ns_per_sent": 1.5},
    });
    if is_trace {
        port["off_path"] = latencies.clone();
        port["guest"] = json!({
            "count": 1, "latency_ns": latency, "acknowledgements": latencies,
            "application": {"count": 1, "latency_ns": latency, "unclear": 0},
        });
        port["neighbours"] = json!([{
            "ifname": "qvo2", "place": "qvo2", "netns": "n", "received": 1, "copies": 0, "strays": 0, "sent": 1,
            "hooked": true,
        }]);
        report["upcalls"] = json!({"misses": 1, "traced": [1, 0], "unmarked": 0});
    }
    report["ports"] = json!([port]);
    report
}

/// Where each member of an object is, in `value` and below; `place` is where `value` is.
fn members(value: &Value, place: &str) -> Vec<(String, String)> {
    let inside = |key: String, child: &Value| members(child, &format!("{place}/{key}"));
    match value {
        Value::Object(object) => {
            let own = object.keys().map(|key| (place.to_owned(), key.clone()));
            own.chain(object.iter().flat_map(|(key, child)| inside(key.clone(), child))).collect()
        }
        Value::Array(list) => {
            list.iter().enumerate().flat_map(|(at, child)| inside(at.to_string(), child)).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn a_member_that_is_missing_is_an_error_and_one_that_is_new_is_not() {
    let read = |report: &Value, is_trace: bool| {
        let printed = report.to_string();
        if is_trace {
            Report::read(printed.as_bytes()).err()
        } else {
            DropsReport::read(printed.as_bytes()).err()
        }
    };
    for is_trace in [true, false] {
        let whole = sample(is_trace);
        let error = read(&whole, is_trace);
        assert!(error.is_none(), "{error:?}");
        for (place, name) in members(&whole, "") {
            let mut other = whole.clone();
            let object = other.pointer_mut(&place).and_then(Value::as_object_mut).unwrap();
            object.insert("of_tomorrow".to_owned(), Value::Null);
            assert!(read(&other, is_trace).is_none(), "something new in {place}");
            let object = other.pointer_mut(&place).and_then(Value::as_object_mut).unwrap();
            object.remove(&name);
            assert!(read(&other, is_trace).is_some(), "{place} without {name} is read");
        }
    }
    assert!(read(&sample(false), true).is_some(), "drops are no trace");
}

#[test]
fn parts_print_as_json_and_the_report_prints_all_that_there_was() {
    let mut json = sample(true);
    json["of_tomorrow"] = json!("new");
    let report = Report::read(json.to_string().as_bytes()).unwrap();
    assert!(report.to_string().contains(r#""of_tomorrow":"new""#), "{report}");
    let drop = report.egress().only_drop().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&drop.to_string()).unwrap(),
        json["ports"][0]["directions"]["egress"]["drops"][0]
    );
    assert!(format!("{:?}", report.egress().drops).contains(r#"[{"after":"qvo","#));
    // What both reports say is found in a trace's report, too.
    assert_eq!(
        (report.schema.as_str(), report.ingress().ledger.dropped, report.ingress().died()),
        ("hoptrace.drops/2", 1, 1)
    );
    assert_eq!((report.path.why(), report.first().unwrap().code.as_str()), (Some("so"), "c"));
}

#[test]
fn each_port_is_found_by_what_people_call_it() {
    let mut json = sample(true);
    let mut other = json["ports"][0].clone();
    let instance = &mut other["path"]["instance"];
    (instance["display_name"], instance["name"]) = (Value::Null, Value::Null);
    other["directions"]["egress"]["ledger"]["entered"] = json!(7);
    json["ports"].as_array_mut().unwrap().push(other);
    let each = Report::read_each(json.to_string().as_bytes()).unwrap();
    let found: Vec<_> = each.iter().map(|(name, report)| (&**name, report.egress().ledger.entered)).collect();
    assert_eq!(found, [("vm-1", 2), ("u", 7)]);
    assert_eq!((each[1].1.notes.len(), each[1].1.path.instance.mac.as_str()), (1, "m"));
}
