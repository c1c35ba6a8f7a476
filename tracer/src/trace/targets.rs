//! Which ports are traced.

use super::{Note, NoteTo, TraceError, TraceOptions};
use crate::{
    model::{Path, Printable, Topology, Traceability},
    path::{PathError, find, path_of, ports},
};

/// Which ports are traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// The ports that these mean: a VM's name, UUID, MAC, IP, port or interface. One that is named twice is one port.
    Named(Vec<String>),
    /// Every port of the host that can be traced.
    All,
}

impl Targets {
    /// Their paths: those of names in the order of the names, all of the host's in the order of the VMs' names. Ports that cannot be
    /// traced are left out of all, with a note.
    ///
    /// # Errors
    /// When a name means no port, or several; when one of several named ports cannot be traced; when the host has no port that can;
    /// when options are about one port, and there are several.
    pub(super) fn paths(&self, topology: &Topology, options: &TraceOptions) -> Result<Vec<Path>, TraceError> {
        let paths = match self {
            Self::Named(names) => named(topology, names),
            Self::All => all(topology, options.note),
        }?;
        match options.macs.first() {
            Some(mac) if paths.len() > 1 => Err(TraceError::WhoseAddress(*mac)),
            _ => Ok(paths),
        }
    }
}

fn named(topology: &Topology, names: &[String]) -> Result<Vec<Path>, TraceError> {
    let mut paths: Vec<Path> = Vec::new();
    for name in names {
        let path = find(topology, name)?;
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(PathError::Empty.into());
    }
    // Of one port it is said where it is attached to.
    let untraceable = paths.iter().filter(|_| paths.len() > 1).find_map(|path| match &path.traceability {
        Traceability::No { why } => Some(format!("{}: {why}", Printable(&path.instance.title()))),
        Traceability::Fully | Traceability::Partly { .. } => None,
    });
    match untraceable {
        Some(why) => Err(TraceError::Untraceable(why)),
        None => Ok(paths),
    }
}

fn all(topology: &Topology, note: NoteTo) -> Result<Vec<Path>, TraceError> {
    let (mut paths, mut left_out) = (Vec::new(), Vec::new());
    for port in ports(topology) {
        match path_of(topology, &port) {
            Ok(path) if !matches!(path.traceability, Traceability::No { .. }) => paths.push(path),
            Ok(_) | Err(_) => left_out.push(port.id.title()),
        }
    }
    if paths.is_empty() {
        return Err(TraceError::NoPorts);
    }
    if !left_out.is_empty() {
        note(&Note::LeftOut(left_out));
    }
    paths.sort_by_cached_key(|path| (path.instance.title(), path.instance.mac));
    Ok(paths)
}

/// The only one of them. Programs do not tell ports apart yet.
///
/// # Errors
/// When there are several.
pub(super) fn only(paths: Vec<Path>) -> Result<Path, TraceError> {
    let count = paths.len();
    let mut paths = paths.into_iter();
    match (paths.next(), paths.next()) {
        (Some(path), None) => Ok(path),
        _ => Err(TraceError::SeveralPorts(count)),
    }
}

impl From<&str> for Targets {
    fn from(name: &str) -> Self {
        Self::Named(vec![name.to_owned()])
    }
}

impl From<&String> for Targets {
    fn from(name: &String) -> Self {
        Self::from(name.as_str())
    }
}

impl From<String> for Targets {
    fn from(name: String) -> Self {
        Self::Named(vec![name])
    }
}

impl From<Vec<String>> for Targets {
    fn from(names: Vec<String>) -> Self {
        Self::Named(names)
    }
}

impl From<&[&str]> for Targets {
    fn from(names: &[&str]) -> Self {
        Self::Named(names.iter().map(|name| (*name).to_owned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::testing::{remove_link, two_vms};

    const MACS: [&str; 2] = ["fa:16:3e:21:1b:4b", "fa:16:3e:5c:90:d2"];
    const NAMES: [&str; 2] = ["yjwang-test-1", "yjwang-test-2"];

    fn told(note: NoteTo) -> TraceOptions {
        TraceOptions { note, ..TraceOptions::default() }
    }

    fn titles(targets: impl Into<Targets>) -> Vec<String> {
        let paths = targets.into().paths(&two_vms(), &told(|note| panic!("{note}"))).unwrap();
        paths.iter().map(|path| path.instance.title()).collect()
    }

    fn error(topology: &Topology, targets: &[&str]) -> String {
        Targets::from(targets).paths(topology, &TraceOptions::default()).unwrap_err().to_string()
    }

    #[test]
    fn a_port_that_is_named_twice_is_one() {
        assert_eq!(titles(&[MACS[0], "tapc3d70d5c-a9", NAMES[0]][..]), NAMES[..1]);
    }

    #[test]
    fn several_are_in_the_order_they_were_named_in() {
        assert_eq!(titles(&[MACS[1], MACS[0]][..]), [NAMES[1], NAMES[0]]);
        assert_eq!(titles(Targets::All), NAMES);
    }

    #[test]
    fn a_name_that_means_nothing_is_an_error_and_so_is_none() {
        assert!(error(&two_vms(), &[MACS[0], "nobody"]).starts_with("no VM or port is called nobody"));
        assert!(error(&two_vms(), &[]).contains("is empty"));
        let nothing = Targets::All.paths(&Topology::default(), &TraceOptions::default());
        assert!(matches!(nothing, Err(TraceError::NoPorts)));
    }

    #[test]
    fn what_cannot_be_traced_is_left_out_of_all_and_an_error_by_name() {
        let mut topology = two_vms();
        remove_link(&mut topology, "tapc3d70d5c-a9");
        let options = told(|note| assert_eq!(*note, Note::LeftOut(vec![NAMES[0].to_owned()])));
        let paths = Targets::All.paths(&topology, &options).unwrap();
        assert_eq!(paths.iter().map(|path| path.instance.title()).collect::<Vec<_>>(), NAMES[1..]);
        let said = error(&topology, &MACS);
        assert!(said.starts_with("cannot trace: yjwang-test-1: "), "{said}");
    }

    #[test]
    fn a_further_address_is_one_port_s() {
        let options = TraceOptions { macs: vec![MACS[1].parse().unwrap()], ..TraceOptions::default() };
        let said = Targets::All.paths(&two_vms(), &options).unwrap_err().to_string();
        assert!(said.contains("--mac fa:16:3e:5c:90:d2") && said.contains("name one port"), "{said}");
        assert_eq!(Targets::from(NAMES[0]).paths(&two_vms(), &options).unwrap().len(), 1);
    }

    #[test]
    fn several_are_refused_in_one_line() {
        let paths = Targets::All.paths(&two_vms(), &TraceOptions::default()).unwrap();
        let said = only(paths.clone()).unwrap_err().to_string();
        assert!(said.starts_with("several ports in one trace need") && said.contains("2 ports"), "{said}");
        assert_eq!(only(paths[..1].to_vec()).unwrap(), paths[0]);
    }
}
