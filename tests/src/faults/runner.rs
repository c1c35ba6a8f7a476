//! Fault, tracer and traffic together.

use std::any::Any;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context as _, Result, anyhow};

use super::judge::judge;
use super::{Case, Fault, Hooks, Innocent, Moment, Place, Scene, Toll};
use crate::lab::{Lab, Trap};
use crate::report::Report;
use crate::tracer::Tracer;

/// Innocent packets per direction before a fault, and again beside it.
const INNOCENT: u64 = 20;
/// When a packet is lost: no packet on its way takes so long, the emulated machine's hiccups included.
const TIMEOUT: &str = "500ms";

/// Runs every fault of `faults` whose name contains one of `only` (words between commas); `each` hears of each case as it is there.
///
/// # Errors
/// Where the lab does not let itself be prepared. What goes wrong with a fault is its case's.
pub fn run_all<'a>(
    lab: &Lab,
    hooks: Hooks,
    faults: impl IntoIterator<Item = &'a Fault>,
    only: Option<&str>,
    each: &mut dyn FnMut(&Case),
) -> Result<Vec<Case>> {
    let scene = Scene::new(lab, hooks)?;
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
    if fault.place == Place::KernelDatapath && !scene.platform.has_kernel_datapath {
        for case in &mut cases {
            case.skipped = Some("needs the kernel's OVS datapath".to_owned());
        }
        return cases;
    }
    match guarded(|| trace(scene, fault)) {
        Ok((report, toll)) => {
            // They are UDP; where the trace looks at something else, it does not see them.
            let innocent = if fault.filter.starts_with("udp") { INNOCENT * turns(fault) } else { 0 };
            for (case, expected) in cases.iter_mut().zip(fault.expected) {
                let ran = toll.get(expected.direction);
                let found = report.direction(expected.direction);
                let outcome = scene.hooks.see(expected.outcome, expected.direction);
                judge(case, found, outcome, ran, innocent, scene.platform);
                let why = report.path.why();
                let is_right = why.map(|why| fault.partly.is_some_and(|words| why.contains(words)));
                if is_right.unwrap_or(fault.partly.is_none()) {
                    continue;
                }
                case.correct = false;
                case.wrong.get_or_insert_with(|| format!("the path ends early, it says: {why:?}"));
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

/// What `work` gives. That it panics, as a trap does that cannot be taken away, is an error like others: what comes after it
/// must not be lost.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let words = |panic: &Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words").to_owned()
    };
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(anyhow!("it panicked: {}", words(&panic))))
}

/// How often innocent packets of the traced guest are sent.
fn turns(fault: &Fault) -> u64 {
    u64::from(fault.moment == Moment::WhileTracing) + u64::from(fault.innocent == Innocent::SameGuest)
}

/// What the tracer reports about the fault, and what the fault took.
fn trace(scene: &Scene<'_>, fault: &Fault) -> Result<(Report, Toll)> {
    let is_before = fault.moment == Moment::BeforeTrace;
    let mut traps = Traps(Vec::new());
    if scene.guest.netns.is_none() {
        // A VM's neighbours are its own affair. What it learns anew is fresh for 15 seconds at least: it does not ask for the wire
        // in the middle of a fault, where nobody could answer.
        scene.guest.control("neighbours-flush")?;
    }
    if is_before {
        // The bridges learn where everybody is, or what follows floods.
        scene.innocent(scene.guest, INNOCENT).context("before the fault")?;
        traps.0 = (fault.inject)(scene).context("inject it")?;
        scene.teach_datapath(|scene| (fault.traffic)(scene).map(drop)).context("teach the datapath")?;
    }
    let mut words = vec!["trace", scene.guest.port_id.as_str()];
    words.extend(fault.filter.split(' '));
    words.extend(["--json", "--timeout", TIMEOUT, "--hooks", scene.hooks.word()]);
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
    traps.take_away().context("take it away")?;
    Ok((ended?, toll))
}

/// Traps that are taken away in the opposite order.
pub(super) struct Traps(pub(super) Vec<Trap>);

impl Traps {
    /// Takes all of them away, also after one that cannot be; the first error.
    pub(super) fn take_away(&mut self) -> Result<()> {
        let mut removed = Ok(());
        while let Some(trap) = self.0.pop() {
            removed = removed.and(trap.take_away());
        }
        removed
    }
}

impl Drop for Traps {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// A neighbour that `interface` in `netns` needs not ask for; afterwards one like others.
fn known(scene: &Scene<'_>, (netns, interface): (&str, &str), ipv4: Ipv4Addr, mac: &str) -> Result<Trap> {
    let set = |state| format!("ip -n {netns} neigh replace {ipv4} lladdr {mac} dev {interface} nud {state}");
    scene.trap(&set("permanent"), &set("stale"))
}

/// What all faults want: neighbours that need no ARP, datapath flows that stay, and a bridge that asks iptables.
pub(super) fn prepare(scene: &Scene<'_>) -> Result<Vec<Trap>> {
    let mut traps = Vec::new();
    let wire = &scene.lab.wire;
    for guest in [scene.guest, scene.other] {
        traps.push(known(scene, (&wire.netns, &wire.interface), guest.ipv4, &guest.mac)?);
        if let Some(netns) = guest.netns.as_deref() {
            traps.push(known(scene, (netns, "eth0"), wire.ipv4, &wire.mac)?);
        }
    }
    if scene.platform.has_kernel_datapath {
        scene.shell("modprobe br_netfilter; sysctl -qw net.bridge.bridge-nf-call-iptables=1")?;
        traps.push(Trap::lasting_flows()?);
    }
    Ok(traps)
}
