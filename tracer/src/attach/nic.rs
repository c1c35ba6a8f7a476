//! Offloads of interfaces: which merge packets, and what attaching XDP changes at a NIC.

use std::fs;

use crate::{
    kernel::ethtool,
    model::{HookPlan, Path, Plan, XdpMode},
};

/// Merges received packets.
const GRO: (&str, u32) = ("generic-receive-offload", 0x2b);
/// What `ethtool -k` shows first, and the command that asks for it.
const OFFLOADS: [(&str, u32); 7] = [
    ("rx-checksumming", 0x14),
    ("tx-checksumming", 0x16),
    ("scatter-gather", 0x18),
    ("tcp-segmentation-offload", 0x1e),
    ("generic-segmentation-offload", 0x23),
    (GRO.0, GRO.1),
    (LRO, 0x25),
];
/// One bit of several that come together.
const LRO: &str = "large-receive-offload";
const ETH_FLAG_LRO: u32 = 1 << 15;
const VETH: &str = "veth";

/// A NIC with an XDP program, as it was before that was attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nic {
    ifname: String,
    mode: XdpMode,
    driver: Option<String>,
    before: State,
}

/// What may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    /// Whether each of [`OFFLOADS`] is on; `None` where the kernel does not say.
    offloads: Vec<Option<bool>>,
    /// How often the carrier went away.
    carrier_losses: Option<u64>,
}

/// Whether the interface of `hook` merges packets before the hook sees them. Behind native XDP it is taken for granted:
/// attaching may switch that on.
pub(super) fn merges(hook: &HookPlan, plan: &Plan) -> bool {
    let mut native = plan.xdp_hooks().filter(|(_, mode, _)| *mode == XdpMode::Native);
    hook.interfaces
        .iter()
        .any(|interface| is_merging(&interface.ifname) || native.any(|(_, _, nic)| nic == interface))
}

/// Whether the interface merges packets that it receives (GRO).
#[must_use]
pub fn is_merging(ifname: &str) -> bool {
    ethtool::value(ifname, GRO.1).is_some_and(|on| on != 0)
}

/// An interface of the path that merges datagrams before hooks see them, and the feature that does.
#[must_use]
pub fn merges_datagrams(path: &Path) -> Option<(&str, &'static str)> {
    const FEATURES: [&str; 2] = ["rx-udp-gro-forwarding", "rx-gro-list"];
    path.hops().find_map(|hop| {
        let on = ethtool::features(&hop.ifname);
        let feature = FEATURES.into_iter().find(|feature| on.iter().any(|it| it == feature))?;
        Some((hop.ifname.as_str(), feature))
    })
}

impl Nic {
    /// Looks at it.
    pub(crate) fn look(ifname: &str, mode: XdpMode) -> Self {
        Self { ifname: ifname.to_owned(), mode, driver: ethtool::driver(ifname), before: State::look(ifname) }
    }

    /// What is different now, in one line.
    pub(crate) fn changes(&self) -> String {
        self.compared(&State::look(&self.ifname))
    }

    fn compared(&self, now: &State) -> String {
        let mut changes: Vec<String> = Vec::new();
        for (((name, _), before), now) in OFFLOADS.iter().zip(&self.before.offloads).zip(&now.offloads) {
            match (before, now) {
                (Some(false), Some(true)) => changes.push(format!("{name} went on")),
                (Some(true), Some(false)) => changes.push(format!("{name} went off")),
                _ => {}
            }
        }
        if let (Some(before), Some(now)) = (self.before.carrier_losses, now.carrier_losses)
            && now > before
        {
            changes.push(format!("the link went down {} time(s)", now - before));
        }
        if changes.is_empty() {
            changes.push("offloads and link are as before".to_owned());
        }
        let driver = self.driver.as_deref().unwrap_or("unknown");
        let also = match self.mode {
            XdpMode::Native if driver == VETH => {
                "; its peer now cuts large packets into frames before they come here"
            }
            XdpMode::Native => "",
            XdpMode::Generic => "; the kernel copies packets that are not in one piece of memory",
        };
        format!(
            "{mode} XDP at {ifname} (driver {driver}): {changes}{also}",
            mode = self.mode.name(),
            ifname = self.ifname,
            changes = changes.join(", ")
        )
    }
}

impl State {
    fn look(ifname: &str) -> Self {
        let offload = |(name, command): &(&str, u32)| {
            let value = ethtool::value(ifname, *command)?;
            Some(if *name == LRO { value & ETH_FLAG_LRO != 0 } else { value != 0 })
        };
        let losses = fs::read_to_string(format!("/sys/class/net/{ifname}/carrier_down_count"));
        Self {
            offloads: OFFLOADS.iter().map(offload).collect(),
            carrier_losses: losses.ok().and_then(|text| text.trim().parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(mode: XdpMode, driver: &str) -> Nic {
        let before = State {
            offloads: vec![
                Some(true),
                Some(true),
                Some(true),
                Some(true),
                Some(true),
                Some(false),
                Some(true),
            ],
            carrier_losses: Some(3),
        };
        Nic { ifname: "ens3".to_owned(), mode, driver: Some(driver.to_owned()), before }
    }

    #[test]
    fn what_changed_is_named_and_nothing_else() {
        let nic = nic(XdpMode::Native, "ixgbe");
        let mut now = nic.before.clone();
        assert_eq!(nic.compared(&now), "native XDP at ens3 (driver ixgbe): offloads and link are as before");
        now.offloads[5] = Some(true);
        now.offloads[6] = Some(false);
        now.carrier_losses = Some(4);
        assert_eq!(
            nic.compared(&now),
            "native XDP at ens3 (driver ixgbe): generic-receive-offload went on, large-receive-offload went off, the \
             link went down 1 time(s)"
        );
    }

    #[test]
    fn what_nobody_can_see_here_is_said() {
        let said = |nic: Nic| nic.compared(&nic.before.clone());
        assert!(
            said(nic(XdpMode::Native, "veth"))
                .ends_with("its peer now cuts large packets into frames before they come here")
        );
        assert!(
            said(nic(XdpMode::Generic, "veth"))
                .ends_with("the kernel copies packets that are not in one piece of memory")
        );
    }

    #[test]
    fn the_loopback_interface_answers() {
        let lo = State::look("lo");
        assert_eq!(lo.offloads.len(), OFFLOADS.len());
        assert!(lo.offloads.iter().flatten().count() > 4, "{lo:?}");
    }
}
