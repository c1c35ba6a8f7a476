#![allow(clippy::all, clippy::pedantic, clippy::unwrap_used, clippy::print_stdout, missing_docs, clippy::indexing_slicing)]
use hoptrace::{attach::*, collect::*, model::*};
use hoptrace_common::config::TraceConfig;
use std::time::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    // probe MAC tap qvb qvo nic
    let mac: MacAddr = args[1].parse().unwrap();
    let roles = [Role::Tap, Role::Qvb, Role::Qvo, Role::Nic];
    let hops = args[2..6].iter().zip(roles).map(|(n, role)| Hop { role, ifname: n.clone(), ifindex: IfIndex(1), bridge: None, vlan_tag: None }).collect();
    let path = Path { kind: PathKind::OvsHybrid, mac, hops, problems: vec![] };
    let plan = plan(&path).unwrap();
    let mut m = [0u8; 8]; m[..6].copy_from_slice(&mac.0);
    let trace = TraceConfig { mac: u64::from_le_bytes(m), timeout_ns: 1_000_000_000, ..Default::default() };
    let t = Instant::now();
    let mut attached = match Attached::new(&plan, &LoadOptions { inflight_slots: 65536, ring_bytes: 0, trace, log_level: std::env::var("LVL").ok().and_then(|v| v.parse().ok()).unwrap_or(0) }) { Ok(a) => a, Err(e) => { println!("{e} {:?}", std::error::Error::source(&e).map(|s| s.to_string())); let mut s: Option<&dyn std::error::Error> = Some(&e); while let Some(x) = s { println!("-> {x}"); s = x.source(); } return; } };
    println!("attached in {:?}", t.elapsed()); println!("{:?}", attached.verified());
    let maps = attached.take_maps().unwrap();
    let (mut c, _r) = Collector::new(plan, maps, Duration::from_secs(1)).unwrap();
    c.open(None);
    let secs: u64 = args[6].parse().unwrap();
    let mut cost = CostMeter::start();
    let end = Instant::now() + Duration::from_secs(secs);
    while Instant::now() < end { std::thread::sleep(Duration::from_millis(100)); c.sweep(); cost.tick(attached.run_statistics().0); }
    c.drain();
    for _ in 0..12 { std::thread::sleep(Duration::from_millis(100)); if c.sweep().in_flight == 0 { break; } }
    let (runs, ns) = attached.run_statistics();
    let s = c.snapshot(TracerCost { cpu_pct: cost.cpu_pct(), ns_per_hook: Some(ns as f64 / runs as f64), runs_measured: runs, ..Default::default() });
    println!("{}", serde_json::to_string_pretty(&s.directions).unwrap());
    println!("{:?} guest {:?} off {:?}", s.tracer, s.guest, s.off_path);
}
