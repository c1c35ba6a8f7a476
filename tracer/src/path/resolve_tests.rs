//! Every kind of handle, and every kind of nonsense.
#![allow(clippy::unwrap_used)]

use super::{
    super::{ports, testing::*},
    *,
};
use crate::model::{Instance, InstanceState};

const PORT_2: &str = "c3d70000-0000-0000-0000-000000000002";
const PORT_3: &str = "abcd0000-0000-0000-0000-000000000003";

/// Two VMs; the second has two ports.
fn host() -> Topology {
    let mut topology = lab();
    topology.instances.push(Instance {
        name: "instance-00000022".to_owned(),
        uuid: "9c450000-1111-2222-3333-444444444444".to_owned(),
        display_name: Some("yjwang-test-2".to_owned()),
        state: InstanceState::Running,
        interfaces: vec![
            interface("fa:16:3e:00:00:02", PORT_2, "10.99.99.112"),
            interface("fa:16:3e:00:00:03", PORT_3, "2001:db8::3"),
        ],
    });
    topology
}

fn find(handle: &str) -> Result<String, PathError> {
    let topology = host();
    resolve(&topology, &ports(&topology), handle).map(|port| port.id.port_id.unwrap())
}

#[test]
fn every_kind_of_handle_names_the_port() {
    let handles = [
        "instance-00000025",
        "yjwang-test-1",
        UUID,
        "9C45FCE8-83D9-4518-9055-4DF2899E23AF",
        MAC,
        "FA-16-3E-21-1B-4B",
        "10.99.99.111",
        PORT,
        "tapc3d70d5c-a9",
        "qvbc3d70d5c-a9",
        "qvoc3d70d5c-a9",
        "qbrc3d70d5c-a9",
        " yjwang-test-1\n",
        "9c45f",
        "c3d70d",
    ];
    for handle in handles {
        assert_eq!(find(handle).as_deref(), Ok(PORT), "{handle}");
    }
    assert_eq!(find("2001:0db8:0::3").as_deref(), Ok(PORT_3));
    assert_eq!(find("[2001:db8::3]").as_deref(), Ok(PORT_3));
    assert_eq!(find("fa:16:3e:0:0:2").as_deref(), Ok(PORT_2));
}

#[test]
fn a_veth_end_with_any_name_leads_to_its_port() {
    let mut topology = lab();
    change_link(&mut topology, "qvbc3d70d5c-a9", |link| link.name = "renamed".to_owned());
    assert!(resolve(&topology, &ports(&topology), "renamed").is_ok());
}

#[test]
fn several_ports_are_ambiguous_and_listed() {
    for handle in ["instance-00000022", "yjwang-test-2", "9c450000"] {
        let error = find(handle).unwrap_err();
        let PathError::Ambiguous { ports, .. } = &error else { panic!("{error}") };
        assert_eq!(ports.len(), 2);
        let text = error.to_string();
        assert!(text.contains(PORT_2) && text.contains(PORT_3) && text.contains("10.99.99.112"), "{text}");
    }
    for prefix in ["9c45", "c3d7"] {
        assert!(matches!(find(prefix), Err(PathError::Ambiguous { .. })), "{prefix}");
    }
}

#[test]
fn an_exact_name_wins_over_a_beginning() {
    let mut topology = host();
    topology.instances.last_mut().unwrap().interfaces.truncate(1);
    topology.instances.last_mut().unwrap().display_name = Some("9c45fc".to_owned());
    let port = resolve(&topology, &ports(&topology), "9c45fc").unwrap();
    assert_eq!(port.id.port_id.as_deref(), Some(PORT_2));
}

#[test]
fn an_unknown_name_gets_close_matches() {
    let error = find("yjwang-tets-1").unwrap_err();
    let PathError::Unknown { close, .. } = &error else { panic!("{error}") };
    assert_eq!(close.first().map(String::as_str), Some("yjwang-test-1"));
    assert!(error.to_string().contains("did you mean yjwang-test-1"));
    assert!(find("ens3").unwrap_err().to_string().contains("an interface of this host, but no known VM's"));
    assert!(find("zzz").unwrap_err().to_string().contains("hoptrace list"));
    assert!(matches!(find("9c4"), Err(PathError::Unknown { .. })), "too short for a prefix");
}

#[test]
fn hostile_handles_are_errors_that_print_harmlessly() {
    assert_eq!(find("  "), Err(PathError::Empty));
    let long = "x".repeat(1_000_000);
    for handle in
        ["\x1b[2J\x1b]0;owned\x07", "\u{202e}1-tset", "%s%n", "../../etc/passwd", "日本", "\0", long.as_str()]
    {
        let text = find(handle).unwrap_err().to_string();
        assert!(text.len() < 1_500 && !text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text}");
    }
}

#[test]
fn a_name_that_is_another_port_s_id_or_address_hides_nothing() {
    for name in [PORT, UUID, "10.99.99.111", MAC] {
        let mut topology = host();
        topology.instances.last_mut().unwrap().display_name = Some(name.to_owned());
        let found = resolve(&topology, &ports(&topology), name).unwrap();
        assert_eq!(found.id.port_id.as_deref(), Some(PORT), "{name}");
    }
}

#[test]
fn hostile_names_of_vms_print_harmlessly() {
    let mut topology = host();
    topology.instances.last_mut().unwrap().display_name = Some("evil\x1b[31m\nname".to_owned());
    let text = resolve(&topology, &ports(&topology), "instance-00000022").unwrap_err().to_string();
    assert!(!text.chars().any(char::is_control), "{text}");
    let text = resolve(&topology, &ports(&topology), "evil").unwrap_err().to_string();
    assert!(!text.chars().any(char::is_control), "{text}");
}

#[test]
fn a_vm_without_ports_and_a_host_without_vms_are_said() {
    let mut topology = lab();
    topology.instances.first_mut().unwrap().interfaces.clear();
    topology.bridges_mut().clear();
    let error = resolve(&topology, &ports(&topology), "yjwang-test-1").unwrap_err();
    assert!(matches!(error, PathError::NoPort { .. }), "{error}");
    topology.instances.clear();
    let error = resolve(&topology, &ports(&topology), "yjwang-test-1").unwrap_err();
    assert!(matches!(error, PathError::NothingKnown { .. }), "{error}");
}

#[test]
fn a_mac_change_does_not_split_a_port_in_two() {
    let mut topology = lab();
    topology.instances.first_mut().unwrap().interfaces.first_mut().unwrap().mac = mac("fa:16:3e:ff:ff:ff");
    assert_eq!(ports(&topology).len(), 1);
}
