//! `path --flow`: the switch says what its rules would do with a packet that nobody has sent.

use hoptrace_tests::prelude::*;
use serde_json::Value;

const DOOMED_PORT: u16 = 4444;
/// Nobody's.
const UNKNOWN_MAC: &str = "02:00:00:00:00:77";

/// The lab, whose switch knows where both guests and the wire are, and nobody else.
fn acquainted() -> Result<Lab> {
    let lab = Lab::from_env()?;
    // Other tests make it learn more. It learns from packets that no flow of its datapath knows.
    run("ovs-appctl", &["fdb/flush"])?;
    run("ovs-appctl", &["revalidator/purge"])?;
    for guest in &lab.guests {
        lab.introduce(guest)?;
    }
    Ok(lab)
}

fn asked(guest: &Guest, words: &str) -> Result<Value> {
    let output = hoptrace(["path", &guest.port_id, "--format", "json", "--flow", words])?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{words}: {}: {said}", output.status);
    let mut path: Value = serde_json::from_slice(&output.stdout)?;
    let prediction = path.get_mut("prediction").map(Value::take).unwrap_or_default();
    ensure!(prediction.is_object(), "{words}: {path}");
    Ok(prediction)
}

/// The names of the ports by which the packet leaves.
fn outputs(found: &Value) -> Vec<&str> {
    let ports = found["outputs"].as_array().into_iter().flatten();
    ports.filter_map(|port| port["ifname"].as_str()).collect()
}

