//! The drawing, and the other formats of the same path.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{super::*, *};
use crate::{
    model::{Direction, Fate, InstanceId, PredictedPort, Prediction, Problem, ProblemKind},
    path::testing::hybrid_path,
    report::trace_samples::explanation,
};

fn path() -> Path {
    let ovs = BridgeKind::Ovs { datapath: "system".to_owned(), fail_mode: Some("secure".to_owned()) };
    let names = [("tap1", 13), ("qvb1", 11), ("qvo1", 12), ("ens3", 2)];
    let path = hybrid_path(names, "qbr1", &ovs);
    Path {
        instance: InstanceId {
            name: Some("instance-00000025".to_owned()),
            uuid: Some("9c45fce8".to_owned()),
            display_name: Some("vm\x1b[2J\"<b>".to_owned()),
            mac: path.instance.mac,
            ips: vec!["10.99.99.111".parse().unwrap()],
            port_id: Some("c3d70d5c".to_owned()),
        },
        network: Some("flat on physnet1".to_owned()),
        problems: vec![Problem {
            kind: ProblemKind::Down,
            at: "ens3".to_owned(),
            what: "it is down".to_owned(),
        }],
        ..path
    }
}

#[test]
fn the_drawing_goes_from_the_guest_to_the_wire() {
    let text = path_text(&path(), Canvas::PLAIN);
    let order = [
        "guest",
        "tap1",
        "qbr1",
        "qvb1",
        "veth pair",
        "qvo1",
        "VLAN 1",
        "br-int",
        "int-br-ex",
        "phy-br-ex",
        "br-ex",
        "ens3",
        "✘ it is down",
        "wire",
        "traceable",
        "8 hooks",
    ];
    let mut rest = text.as_str();
    for word in order {
        let at = rest.find(word).unwrap_or_else(|| panic!("no {word} in order in\n{text}"));
        rest = &rest[at..];
    }
    assert!(text.lines().all(|line| columns(line) <= 100), "{text}");
    assert!(!text.contains('\x1b') && text.ends_with('\n'));
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = path_text(&path(), Canvas { width: None, colour: true });
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + rest[at..].find('m').unwrap() + 1..];
    }
    plain.push_str(rest);
    assert_eq!(plain, path_text(&path(), Canvas::PLAIN));
}

#[test]
fn a_box_closes_whatever_is_in_it() {
    let mut path = path();
    path.steps[1] = Step::Bridge { name: "橋".repeat(20), kind: BridgeKind::Linux };
    let text = path_text(&path, Canvas::PLAIN);
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with(" │ ") || line.starts_with(" ┌") || line.starts_with(" └"))
        .collect();
    assert_eq!(lines.len(), 9);
    for drawn in lines.chunks(3) {
        assert!(drawn.iter().all(|line| columns(line) == columns(drawn[0])), "{text}");
    }
}

#[test]
fn json_keeps_the_contract() {
    let text = path_json(&path(), None);
    assert!(!text.contains('\n'), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["schema"], &json["kind"]), (&"hoptrace.path/2".into(), &"ovs-hybrid".into()));
    let nodes: Vec<_> = json["steps"].as_array().unwrap().iter().map(|step| step["node"].as_str()).collect();
    let expected =
        ["interface", "bridge", "interface", "interface", "bridge", "patch", "bridge", "interface"];
    assert_eq!(nodes, expected.map(Some));
    let hop = &json["steps"][3];
    assert_eq!((&hop["role"], &hop["ifindex"], &hop["vlan_tag"]), (&"qvo".into(), &12.into(), &1.into()));
    assert_eq!((&hop["other_end"], &hop["shared"]), (&"veth".into(), &false.into()));
    assert_eq!(json["instance"]["mac"], path().instance.mac.to_string());
    assert_eq!(json["traceable"], "fully");
    assert_eq!(json.get("prediction"), Some(&serde_json::Value::Null));
    let read: Path = serde_json::from_str(&text).unwrap();
    assert_eq!(path_text(&read, Canvas::PLAIN), path_text(&path(), Canvas::PLAIN));
}

#[test]
fn what_is_predicted_is_a_member_of_the_path() {
    let prediction = Prediction {
        packet: "udp".to_owned(),
        direction: Direction::Egress,
        fate: Fate::ToWire,
        verdict: "leaves by ens3 (nic)".to_owned(),
        outputs: vec![PredictedPort { ifname: "ens3".to_owned(), what: "nic".to_owned() }],
        assumptions: Vec::new(),
        not_predicted: Vec::new(),
        explain: explanation(),
    };
    let json: serde_json::Value = serde_json::from_str(&path_json(&path(), Some(&prediction))).unwrap();
    assert_eq!(json["schema"], "hoptrace.path/2");
    assert_eq!(json["prediction"]["fate"], "to-wire");
    assert_eq!(json["prediction"]["outputs"][0]["ifname"], "ens3");
    assert_eq!(json["prediction"]["explain"]["bridge"], "br-int");
}

#[test]
fn graphs_quote_what_comes_from_outside() {
    let dot = path_dot(&path());
    assert!(dot.contains("\\\"<b>") && !dot.contains('\x1b') && dot.ends_with("}\n"), "{dot}");
    assert_eq!(dot.matches("->").count(), 8);
    let mermaid = path_mermaid(&path());
    assert!(
        !mermaid.contains("<b>") && !mermaid.contains('\x1b') && mermaid.contains("ens3<br/>nic"),
        "{mermaid}"
    );
    assert_eq!(mermaid.matches("<-->").count(), 8);
}
