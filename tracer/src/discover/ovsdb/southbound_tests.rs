//! Rows of OVN's southbound database, sound and hostile.
#![allow(clippy::unwrap_used)]

use super::*;

const PRIVATE: &str = "06234b93-6b4b-4f92-be8a-342dd858617c";
const PUBLIC: &str = "1ef13326-744a-4065-82ee-0998ff56dcc8";
const GONE: &str = "d3bbf06e-e460-4162-93cf-7237bb326630";
const HOST: &str = "67087d8a-1b61-408a-a448-a239248b9f7d";
const ROWS: [&str; 4] = [
    "c16f3aaa-907f-4e81-86c9-4ef845b8990e",
    "d05c07dd-3455-48a4-8e9e-d1f0236375b8",
    "2b1c8d3e-57a0-4d6c-9d52-0c0a7a2f5a11",
    "3c2d9e4f-68b1-4e7d-8e63-1d1b8b3a6b22",
];

fn ports() -> Value {
    let [one, two, three, four] = ROWS;
    json!({"Port_Binding": {
        one: {"initial": {"logical_port": "vm-1", "datapath": ["uuid", PRIVATE], "chassis": ["uuid", HOST]}},
        two: {"initial": {"logical_port": "vm-2", "datapath": ["uuid", PUBLIC]}},
        three: {"initial": {"logical_port": "vm-3", "datapath": ["uuid", GONE], "chassis": ["uuid", GONE]}},
        four: {"initial": {"logical_port": "provnet-1", "type": "localnet", "datapath": ["uuid", PUBLIC],
            "tag": 101, "options": ["map", [["network_name", "physnet1"]]]}},
    }})
}

fn referred() -> Value {
    json!({
        "Datapath_Binding": {
            PRIVATE: {"initial": {"tunnel_key": 5, "external_ids": ["map", [["name", "neutron-1"], ["name2", "private"]]]}},
            PUBLIC: {"initial": {"tunnel_key": 2, "external_ids": ["map", [["name", "neutron-2"]]]}},
        },
        "Chassis": {HOST: {"initial": {"name": "c8b85a", "hostname": "compute-1"}}},
    })
}

#[test]
fn ports_have_their_switch_and_host() {
    let found = joined(&ports(), &referred());
    assert_eq!(found.len(), 2);
    let [private, public] = ["vm-1", "vm-2"].map(|id| found.get(id).unwrap());
    let switch = &private.switch;
    assert_eq!(
        (switch.name.as_deref(), switch.display_name.as_deref()),
        (Some("neutron-1"), Some("private"))
    );
    assert_eq!((switch.tunnel_key, switch.localnets.as_slice()), (Some(5), [].as_slice()));
    let chassis = private.chassis.as_ref().unwrap();
    assert_eq!((chassis.name.as_deref(), chassis.hostname.as_deref()), (Some("c8b85a"), Some("compute-1")));
    let localnet = Localnet { network: "physnet1".to_owned(), vlan_tag: Some(101) };
    assert_eq!((public.switch.localnets.as_slice(), &public.chassis), ([localnet].as_slice(), &None));
}

#[test]
fn a_host_that_is_not_described_is_a_host_nonetheless() {
    let mut without = referred();
    without["Chassis"] = json!({});
    assert_eq!(joined(&ports(), &without).get("vm-1").unwrap().chassis, Some(Chassis::default()));
}

#[test]
fn single_rows_are_asked_for_and_never_a_whole_table() {
    let requests = port_requests(&BTreeSet::from(["vm-1", "vm-2"]));
    let conditions =
        json!([["logical_port", "==", "vm-1"], ["logical_port", "==", "vm-2"], ["type", "==", "localnet"]]);
    assert_eq!(requests["Port_Binding"][0]["where"], conditions);
    let requests = requests_for_referred(&ports()).unwrap();
    let mut switches: Vec<_> = requests["Datapath_Binding"][0]["where"].as_array().unwrap().clone();
    switches.sort_by_key(Value::to_string);
    let by_uuid = |uuid: &str| json!(["_uuid", "==", ["uuid", uuid]]);
    assert_eq!(switches, [PRIVATE, PUBLIC, GONE].map(by_uuid));
    assert_eq!(requests["Chassis"][0]["where"].as_array().unwrap().len(), 2);
    // Nobody is bound: no condition, no table.
    let mut unbound = ports();
    for row in ROWS {
        unbound["Port_Binding"][row]["initial"]["chassis"] = json!(["set", []]);
    }
    let requests = requests_for_referred(&unbound).unwrap();
    assert!(requests.get("Chassis").is_none(), "{requests}");
    let [_, _, _, localnet] = ROWS;
    let only_localnet = json!({"Port_Binding": {localnet: ports()["Port_Binding"][localnet]}});
    for none in [only_localnet, json!({}), json!({"Port_Binding": {}})] {
        assert_eq!(requests_for_referred(&none), None);
    }
}

#[test]
fn malformed_rows_lose_what_is_malformed_and_nothing_else() {
    let [one, two, _, four] = ROWS;
    let with = |row: &str, column: &str, value: Value| {
        let mut odd = ports();
        odd["Port_Binding"][row]["initial"][column] = value;
        joined(&odd, &referred())
    };
    for odd in
        [json!(["uuid"]), json!(["set", []]), json!("x"), json!(null), json!(["uuid", ["uuid", PRIVATE]])]
    {
        assert!(!with(one, "datapath", odd.clone()).contains_key("vm-1"), "{odd}");
        let found = with(four, "datapath", odd.clone());
        assert!(found.get("vm-2").unwrap().switch.localnets.is_empty(), "{odd}");
    }
    for odd in [json!(["map"]), json!(["map", [["network_name"], ["network_name", ""]]]), json!(7)] {
        assert!(with(four, "options", odd).get("vm-2").unwrap().switch.localnets.is_empty());
    }
    for odd in [json!(70_000), json!(-1), json!("x"), json!(["set", []])] {
        let found = with(four, "tag", odd);
        assert_eq!(found.get("vm-2").unwrap().switch.localnets.first().unwrap().vlan_tag, None);
    }
    assert!(!with(two, "logical_port", json!(["set", []])).contains_key("vm-2"));
    for odd in
        [json!(null), json!([]), json!({"Datapath_Binding": 7, "Chassis": []}), json!({"Port_Binding": {}})]
    {
        assert!(joined(&ports(), &odd).is_empty() && joined(&odd, &referred()).is_empty(), "{odd}");
    }
}
