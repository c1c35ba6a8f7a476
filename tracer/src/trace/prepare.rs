//! Before programs are loaded: where the hooks are to be, what a killed hoptrace has left there, who else traces, and what the
//! kernel says about itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use btf_rs::Btf;
use hoptrace_common::skb::SkbLayout;

use super::{Note, NoteTo, TraceError, TraceOptions};
use crate::{
    attach::{self, Wanted},
    kernel::{KERNEL_BTF, kernel_btf, skb_layout},
    model::{Interface, MacAddr, Mechanism, OtherPort, Path, Plan},
};

/// Attaching to one side of an interface takes the kernel some ten milliseconds (it waits until no CPU looks at what was there before), and
/// taking the program off as long: with more hooks than these they are at tracepoints, where that does not matter.
const MOST_AT_INTERFACES: usize = 128;

/// Where the hooks are to be, given what was asked for and whether the kernel describes its structures.
pub(super) fn mechanism(
    options: &TraceOptions,
    described: bool,
    paths: &[Path],
) -> Result<Mechanism, TraceError> {
    let (wanted, note) = (options.mechanism, options.note);
    let preflight = |mechanism| attach::preflight(Wanted { mechanism, described });
    let mut found = preflight(wanted)?;
    let hooks = 2 * interfaces(paths, options);
    if wanted.is_none() && found == Mechanism::Tcx && described && hooks > MOST_AT_INTERFACES {
        found = preflight(Some(Mechanism::Tracepoints))?;
        note(&Note::ManyHooks { hooks });
    }
    if found == Mechanism::Tracepoints
        && let Some((ifname, feature)) = paths.iter().find_map(attach::merges_datagrams)
    {
        note(&Note::Merges { ifname: ifname.to_owned(), feature, wanted: wanted.is_some() });
        if wanted.is_none() {
            let usual = preflight(None)?;
            let at_interfaces = if usual == Mechanism::Tracepoints { Mechanism::Clsact } else { usual };
            found = preflight(Some(at_interfaces))?;
        }
    }
    if wanted.is_none() && found == Mechanism::Clsact {
        note(&Note::Clsact);
    }
    Ok(found)
}

/// At how many interfaces hooks are to be: those of the paths, and unless these are too many already, the ports beside them.
fn interfaces(paths: &[Path], options: &TraceOptions) -> usize {
    let hops = paths.iter().flat_map(|path| path.hooked(options.hooks, |_| false));
    let mut all: BTreeSet<_> = hops.map(|hop| (None, hop.ifindex)).collect();
    if !options.path_only && 2 * all.len() <= MOST_AT_INTERFACES {
        let place =
            |port: &OtherPort| (port.namespace.as_ref().map(|namespace| namespace.inum), port.ifindex);
        all.extend(paths.iter().flat_map(|path| &path.other_ports).map(place));
    }
    all.len()
}

pub(super) fn note_other_tracers(plans: &[Plan], mechanism: Mechanism, note: NoteTo) {
    if attach::other_tracers(plans, mechanism) > 0 {
        note(&Note::OtherTracer { host: mechanism == Mechanism::Tracepoints });
    }
}

/// Says whose an address is that was given, where it is another port's of this host: packets for it go there.
pub(super) fn note_others_addresses(path: &Path, macs: &[MacAddr], note: NoteTo) {
    for mac in macs {
        if let Some(other) = path.other_ports.iter().find(|port| port.macs.contains(mac)) {
            note(&Note::AnothersAddress(*mac, other.place()));
        }
    }
}

/// Removes what a killed hoptrace has left on the plans' interfaces and at ports beside their paths, and says so.
pub(super) fn remove_leftovers(plans: &[Plan], beside: &[OtherPort], note: NoteTo) -> Result<(), TraceError> {
    let mut interfaces = BTreeMap::new();
    let beside_paths = plans.iter().flat_map(|plan| &plan.hooks).filter(|hook| hook.is_neighbour());
    for interface in
        plans.iter().flat_map(Plan::path_interfaces).chain(beside_paths.flat_map(|hook| &hook.interfaces))
    {
        interfaces.insert(interface.ifindex, interface.clone());
    }
    for port in beside.iter().filter(|port| port.namespace.is_none()) {
        interfaces.insert(port.ifindex, port.interface());
    }
    let interfaces: Vec<Interface> = interfaces.into_values().collect();
    let removed = attach::remove_leftovers(&interfaces)?;
    let places: BTreeSet<_> = removed.iter().map(|leftover| leftover.ifname.clone()).collect();
    if !places.is_empty() {
        note(&Note::Removed(removed.len(), places.into_iter().collect()));
    }
    Ok(())
}

/// What the kernel says about itself: hooks at tracepoints need it.
pub(super) struct Kernel {
    pub(super) btf: Btf,
    /// Where it keeps what they read of a packet.
    pub(super) skb: SkbLayout,
}

impl Kernel {
    /// `None`, and a note, where it says nothing.
    pub(super) fn ask(note: NoteTo) -> Option<Self> {
        let asking = Instant::now();
        let answer = kernel_btf(KERNEL_BTF).and_then(|btf| Ok(Self { skb: skb_layout(&btf)?, btf }));
        log::info!(
            "asking the kernel for its structures took {:.1} ms",
            asking.elapsed().as_secs_f64() * 1e3
        );
        answer.inspect_err(|error| note(&Note::Undescribed(error.to_string()))).ok()
    }
}
