//! Why a handle leads to no path. Texts from outside are escaped here, once.

use crate::model::{InstanceState, Printable, StaleRow, VmPort};

/// No path for that handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing to look for.
    #[error("the VM's name is empty: give an instance name, UUID, MAC, IP, port id or interface")]
    Empty,
    /// No source knows any port.
    #[error("no VM is known on this host, so there is no {}", Printable(.handle))]
    NothingKnown {
        /// What was asked for.
        handle: String,
    },
    /// Nothing of that name.
    #[error("no VM or port is called {}{}", Printable(.handle), suggestions(.close))]
    Unknown {
        /// What was asked for.
        handle: String,
        /// What it may have meant, best first.
        close: Vec<String>,
    },
    /// An interface that belongs to the host.
    #[error("{} is an interface of this host, but no known VM's; `hoptrace list` shows the VMs", Printable(.handle))]
    OfTheHost {
        /// What was asked for.
        handle: String,
    },
    /// What a VM that is gone left in the switch.
    #[error("{} is a leftover on {}: {}{}", Printable(&.row.ifname), Printable(&.row.bridge), Printable(&.row.why), to_remove(&.row.remove))]
    Leftover {
        /// What was found of it.
        row: Box<StaleRow>,
    },
    /// A VM without any port.
    #[error("{} has no network interface to trace", Printable(.handle))]
    NoPort {
        /// What was asked for.
        handle: String,
    },
    /// More than one port.
    #[error("{} means more than one port; name one of them: {}", Printable(.handle), list(.ports))]
    Ambiguous {
        /// What was asked for.
        handle: String,
        /// What it can mean.
        ports: Vec<VmPort>,
    },
    /// A port whose packets no hook can see.
    #[error("{} cannot be traced: {what}", Printable(.port))]
    OutsideKernel {
        /// Which port.
        port: String,
        /// What it is, and what else shows its packets; escaped.
        what: String,
    },
    /// A port in a layout that is not supported.
    #[error("{} is plugged in a way hoptrace does not know: {found}", Printable(.port))]
    UnknownLayout {
        /// Which port.
        port: String,
        /// What was found instead, escaped.
        found: String,
    },
}

impl PathError {
    /// What is wrong with a port, where it is clear which one.
    pub(super) fn of_port(&self) -> String {
        match self {
            Self::OutsideKernel { what, .. } => what.clone(),
            Self::UnknownLayout { found, .. } => format!("plugged in a way hoptrace does not know: {found}"),
            _ => self.to_string(),
        }
    }
}

fn to_remove(commands: &[String]) -> String {
    if commands.is_empty() { String::new() } else { format!("; to remove it: {}", commands.join("; ")) }
}

fn suggestions(close: &[String]) -> String {
    if close.is_empty() {
        return "; `hoptrace list` shows what there is".to_owned();
    }
    let names: Vec<_> = close.iter().map(|name| Printable(name).to_string()).collect();
    format!("; did you mean {}?", names.join(", "))
}

fn list(ports: &[VmPort]) -> String {
    let shown = ports.iter().take(10).map(|port| {
        let id = port.id.port_id.clone().unwrap_or_else(|| port.id.mac.to_string());
        let ips = port.id.ips.iter().fold(String::new(), |text, ip| format!("{text} {ip}"));
        let off = if port.state == Some(InstanceState::ShutOff) { ", shut off" } else { "" };
        format!("{} ({}{ips}, {}{off})", Printable(&id), port.id.mac, Printable(&port.id.title()))
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if ports.len() > 10 {
        text.push_str(", …");
    }
    text
}
