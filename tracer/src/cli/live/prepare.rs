//! Before programs are loaded: where the hooks are to be, what a killed hoptrace has left there, who else traces, and what the
//! kernel says about itself.

use std::{collections::BTreeSet, time::Instant};

use btf_rs::Btf;
use hoptrace_common::skb::SkbLayout;

use crate::{
    attach::{self, UpcallOptions, Wanted},
    cli::{CliError, output},
    kernel::{KERNEL_BTF, kernel_btf, skb_layout},
    model::{MacAddr, Mechanism, Path, Plan, Printable},
};

/// Where the hooks are to be, given what somebody wants and whether the kernel describes its structures.
pub(super) fn mechanism(
    wanted: Option<Mechanism>,
    described: bool,
    path: &Path,
) -> Result<Mechanism, CliError> {
    let preflight = |mechanism| {
        attach::preflight(Wanted { mechanism, described }).map_err(|error| CliError::new(error.to_string()))
    };
    let mut found = preflight(wanted)?;
    if found == Mechanism::Tracepoints
        && let Some((ifname, feature)) = attach::merges_datagrams(path)
    {
        let ifname = Printable(ifname);
        if wanted.is_some() {
            output::note(&format!(
                "{ifname} merges datagrams ({feature}), which hooks at tracepoints can not take apart: they look lost; \
                 --attach clsact follows them"
            ));
        } else {
            output::note(&format!(
                "{ifname} merges datagrams ({feature}), which hooks at tracepoints could not take apart"
            ));
            found = preflight(Some(Mechanism::Clsact))?;
        }
    }
    if wanted.is_none() && found == Mechanism::Clsact {
        output::note(
            "so the hooks are filters at clsact: on this kernel attaching and removing them costs packets, and others can not \
             limit bandwidth meanwhile",
        );
    }
    Ok(found)
}

pub(super) fn note_other_tracers(plan: &Plan, mechanism: Mechanism) {
    if attach::other_tracers(plan, mechanism) > 0 {
        let here = if mechanism == Mechanism::Tracepoints { "this host" } else { "these interfaces" };
        output::note(&format!(
            "another hoptrace traces {here}: both go on, and each one's figures contain the other's cost"
        ));
    }
}

/// Says whose an address is that was given with `--mac`, where it is another port's of this host: packets for it go there.
pub(super) fn note_others_addresses(path: &Path, macs: &[MacAddr]) {
    for mac in macs {
        if let Some(other) = path.other_ports.iter().find(|port| port.macs.contains(mac)) {
            output::note(&format!(
                "--mac {mac} is the address of who is at {}: what goes there is followed as this port's, and looks lost",
                Printable(&other.place())
            ));
        }
    }
}

/// Removes what a killed hoptrace has left on the plan's interfaces, and says so.
pub(super) fn remove_leftovers(plan: &Plan) -> Result<(), CliError> {
    let interfaces: Vec<_> = plan.hooks.iter().flat_map(|hook| &hook.interfaces).cloned().collect();
    let removed = attach::remove_leftovers(&interfaces)
        .map_err(|error| CliError::new(Printable(&error.to_string()).to_string()))?;
    let places: BTreeSet<_> =
        removed.iter().map(|leftover| Printable(&leftover.ifname).to_string()).collect();
    if !places.is_empty() {
        let places: Vec<_> = places.into_iter().collect();
        output::note(&format!(
            "removed {} filters that a killed hoptrace had left at {}",
            removed.len(),
            places.join(", ")
        ));
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
    pub(super) fn ask() -> Option<Self> {
        let asking = Instant::now();
        let answer = kernel_btf(KERNEL_BTF).and_then(|btf| Ok(Self { skb: skb_layout(&btf)?, btf }));
        log::info!(
            "asking the kernel for its structures took {:.1} ms",
            asking.elapsed().as_secs_f64() * 1e3
        );
        answer
            .inspect_err(|error| {
                output::note(&format!(
                    "no kernel BTF, so no wire hook, and losses will have no reason: {error}"
                ));
            })
            .ok()
    }

    /// For the program at the upcalls of the path's switch. `None`: there is no kernel datapath; or, with a note, its upcalls
    /// can not be seen.
    pub(super) fn upcalls(&self, path: &Path) -> Option<UpcallOptions> {
        UpcallOptions::of(&self.btf, path).unwrap_or_else(|error| {
            output::note(&format!(
                "the slow path of Open vSwitch (upcalls) is not told from the fast one: {error}"
            ));
            None
        })
    }
}
