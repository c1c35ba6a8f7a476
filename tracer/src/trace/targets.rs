//! Which ports are to be traced, and their paths.

use super::{Note, TraceError, TraceOptions};
use crate::{
    model::{InstanceState, Path, Printable, Topology, Traceability},
    path,
};

/// Which ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// Those that these handles mean (a VM's name, UUID, MAC, IP, port or interface). A port that is named twice is one port.
    Named(Vec<String>),
    /// Every port of the host whose VM is not shut off, and that can be traced.
    All,
}

impl Targets {
    /// The paths of the ports, each once, in the order in which they were named. A port that was not named and cannot be traced is noted and
    /// left out.
    ///
    /// # Errors
    /// When a handle means no port, or several; when one of several named ports cannot be traced; when there is none to trace; when
    /// options are about one port, and there are several.
    pub(super) fn paths(&self, topology: &Topology, options: &TraceOptions) -> Result<Vec<Path>, TraceError> {
        let paths = match self {
            Self::Named(handles) => named(topology, handles)?,
            Self::All => all(topology, options),
        };
        match paths.len() {
            0 => Err(TraceError::NothingToTrace),
            1 => Ok(paths),
            _ if options.macs.is_empty() => Ok(paths),
            _ => Err(TraceError::OnePortOnly { what: "further addresses (--mac) can be given" }),
        }
    }

    /// Whether a port that can not be traced is left out.
    pub(super) const fn leaves_out(&self) -> bool {
        matches!(self, Self::All)
    }
}

fn named(topology: &Topology, handles: &[String]) -> Result<Vec<Path>, TraceError> {
    let mut paths: Vec<Path> = Vec::new();
    for handle in handles {
        let path = path::find(topology, handle)?;
        if !paths.iter().any(|known| known.instance == path.instance) {
            paths.push(path);
        }
    }
    // Of one port it is said when it is attached to.
    if paths.len() > 1 {
        for (place, path) in paths.iter().enumerate() {
            check(path, paths.iter().take(place))?;
        }
    }
    Ok(paths)
}

fn all(topology: &Topology, options: &TraceOptions) -> Vec<Path> {
    let mut paths: Vec<Path> = Vec::new();
    for port in path::ports(topology) {
        if port.state == Some(InstanceState::ShutOff) {
            continue;
        }
        let why = match path::path_of(topology, &port) {
            Ok(Path { traceability: Traceability::No { why }, .. }) => why,
            Ok(path) => match has_own_address(&path, &paths) {
                Ok(()) => {
                    paths.push(path);
                    continue;
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        (options.note)(&Note::Skipped { port: port.id.title(), why });
    }
    paths
}

/// Whether the port of `path` can be traced beside others.
pub(super) fn check<'p>(path: &Path, others: impl IntoIterator<Item = &'p Path>) -> Result<(), TraceError> {
    if let Traceability::No { why } = &path.traceability {
        return Err(TraceError::Untraceable(format!("{}: {why}", Printable(&path.instance.title()))));
    }
    has_own_address(path, others)
}

fn has_own_address<'p>(path: &Path, others: impl IntoIterator<Item = &'p Path>) -> Result<(), TraceError> {
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
    use crate::{
        path::testing::{remove_link, two_vms},
        trace::NoteTo,
    };

    const MACS: [&str; 2] = ["fa:16:3e:21:1b:4b", "fa:16:3e:5c:90:d2"];
    const NAMES: [&str; 2] = ["yjwang-test-1", "yjwang-test-2"];

    fn told(note: NoteTo) -> TraceOptions {
        TraceOptions { note, ..TraceOptions::default() }
    }

    fn titles(paths: &[Path]) -> Vec<String> {
        paths.iter().map(|path| path.instance.title()).collect()
    }

    fn found(targets: impl Into<Targets>) -> Vec<String> {
        titles(&targets.into().paths(&two_vms(), &told(|note| panic!("{note}"))).unwrap())
    }

    fn error(topology: &Topology, targets: impl Into<Targets>) -> String {
        targets.into().paths(topology, &TraceOptions::default()).unwrap_err().to_string()
    }

    #[test]
    fn a_port_that_is_named_twice_is_one() {
        assert_eq!(found([MACS[0], "tapc3d70d5c-a9", NAMES[0]]), NAMES[..1]);
    }

    #[test]
    fn several_are_in_the_order_they_were_named_in() {
        assert_eq!(found([MACS[1], MACS[0]]), [NAMES[1], NAMES[0]]);
        assert_eq!(found(Targets::All), NAMES);
    }

    #[test]
    fn a_name_that_means_nothing_is_an_error_and_so_is_none() {
        assert!(error(&two_vms(), [MACS[0], "nobody"]).starts_with("no VM or port is called nobody"));
        for (topology, targets) in [(two_vms(), Targets::from([])), (Topology::default(), Targets::All)] {
            let said = error(&topology, targets);
            assert!(said.contains("no port to trace") && said.contains("hoptrace list"), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_traced_is_left_out_of_all_and_an_error_by_name() {
        let mut topology = two_vms();
        remove_link(&mut topology, "tapc3d70d5c-a9");
        let options = told(|note| assert!(note.to_string().starts_with("yjwang-test-1 is not traced: ")));
        let paths = Targets::All.paths(&topology, &options).unwrap();
        assert_eq!(titles(&paths), NAMES[1..]);
        let said = error(&topology, MACS);
        assert!(said.starts_with("cannot trace: yjwang-test-1: "), "{said}");
    }

    #[test]
    fn a_vm_that_is_shut_off_is_left_out_of_all_without_a_word() {
        let mut topology = two_vms();
        topology.instances[0].state = InstanceState::ShutOff;
        let paths = Targets::All.paths(&topology, &told(|note| panic!("{note}"))).unwrap();
        assert_eq!(titles(&paths), NAMES[1..]);
    }

    #[test]
    fn a_further_address_is_one_port_s() {
        let options = TraceOptions { macs: vec![MACS[1].parse().unwrap()], ..TraceOptions::default() };
        let said = Targets::All.paths(&two_vms(), &options).unwrap_err().to_string();
        assert!(said.contains("--mac") && said.ends_with("of one port only: name one"), "{said}");
        assert_eq!(Targets::from(NAMES[0]).paths(&two_vms(), &options).unwrap().len(), 1);
    }

    #[test]
    fn two_ports_with_one_mac_address_cannot_be_told_apart() {
        let paths = Targets::All.paths(&two_vms(), &TraceOptions::default()).unwrap();
        let mut twin = paths[1].clone();
        twin.instance.mac = paths[0].instance.mac;
        assert!(check(&paths[1], &paths[..1]).is_ok());
        let said = check(&twin, &paths).unwrap_err().to_string();
        assert!(said.contains("yjwang-test-2 has the MAC address of yjwang-test-1"), "{said}");
    }
}
