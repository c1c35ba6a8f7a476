//! Which ports are to be traced, and their paths.

use super::{Note, NoteTo, TraceError};
use crate::{
    model::{InstanceState, Path, Printable, Topology, Traceability},
    path,
};

/// Which ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// Those that these handles mean (a VM's name, UUID, MAC, IP, port or interface).
    Named(Vec<String>),
    /// Every port of the host whose VM is not shut off, and that can be traced.
    All,
}

impl Targets {
    /// The paths of the ports, each once, in the order in which they were named. A port that was not named and cannot be traced is noted and
    /// left out.
    pub(super) fn paths(&self, topology: &Topology, note: NoteTo) -> Result<Vec<Path>, TraceError> {
        let mut paths = Vec::new();
        match self {
            Self::Named(handles) => {
                for handle in handles {
                    let path = path::find(topology, handle)?;
                    if paths.iter().any(|known: &Path| known.instance == path.instance) {
                        continue;
                    }
                    match check(&path, &paths) {
                        Err(why @ TraceError::Untraceable(_)) if handles.len() > 1 => {
                            return Err(TraceError::OfPort { port: handle.clone(), why: Box::new(why) });
                        }
                        checked => checked?,
                    }
                    paths.push(path);
                }
            }
            Self::All => {
                for port in path::ports(topology) {
                    if port.state == Some(InstanceState::ShutOff) {
                        continue;
                    }
                    let found = path::path_of(topology, &port).map_err(TraceError::from);
                    match found.and_then(|path| check(&path, &paths).map(|()| path)) {
                        Ok(path) => paths.push(path),
                        Err(why) => note(&Note::Skipped { port: port.id.title(), why: why.to_string() }),
                    }
                }
            }
        }
        if paths.is_empty() { Err(TraceError::NothingToTrace) } else { Ok(paths) }
    }

    /// Whether a port that can not be traced is left out.
    pub(super) const fn leaves_out(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// Whether the port of `path` can be traced beside others.
pub(super) fn check<'p>(path: &Path, others: impl IntoIterator<Item = &'p Path>) -> Result<(), TraceError> {
    if let Traceability::No { why } = &path.traceability {
        return Err(TraceError::Untraceable(why.clone()));
    }
    match others.into_iter().find(|other| other.instance.mac == path.instance.mac) {
        None => Ok(()),
        Some(other) => Err(TraceError::SameMac {
            port: Printable(&path.instance.title()).to_string(),
            mac: path.instance.mac,
            other: Printable(&other.instance.title()).to_string(),
        }),
    }
}

impl From<&str> for Targets {
    fn from(handle: &str) -> Self {
        Self::Named(vec![handle.to_owned()])
    }
}

impl From<&String> for Targets {
    fn from(handle: &String) -> Self {
        Self::from(handle.as_str())
    }
}

impl From<String> for Targets {
    fn from(handle: String) -> Self {
        Self::Named(vec![handle])
    }
}

impl From<Vec<String>> for Targets {
    fn from(handles: Vec<String>) -> Self {
        Self::Named(handles)
    }
}

impl From<&[String]> for Targets {
    fn from(handles: &[String]) -> Self {
        Self::Named(handles.to_vec())
    }
}

impl<const COUNT: usize> From<[&str; COUNT]> for Targets {
    fn from(handles: [&str; COUNT]) -> Self {
        Self::Named(handles.map(str::to_owned).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::MacAddr, path::testing::hybrid_path};

    fn path_with(mac: u8, name: &str) -> Path {
        let bridge = crate::model::BridgeKind::Linux;
        let names = [("tap", 1), ("qvb", 2), ("qvo", 3), ("eth0", 4)];
        let mut path = hybrid_path(names, "qbr", &bridge);
        path.instance.mac = MacAddr([2, 0, 0, 0, 0, mac]);
        path.instance.display_name = Some(name.to_owned());
        path
    }

    #[test]
    fn two_ports_with_one_mac_address_cannot_be_told_apart() {
        let [one, other, twin] =
            [(1, "one"), (2, "other"), (1, "twin")].map(|(mac, name)| path_with(mac, name));
        assert!(check(&other, [&one]).is_ok());
        let error = check(&twin, [&other, &one]).unwrap_err().to_string();
        assert!(error.contains("twin has the MAC address of one"), "{error}");
    }
}
