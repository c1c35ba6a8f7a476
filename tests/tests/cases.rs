//! Situations of real hosts (`tests/cases`), as `list` and `path` tell them: no packet, no lab, only what the host's sources say.

use std::process::{Command, Output};

use hoptrace_tests::exchange::steps;
use hoptrace_tests::prelude::*;
use serde_json::Value;

/// What a command prints of a case.
fn fed(case: &str, words: &[&str]) -> Result<Output> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/feed.sh");
    let hoptrace = hoptrace::<_, &str>([])?.get_program().to_owned();
    Command::new(script).arg(hoptrace).arg(case).args(words).output().context("feed a case")
}

/// The one JSON object that a command prints of a case.
fn json(case: &str, words: &[&str]) -> Result<Value> {
    let output = fed(case, words)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{case}, {words:?}: {}: {said}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{case}, {words:?}: {said}"))
}

fn listed(case: &str) -> Result<Value> {
    json(case, &["list", "--json"])
}

fn path(case: &str, handle: &str) -> Result<Value> {
    json(case, &["path", handle, "--format", "json"])
}

/// What `path` says where there is none, in one line.
fn refusal(case: &str, handle: &str) -> Result<String> {
    let output = fed(case, &["path", handle])?;
    let words = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1) && output.stdout.is_empty(), "{case}, {handle}: {words}");
    let said = words.lines().find(|line| line.starts_with("hoptrace: "));
    said.map(str::to_owned).with_context(|| format!("{case}, {handle}: {words}"))
}

/// The ports by their MAC addresses, and how much of each can be traced.
fn ports(list: &Value) -> Vec<(&str, &str)> {
    let rows = list["ports"].as_array().into_iter().flatten();
    rows.map(|row| {
        let [mac, traceable] = ["mac", "traceable"].map(|key| row[key].as_str().unwrap_or_default());
        (mac, traceable)
    })
    .collect()
}

/// What is wrong at a step.
fn problems<'a>(path: &'a Value, at: &str) -> Vec<&'a str> {
    let problems = path["problems"].as_array().into_iter().flatten();
    problems.filter(|problem| problem["at"] == at).filter_map(|problem| problem["what"].as_str()).collect()
}

