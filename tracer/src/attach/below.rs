//! The interfaces below another one: a bond's members, what a VLAN interface stands on. By sysfs.

use std::{fs, path::Path};

use crate::{
    kernel::interface_index,
    model::{Interface, Mechanism, Plan, Side},
};

/// Devices below each other at most: a VLAN on a bond.
const MAX_DEPTH: u32 = 3;

/// What is below `ifname`, directly. Below a tunnel's device packets are inside of others, and a bridge's ports are beside it.
pub(crate) fn lower(ifname: &str) -> Vec<Interface> {
    if hides_lower(ifname) {
        return Vec::new();
    }
    let entries = fs::read_dir(folder(ifname)).into_iter().flatten().flatten();
    let below = entries.filter_map(|entry| {
        let ifname = entry.file_name().to_str()?.strip_prefix("lower_")?.to_owned();
        let ifindex = interface_index(&ifname)?;
        Some(Interface { ifname, ifindex })
    });
    below.collect()
}

/// The same, but for bonds that send a copy by each of their members.
pub(crate) fn carriers(ifname: &str) -> Vec<Interface> {
    if mode(ifname).starts_with("broadcast") { Vec::new() } else { lower(ifname) }
}

/// All that is below `top`, given what is below each directly.
pub(crate) fn all_below(top: &str, lower: &impl Fn(&str) -> Vec<Interface>) -> Vec<Interface> {
    within(top, lower, MAX_DEPTH)
}

fn within(top: &str, lower: &impl Fn(&str) -> Vec<Interface>, depth: u32) -> Vec<Interface> {
    let mut all = Vec::new();
    for interface in lower(top) {
        let further = if depth > 1 { within(&interface.ifname, lower, depth - 1) } else { Vec::new() };
        all.push(interface);
        all.extend(further);
    }
    all
}

/// The members of bonds below the hooks of `plan` that packets are seen at, whatever the bond makes of them: what an inactive one receives
/// the bond throws away.
#[must_use]
pub fn members(plan: &Plan, mechanism: Mechanism) -> Vec<Interface> {
    if mechanism != Mechanism::Tracepoints {
        return Vec::new();
    }
    let hooks = plan.hooks.iter().filter(|hook| hook.side == Side::Ingress && !hook.is_neighbour());
    let below = hooks.flat_map(|hook| &hook.interfaces).flat_map(|top| all_below(&top.ifname, &lower));
    // Members of balance-alb receive what is for them while they are inactive, too.
    below
        .filter(|it| {
            mode(&master(&it.ifname))
                .split(' ')
                .next()
                .is_some_and(|mode| !mode.is_empty() && mode != "balance-alb")
        })
        .collect()
}

fn hides_lower(ifname: &str) -> bool {
    let about = fs::read_to_string(folder(ifname).join("uevent")).unwrap_or_default();
    about.lines().any(|line| matches!(line, "DEVTYPE=vxlan" | "DEVTYPE=geneve" | "DEVTYPE=bridge"))
}

/// How a bond spreads packets over its members, as `NAME NUMBER`; empty for what is no bond.
fn mode(ifname: &str) -> String {
    fs::read_to_string(folder(ifname).join("bonding/mode")).unwrap_or_default()
}

fn master(ifname: &str) -> String {
    let link = fs::read_link(folder(ifname).join("master")).unwrap_or_default();
    link.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn folder(ifname: &str) -> std::path::PathBuf {
    Path::new("/sys/class/net").join(ifname)
}