/// Where the packet goes, by which ports, and that the line says this.
fn goes(guest: &Guest, words: &str, (fate, line): (&str, &str), ports: &[&str]) -> Result<Value> {
    let found = asked(guest, words)?;
    let said = ["fate", "verdict"].map(|member| found.get(member).and_then(Value::as_str));
    ensure!(said == [Some(fate), Some(line)] && outputs(&found) == ports, "{words}: {found}");
    Ok(found)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_is_for_the_wire_leaves_by_the_nic() -> Result<()> {
    let lab = acquainted()?;
    let guest = lab.guest("yjwang-test-1")?;
    let words = format!("udp and dst host {} and dst port 9", lab.wire.ipv4);
    let line = format!("leaves by {} (nic)", lab.nic);
    let found = goes(guest, &words, ("to-wire", &line), &[&lab.nic])?;
    ensure!(found["direction"] == "egress", "{found}");
    let question = found["explain"]["packet"].as_str().context("no question")?;
    // The switch has learned the wire's address, and nobody else's out there.
    for part in [format!("in_port={}", guest.qvo), format!("dl_dst={}", lab.wire.mac), "udp_dst=9".to_owned()]
    {
        ensure!(question.contains(&part), "{part}: {question}");
    }
    let assumed = found["assumptions"].to_string();
    ensure!(assumed.contains(&lab.wire.mac) && assumed.contains(&guest.ipv4.to_string()), "{assumed}");
    let not = found["not_predicted"].to_string();
    ensure!(not.contains(&format!("security groups on {}", guest.qbr)), "{not}");
    let bridges = found["explain"]["rules"].as_array().context("no rules")?;
    let last = bridges.last().context("no rule")?;
    ensure!(last["bridge"] == lab.provider_bridge.as_str(), "{found}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_is_for_the_other_vm_goes_to_its_port() -> Result<()> {
    let lab = acquainted()?;
    let [one, two] = [lab.guest("yjwang-test-1")?, lab.guest("yjwang-test-2")?];
    for (from, to) in [(one, two), (two, one)] {
        let line = format!("goes to {} beside the path: VM {} on this host", to.qvo, to.display_name);
        goes(from, &format!("icmp and dst host {}", to.ipv4), ("beside", &line), &[&to.qvo])?;
    }
    // The same packet, as the other one's.
    let words = format!("icmp and src host {} and dst host {}", one.ipv4, two.ipv4);
    let line = format!("comes to the VM by {} (qvo)", two.qvo);
    let found = goes(two, &words, ("to-vm", &line), &[&two.qvo])?;
    let question = found["explain"]["packet"].as_str().context("no question")?;
    ensure!(question.contains(&format!("in_port={}", one.qvo)), "{question}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_rule_that_would_drop_a_packet_is_named() -> Result<()> {
    let lab = acquainted()?;
    let guest = lab.guest("yjwang-test-1")?;
    let bridge = lab.integration_bridge.as_str();
    let rule = format!("udp,tp_dst={DOOMED_PORT}");
    let _rule = Trap::flow(bridge, &format!("priority=1000,{rule}"), "drop")?;
    let line = format!("dropped by the rule of table 0 of {bridge}: priority 1000 {rule}");
    let out = format!("udp and dst host {} and dst port {DOOMED_PORT}", lab.wire.ipv4);
    let into = format!("udp and dst host {} and dst port {DOOMED_PORT}", guest.ipv4);
    for words in [out, into] {
        let found = goes(guest, &words, ("dropped", &line), &[])?;
        let last = found["explain"]["rules"].as_array().and_then(|rules| rules.last()).context("no rule")?;
        ensure!(last["matches"] == rule && last["priority"] == 1000, "{last}");
    }
    let other = format!("udp and dst host {} and dst port {}", lab.wire.ipv4, DOOMED_PORT + 1);
    goes(guest, &other, ("to-wire", &format!("leaves by {} (nic)", lab.nic)), &[&lab.nic])?;
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_is_for_the_vm_comes_in_by_the_nic() -> Result<()> {
    let lab = acquainted()?;
    let guest = lab.guest("yjwang-test-1")?;
    let words = format!("udp and src host {} and dst host {}", lab.wire.ipv4, guest.ipv4);
    let line = format!("comes to the VM by {} (qvo)", guest.qvo);
    let found = goes(guest, &words, ("to-vm", &line), &[&guest.qvo])?;
    ensure!(found["direction"] == "ingress", "{found}");
    let question = found["explain"]["packet"].as_str().context("no question")?;
    ensure!(question.contains(&format!("in_port={}", lab.nic)), "{question}");
    ensure!(question.contains(&format!("dl_dst={}", guest.mac)), "{question}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_is_for_nobody_is_flooded() -> Result<()> {
    let lab = acquainted()?;
    let [guest, other] = [lab.guest("yjwang-test-1")?, lab.guest("yjwang-test-2")?];
    let words = format!("udp and dst host {} and ether dst {UNKNOWN_MAC}", lab.wire.ipv4);
    let found = asked(guest, &words)?;
    let names = outputs(&found);
    ensure!(names.contains(&lab.nic.as_str()) && names.contains(&other.qvo.as_str()), "{found}");
    ensure!(!names.contains(&guest.qvo.as_str()) && found["fate"] == "flooded", "{found}");
    let line = format!("flooded to {} ports: ", names.len());
    ensure!(found["verdict"].as_str().is_some_and(|verdict| verdict.starts_with(&line)), "{found}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_text_stands_below_the_drawing_and_graphs_have_no_place_for_it() -> Result<()> {
    let lab = acquainted()?;
    let guest = lab.guest("yjwang-test-1")?;
    let words = format!("udp and dst host {}", lab.wire.ipv4);
    let ask = |more: &[&str]| -> Result<_> {
        Ok(hoptrace([&["path", guest.port_id.as_str(), "--flow", words.as_str()], more].concat())?
            .output()?)
    };
    let output = ask(&[])?;
    let text = String::from_utf8(output.stdout)?;
    let (drawing, predicted) = text.split_once("\negress  VM → wire, predicted\n").context(text.clone())?;
    ensure!(output.status.success() && drawing.contains("traceable"), "{text}");
    ensure!(predicted.contains(&format!("\n  leaves by {} (nic)\n", lab.nic)), "{text}");
    ensure!(predicted.contains("  ofproto/trace br-int udp,in_port="), "{text}");
    for format in ["dot", "mermaid"] {
        let output = ask(&["--format", format])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2) && said.lines().count() == 1, "{format}: {said}");
    }
    let output = hoptrace(["path", &guest.port_id, "--flow", "udp and dst port 9"])?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2) && said.contains("add `dst host ADDRESS`"), "{said}");
    ensure!(output.stdout.is_empty(), "{said}");
    Ok(())
}