fn says(text: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(text.contains(word), "{word:?} is not in: {text}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn devices_given_to_the_guest_are_named_as_what_they_are() -> Result<()> {
    let case = "hostdev-sriov-nova11";
    ensure!(ports(&listed(case)?) == [("fa:16:3e:aa:d9:23", "no")], "{}", listed(case)?);
    let said = refusal(case, "77c1dc00-af39-4463-bea0-12808f4bc340")?;
    says(&said, &["SR-IOV", "PCI 0000:01:00.5", "never pass this host's kernel", "ip -s link"])?;
    ensure!(!said.contains("there is no interface"), "{said}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn vhost_user_is_no_tap_and_white_space_no_part_of_a_name() -> Result<()> {
    let said = refusal("vhostuser-dpdk-newline-target", "fa:16:3e:57:6e:10")?;
    says(&said, &["vhost-user", "shared memory", "interface vhuf081e75a-e9 statistics", "pmd-stats-show"])?;
    ensure!(!said.contains("tap"), "{said}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn taps_in_the_switch_go_to_the_nic_whatever_they_are_called() -> Result<()> {
    let case = "virtualport-tap-in-br-int";
    for (mac, tap) in [("fa:16:3e:63:13:03", "tap9e8397ee-e7"), ("c0:ff:ee:00:00:12", "vif1")] {
        let path = path(case, mac)?;
        ensure!(path["kind"] == "ovs-native" && path["traceable"] == "fully", "{path}");
        ensure!(steps(&path, "interface") == [tap, "ens3"], "{path}");
        ensure!(steps(&path, "bridge") == ["br-int", "br-ex"], "{path}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn libvirt_s_own_networks_are_no_hybrid_plug() -> Result<()> {
    let case = "network-and-macvtap-of-a-foreign-vm";
    let list = listed(case)?;
    let expected = [("52:54:00:bd:bc:fd", "no"), ("52:54:00:a7:47:61", "no"), ("52:54:00:cf:04:1d", "no")];
    ensure!(ports(&list) == expected, "{list}");
    let path = path(case, "52:54:00:bd:bc:fd")?;
    ensure!(path["kind"] == "linux-bridge" && path["network"] == "libvirt network default", "{path}");
    // The container's veth end is nobody's way.
    ensure!(steps(&path, "interface") == ["vif0"] && steps(&path, "gap").is_empty(), "{path}");
    says(&refusal(case, "52:54:00:cf:04:1d")?, &["macvtap on enp2s0"])
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_linux_bridge_agent_s_ways_end_at_nic_and_tunnel() -> Result<()> {
    let case = "linuxbridge-agent-brq";
    let flat = path(case, "fa:16:3e:79:bb:0b")?;
    ensure!(flat["kind"] == "linux-bridge" && flat["traceable"] == "fully", "{flat}");
    ensure!(steps(&flat, "interface") == ["tap9d34b34b-3f", "eth3"], "{flat}");
    let tunnel = path(case, "fa:16:3e:bb:f5:60")?;
    ensure!(steps(&tunnel, "interface") == ["tap26632aea-3c", "vxlan-267"], "{tunnel}");
    says(tunnel["why"].as_str().unwrap_or_default(), &["vxlan-267", "tunnel"])?;
    // The DHCP agent's port is beside the path.
    let beside =
        tunnel["other_ports"].as_array().into_iter().flatten().filter_map(|port| port["ifname"].as_str());
    ensure!(beside.eq(["brqc08e7dcd-4a", "tapd0d0d0d0-aa"]), "{tunnel}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_tunnel_network_is_not_drawn_to_a_provider_nic_and_a_dead_row_is_a_leftover() -> Result<()> {
    let case = "vxlan-vm-br-ex-nic-stale-4095";
    let list = listed(case)?;
    ensure!(ports(&list) == [("fa:16:3e:52:43:c5", "partly")], "{list}");
    let [leftover] = list["leftovers"].as_array().map(Vec::as_slice).unwrap_or_default() else {
        bail!("{list}")
    };
    ensure!(
        leftover["remove"] == serde_json::json!(["ovs-vsctl del-port br-int qvoe0f204ea-12"]),
        "{leftover}"
    );
    let path = path(case, "fa:16:3e:52:43:c5")?;
    ensure!(!steps(&path, "interface").contains(&"enp4s0f1"), "{path}");
    ensure!(path["network"] == "vxlan 63", "{path}");
    says(path["why"].as_str().unwrap_or_default(), &["vxlan tunnel"])?;
    let tunnel = path["steps"].as_array().into_iter().flatten().find(|step| step["node"] == "tunnel");
    let tunnel = tunnel.with_context(|| path.to_string())?;
    ensure!(
        tunnel["kind"] == "vxlan" && tunnel["key"] == "63" && tunnel["ends"][0] == "vxlan-0a0a0a01",
        "{tunnel}"
    );
    ensure!(tunnel["local"] == "10.10.10.2" && tunnel["remotes"][0] == "10.10.10.1", "{tunnel}");
    says(
        &refusal(case, "e0f204ea-1200-4000-8000-000000000001")?,
        &["leftover", "ovs-vsctl del-port br-int qvoe0f204ea-12"],
    )
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn veth_pairs_join_bridges_as_patch_ports_do() -> Result<()> {
    let path = path("veth-pair-instead-of-patch-ports", "fa:16:3e:99:4e:20")?;
    ensure!(path["traceable"] == "fully" && steps(&path, "patch") == ["int-br-eth1"], "{path}");
    ensure!(steps(&path, "bridge") == ["qbraadd565d-89", "br-int", "br-eth1"], "{path}");
    ensure!(steps(&path, "interface").last() == Some(&"eth1"), "{path}");
    let mut beside =
        path["other_ports"].as_array().into_iter().flatten().filter_map(|port| port["ifname"].as_str());
    ensure!(!beside.any(|name| ["int-br-eth1", "phy-br-eth1"].contains(&name)), "{path}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_port_of_a_trunk_goes_by_its_own_pair() -> Result<()> {
    let path = path("trunk-bridge", "fa:16:3e:37:09:f1")?;
    ensure!(steps(&path, "patch") == ["tpt-3709f1a1-a5", "int-br-ex"], "{path}");
    ensure!(problems(&path, "tpi-3709f1a1-a5").iter().any(|what| what.contains("4095")), "{path}");
    ensure!(
        problems(&path, "tpt-3709f1a1-a5").iter().any(|what| what.contains("vlan_mode=access")),
        "{path}"
    );
    let subports = problems(&path, "tbr-b2781877-3");
    let [subport] = subports.as_slice() else { bail!("{path}") };
    says(subport, &["28c9689e-9e00-4000-8000-000000000009", "VLAN 101", "fa:16:3e:28:c9:68"])?;
    let mut beside = path["other_ports"].as_array().into_iter().flatten();
    ensure!(beside.any(|port| port["ifname"] == "qvoaaaaaaaa-aa" && port["kind"] == "vm"), "{path}");
    ensure!(path["steps"][3]["vlan_tag"] == 4095, "{path}");
    // Others on the integration bridge have nothing to do with it. (No process has the tap open.)
    let other = self::path("trunk-bridge", "fa:16:3e:aa:aa:aa")?;
    let what = other["problems"].as_array().into_iter().flatten().map(|problem| &problem["at"]);
    ensure!(what.eq(["tapaaaaaaaa-aa"]), "{other}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn ovn_says_which_network_is_a_tunnel_and_which_bridge_a_provider_s_is_behind() -> Result<()> {
    let case = "ovn-geneve-and-provnet";
    let list = listed(case)?;
    let source =
        list["sources"].as_array().into_iter().flatten().find(|source| source["name"] == "southbound");
    ensure!(source.is_some_and(|source| source["missing"].is_null()), "{list}");
    let tunnel = path(case, "fa:16:3e:85:b4:66")?;
    ensure!(tunnel["kind"] == "ovn" && steps(&tunnel, "interface") == ["tap85b46600-15"], "{tunnel}");
    says(tunnel["network"].as_str().unwrap_or_default(), &["geneve 5, OVN switch neutron-", "(private)"])?;
    says(tunnel["why"].as_str().unwrap_or_default(), &["geneve", "tunnel"])?;
    let provider = path(case, "fa:16:3e:85:b4:67")?;
    ensure!(provider["kind"] == "ovn" && provider["traceable"] == "fully", "{provider}");
    ensure!(steps(&provider, "interface") == ["tap85b46701-15", "eth0"], "{provider}");
    ensure!(steps(&provider, "bridge") == ["br-int", "br-ex"], "{provider}");
    let words = provider["network"].as_str().unwrap_or_default();
    says(words, &["vlan 10 on datacentre, OVN switch neutron-", "(public)"])
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn uplinks_that_bypass_the_kernel_are_named() -> Result<()> {
    let path = path("dpdk-bond-uplink", "fa:16:3e:16:16:16")?;
    ensure!(path["traceable"] == "partly", "{path}");
    for (at, words) in [("dpdk0", "DPDK"), ("dpdk1", "DPDK"), ("ens9", "AF_XDP")] {
        ensure!(problems(&path, at).iter().any(|what| what.contains(words)), "{at}: {path}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn limits_are_told_with_who_has_set_them_and_whether_the_kernel_holds_them() -> Result<()> {
    let case = "bandwidth-and-qos";
    let path = path(case, "fa:16:3e:0c:0f:46")?;
    let limits = |ifname: &str| {
        let step = path["steps"].as_array().into_iter().flatten().find(|step| step["ifname"] == ifname);
        let limits = step.and_then(|step| step["limits"].as_array()).cloned().unwrap_or_default();
        limits
            .iter()
            .map(|it| {
                let words = ["direction", "beyond", "set_by"].map(|key| it[key].as_str().unwrap_or_default());
                format!("{} {}", words.join(" "), it["bits_per_second"])
            })
            .collect::<Vec<_>>()
    };
    let tap = ["egress die libvirt 1228800000", "ingress wait libvirt 1228800000"];
    ensure!(limits("tapafe3775c-6c") == tap, "{path}");
    ensure!(limits("qvbafe3775c-6c").is_empty(), "{path}");
    let qvo = ["egress die ovsdb 1024000", "ingress wait ovsdb 10000000"];
    ensure!(limits("qvoafe3775c-6c") == qvo, "{path}");
    ensure!(limits("ens3") == ["egress wait kernel null"], "{path}");
    let [policing] = problems(&path, "qvoafe3775c-6c")[..] else { bail!("{path}") };
    says(
        policing,
        &["ingress_policing_rate (1.02 Mbit/s) is not in force", "no ingress queueing discipline"],
    )?;
    let drawn = String::from_utf8(fed(case, &["path", "fa:16:3e:0c:0f:46"])?.stdout)?;
    says(
        &drawn,
        &[
            "lets 1.23 Gbit/s through to the VM (libvirt's <bandwidth> inbound); what is more waits behind the last hook, in no latency",
            "is to let 1.02 Mbit/s through from the VM (Open vSwitch's ingress_policing_rate); not in force",
            "limits what passes from the VM, other VMs' packets among it, (tc's tbf); what is more waits behind",
        ],
    )
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_second_row_with_the_iface_id_is_a_problem_and_no_port() -> Result<()> {
    let case = "two-ovs-rows-with-one-iface-id";
    let list = listed(case)?;
    ensure!(ports(&list) == [("fa:16:3e:19:19:19", "fully"), ("fa:16:3e:1a:1a:1a", "fully")], "{list}");
    let first = [
        "instance-00000019",
        "19191919-1919-4191-8191-191919191919",
        "fa:16:3e:19:19:19",
        "tap19191919-19",
        "vnet4",
    ];
    for (handle, dead) in
        first.into_iter().map(|handle| (handle, "vnet4")).chain([("instance-0000001a", "tap1a1a1a1a-1a")])
    {
        let path = path(case, handle)?;
        ensure!(path["kind"] == "ovs-hybrid" && steps(&path, "interface").len() == 4, "{handle}: {path}");
        let qvo = steps(&path, "interface")[2];
        let [what] = problems(&path, qvo)[..] else { bail!("{handle}: {path}") };
        says(what, &["iface-id", &format!("ovs-vsctl del-port br-int {dead}")])?;
    }
    Ok(())
}
