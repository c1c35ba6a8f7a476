//! Several ports in one trace: each has the figures that a trace of it alone has.

use hoptrace_tests::prelude::*;
use hoptrace_tests::together::{PACKETS, compare, guests, prepare, talk, trace_each};

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn two_ports_traced_together_give_what_each_gives_alone() -> Result<()> {
    let lab = Lab::from_env()?;
    let guests = guests(&lab)?;
    let [one, two] = guests;
    let _trap = prepare(&lab, guests)?;
    let together = Tracer::start(&["trace", &one.port_id, &two.port_id, "udp", "--json"])?;
    let alone = trace_each(guests, &[])?;
    talk(&lab, guests)?;
    compare(&together.finish_each()?, alone, guests)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn two_ports_are_traced_together_by_clsact() -> Result<()> {
    let lab = Lab::from_env()?;
    let guests = guests(&lab)?;
    let [one, two] = guests;
    let _trap = prepare(&lab, guests)?;
    let clsact = ["--attach", "clsact"];
    let words = ["trace", &one.port_id, &two.port_id, "udp", "--json"];
    let together = Tracer::start(&[&words[..], &clsact].concat())?;
    let alone = trace_each(guests, &clsact)?;
    talk(&lab, guests)?;
    compare(&together.finish_each()?, alone, guests)?;
    let filters = |side| run("tc", &["filter", "show", "dev", &one.qvo, side]);
    let left =
        [filters("ingress")?, filters("egress")?, run("tc", &["qdisc", "show", "dev", &one.qvo])?].concat();
    ensure!(!left.contains("hop_") && !left.contains("several_") && !left.contains("clsact"), "{left}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_rule_that_drops_is_named_for_each_of_several_ports() -> Result<()> {
    let lab = Lab::from_env()?;
    let guests = guests(&lab)?;
    let _trap = prepare(&lab, guests)?;
    let [one, two] = guests;
    let words = ["trace", &one.port_id, &two.port_id, "udp", "--explain", "--json"];
    let tracer = Tracer::start(&words)?;
    talk(&lab, guests)?;
    for ((_, report), guest) in tracer.finish_each()?.iter().zip(guests) {
        let drops = &report.egress().drops;
        ensure!(!drops.is_empty(), "{report:?}");
        for drop in drops {
            let explained = drop.explain.as_ref().with_context(|| format!("{drop}"))?;
            let last = explained.last().context("no rule")?;
            ensure!(last.priority == Some(1000) && last.actions == ["drop"], "{explained}");
            ensure!(explained.packet.contains(&format!("dl_src={}", guest.mac)), "{}", explained.packet);
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn all_ports_are_traced_without_being_named() -> Result<()> {
    let lab = Lab::from_env()?;
    let guests = guests(&lab)?;
    let drops = Tracer::start(&["drops", "udp", "--json"])?;
    let tracer = Tracer::start(&["trace", "--all", "udp", "--json"])?;
    talk(&lab, guests)?;
    let each = tracer.finish_each()?;
    let busy = each.iter().filter(|(_, report)| report.egress().ledger.entered >= 2 * PACKETS);
    ensure!(busy.count() == guests.len(), "{each:?}");
    drops.signal(Signal::INT)?;
    let ended = drops.wait()?;
    let drops: serde_json::Value = serde_json::from_slice(&ended.stdout).context(ended.stderr)?;
    let ports = drops["ports"].as_array().map_or(0, Vec::len);
    ensure!(ports == each.len(), "{} ports, and {ports} by drops", each.len());
    Ok(())
}
