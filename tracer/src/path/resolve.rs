//! A handle → exactly one port.

use std::net::IpAddr;

use super::{PathError, close::close_matches, leftovers, ports::short_id};
use crate::model::{MacAddr, Topology, VmPort};

/// A shorter piece of a UUID is no handle: it could be a word.
const MIN_PREFIX_BYTES: usize = 4;

/// Finds the one port a handle means: UUID, MAC, port id or interface name; else a fixed IP; else a domain's or a display name; else
/// a unique beginning of a UUID or port id. A name that was chosen freely never hides what is unique by itself.
///
/// # Errors
/// When it means none (with close matches) or several (with all of them).
pub fn resolve(topology: &Topology, ports: &[VmPort], handle: &str) -> Result<VmPort, PathError> {
    let handle = handle.trim();
    if handle.is_empty() {
        return Err(PathError::Empty);
    }
    let handle_of = Handle::new(topology, handle);
    for matches in [Handle::is_unique_to, Handle::is_address_of, Handle::is_name_of, Handle::begins] {
        let found: Vec<&VmPort> = ports.iter().filter(|port| matches(&handle_of, port)).collect();
        match found.as_slice() {
            [] => {}
            [port] => return Ok((*port).clone()),
            several => {
                let ports = several.iter().map(|port| (*port).clone()).collect();
                return Err(PathError::Ambiguous { handle: handle.to_owned(), ports });
            }
        }
    }
    let handle = handle.to_owned();
    let without_port = topology.instances.iter().any(|instance| {
        instance.interfaces.is_empty()
            && (instance.name == handle
                || instance.display_name.as_ref() == Some(&handle)
                || instance.uuid.eq_ignore_ascii_case(&handle))
    });
    if let Some(row) = leftovers(topology).into_iter().find(|row| row.is_called(&handle)) {
        Err(PathError::Leftover { row: Box::new(row) })
    } else if without_port {
        Err(PathError::NoPort { handle })
    } else if ports.is_empty() {
        Err(PathError::NothingKnown { handle })
    } else if topology.link(&handle).is_some() {
        Err(PathError::OfTheHost { handle })
    } else {
        Err(PathError::Unknown { close: close_matches(ports, &handle), handle })
    }
}

/// What was asked for, in all the forms it could have.
struct Handle<'a> {
    text: &'a str,
    lower: String,
    mac: Option<MacAddr>,
    ip: Option<IpAddr>,
    /// The OVS interface behind a veth end that was named (`qvb` → `qvo`).
    behind_veth: Option<&'a str>,
}

impl<'a> Handle<'a> {
    fn new(topology: &'a Topology, text: &'a str) -> Self {
        let peer = topology.link(text).and_then(|link| topology.veth_peer(link));
        Self {
            text,
            lower: text.to_ascii_lowercase(),
            mac: text.parse().ok(),
            ip: text.trim_matches(['[', ']']).parse().ok(),
            behind_veth: peer.map(|link| link.name.as_str()),
        }
    }

    fn is_unique_to(&self, port: &VmPort) -> bool {
        let ids = [&port.id.uuid, &port.id.port_id].into_iter().flatten();
        ids.map(|uuid| uuid.to_ascii_lowercase()).any(|uuid| uuid == self.lower)
            || self.mac == Some(port.id.mac)
            || self.is_interface_of(port)
    }

    fn is_address_of(&self, port: &VmPort) -> bool {
        self.ip.is_some_and(|ip| port.id.ips.contains(&ip))
    }

    fn is_name_of(&self, port: &VmPort) -> bool {
        let mut names = [&port.id.name, &port.id.display_name].into_iter().flatten();
        names.any(|name| name == self.text)
    }

    fn is_interface_of(&self, port: &VmPort) -> bool {
        let known = [port.tap.as_deref(), port.ovs_interface.as_deref()];
        let by_short_id = || {
            let short = ["tap", "qbr", "qvb", "qvo"].iter().find_map(|prefix| self.text.strip_prefix(prefix));
            let id = port.id.port_id.as_deref().map(short_id);
            id.is_some() && id == short
        };
        known.contains(&Some(self.text))
            || port.stale_rows.iter().any(|row| row == self.text)
            || (self.behind_veth.is_some() && port.ovs_interface.as_deref() == self.behind_veth)
            || by_short_id()
    }

    fn begins(&self, port: &VmPort) -> bool {
        let like_uuid = self.text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        self.text.len() >= MIN_PREFIX_BYTES
            && like_uuid
            && [&port.id.uuid, &port.id.port_id]
                .into_iter()
                .flatten()
                .any(|uuid| uuid.starts_with(&self.lower))
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
