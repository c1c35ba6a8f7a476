//! Fault, tracer and traffic together.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::judge::judge;
use super::{Case, Fault, Innocent, Moment, Place, Scene, Toll};
use crate::lab::{Lab, Trap};
use crate::tracer::Tracer;

/// Innocent packets per direction before a fault, and again beside it.
const INNOCENT: u64 = 20;

/// Runs every fault of `faults` whose name contains one of `only` (words between commas); `each` hears of each case as it is there.
///
/// # Errors
/// Where the lab does not let itself be prepared. What goes wrong with a fault is its case's.
pub fn run_all<'a>(
    lab: &Lab,
    faults: impl IntoIterator<Item = &'a Fault>,
    only: Option<&str>,
    each: &mut dyn FnMut(&Case),
) -> Result<Vec<Case>> {
    let scene = Scene::new(lab)?;
    let _quiet = prepare(&scene)?;
    let mut cases = Vec::new();
    for fault in faults.into_iter().filter(|fault| is_wanted(fault, only)) {
        for case in run(&scene, fault) {
            each(&case);
            cases.push(case);
        }
    }
    Ok(cases)
}

fn is_wanted(fault: &Fault, only: Option<&str>) -> bool {
    only.is_none_or(|only| only.split(',').any(|part| fault.name.contains(part)))
}

/// Runs one fault; a case per direction that something is expected of.
#[must_use]
pub fn run(scene: &Scene<'_>, fault: &Fault) -> Vec<Case> {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut cases: Vec<Case> = fault
        .expected
        .iter()
        .map(|expected| Case::new(fault.name, &release, expected.direction.name()))
        .collect();
    if fault.place == Place::KernelDatapath && !scene.has_kernel_datapath() {
        for case in &mut cases {
            case.skipped = Some("needs the kernel's OVS datapath".to_owned());
        }
        return cases;
    }
    match trace(scene, fault) {
        Ok((report, toll)) => {
            // They are UDP; where the trace looks at something else, it does not see them.
            let innocent = if fault.filter.starts_with("udp") { INNOCENT * turns(fault) } else { 0 };
            for (case, expected) in cases.iter_mut().zip(fault.expected) {
                let ran = toll.get(expected.direction);
                judge(case, &report, expected.direction, expected.outcome, ran, innocent, scene.kernel);
            }
        }
        Err(error) => {
            for case in &mut cases {
                case.wrong = Some(format!("{error:#}"));
            }
        }
    }
    cases
}

/// How often innocent packets of the traced guest are sent.
fn turns(fault: &Fault) -> u64 {
    u64::from(fault.moment == Moment::WhileTracing) + u64::from(fault.innocent == Innocent::SameGuest)
}

/// What the tracer reports about the fault, and what the fault took.
fn trace(scene: &Scene<'_>, fault: &Fault) -> Result<(Value, Toll)> {
    let is_before = fault.moment == Moment::BeforeTrace;
    let mut traps = Traps(Vec::new());
    if is_before {
        // The bridges learn where everybody is, or what follows floods.
        scene.innocent(scene.guest, INNOCENT).context("before the fault")?;
        traps.0 = (fault.inject)(scene).context("inject it")?;
        scene.teach_datapath(|scene| (fault.traffic)(scene).map(drop)).context("teach the datapath")?;
    }
    let mut words = vec!["trace", scene.guest.port_id.as_str()];
    words.extend(fault.filter.split(' '));
    words.extend(["--json", "--timeout", fault.timeout]);
    let tracer = Tracer::start(&words)?;
    if !is_before {
        scene.innocent(scene.guest, INNOCENT).context("before the fault")?;
        traps.0 = (fault.inject)(scene).context("inject it")?;
    }
    let toll = (fault.traffic)(scene).context("send into it")?;
    let spared = match fault.innocent {
        Innocent::SameGuest => scene.innocent(scene.guest, INNOCENT),
        Innocent::OtherGuest => scene.innocent(scene.other, INNOCENT),
        Innocent::Nobody => Ok(()),
    };
    spared.context("beside the fault")?;
    let ended = tracer.finish();
    drop(traps);
    Ok((ended?, toll))
}

/// Traps that are taken away in the opposite order.
struct Traps(Vec<Trap>);

impl Drop for Traps {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// What all faults want: neighbours that need no ARP, datapath flows that stay, and a bridge that asks iptables.
pub(super) fn prepare(scene: &Scene<'_>) -> Result<Vec<Trap>> {
    let mut traps = Vec::new();
    if !scene.has_kernel_datapath() {
        return Ok(traps);
    }
    scene.shell("modprobe br_netfilter; sysctl -qw net.bridge.bridge-nf-call-iptables=1")?;
    traps.push(scene.trap(
        "ovs-vsctl set Open_vSwitch . other_config:max-idle=600000",
        "ovs-vsctl remove Open_vSwitch . other_config max-idle",
    )?);
    for guest in [scene.guest, scene.other] {
        let netns = guest.netns.as_deref().context("the guest is no namespace")?;
        let (wire, ipv4) = (&scene.lab.wire, guest.ipv4);
        scene.shell(&format!(
            "ip -n {netns} neigh replace {} lladdr {} dev eth0 nud permanent
             ip -n {} neigh replace {ipv4} lladdr {} dev {} nud permanent",
            wire.ipv4, wire.mac, wire.netns, guest.mac, wire.interface
        ))?;
    }
    Ok(traps)
}
