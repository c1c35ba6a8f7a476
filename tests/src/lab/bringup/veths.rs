//! A guest that is the other end of a veth pair.

use anyhow::{Context as _, Result};

use super::links::never_probe;
use super::namespaces::quiet;
use crate::exec::run;
use crate::lab::description::Guest;
use crate::lab::{Lab, spec};

const INTERFACE: &str = "eth0";

/// Makes the guest's end of the path. Guest and wire know each other's hardware addresses for good, so that nothing but
/// what is sent on purpose crosses the path.
pub(super) fn start_guests(lab: &mut Lab) -> Result<()> {
    let wire = lab.wire.clone();
    for guest in &mut lab.guests {
        start(guest).with_context(|| format!("start the guest {}", guest.domain))?;
        let netns = spec::guest_netns(&guest.domain);
        for (netns, interface, addresses, mac) in [
            (&netns, INTERFACE, [wire.ipv4.to_string(), wire.ipv6.to_string()], &wire.mac),
            (&wire.netns, &wire.interface, [guest.ipv4.to_string(), guest.ipv6.to_string()], &guest.mac),
        ] {
            for address in &addresses {
                let entry =
                    ["neigh", "replace", address, "lladdr", mac, "dev", interface, "nud", "permanent"];
                run("ip", &[&["-n", netns][..], &entry].concat())?;
            }
        }
    }
    Ok(())
}

fn start(guest: &mut Guest) -> Result<()> {
    let netns = spec::guest_netns(&guest.domain);
    run("ip", &["netns", "add", &netns])?;
    quiet(&format!("/run/netns/{netns}"))?;
    let pair = ["type", "veth", "peer", "name", INTERFACE, "netns", &netns, "address", &guest.mac];
    run("ip", &[&["link", "add", &guest.tap], &pair[..]].concat())?;
    never_probe(&netns, INTERFACE)?;
    let in_guest = |words: &[&str]| run("ip", &[&["-n", &netns][..], words].concat()).map(drop);
    in_guest(&["link", "set", "lo", "up"])?;
    in_guest(&["link", "set", INTERFACE, "up"])?;
    in_guest(&["address", "add", &format!("{}/{}", guest.ipv4, spec::IPV4_PREFIX_BITS), "dev", INTERFACE])?;
    let ipv6 = format!("{}/{}", guest.ipv6, spec::IPV6_PREFIX_BITS);
    in_guest(&["address", "add", &ipv6, "dev", INTERFACE, "nodad"])?;
    run("ip", &["link", "set", &guest.tap, "master", &guest.qbr, "up"])?;
    guest.netns = Some(netns);
    Ok(())
}
