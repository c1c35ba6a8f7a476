//! What `ovs-vswitchd` had no room for: its own datapath takes packets from sockets, which lose what does not fit.

use std::{collections::BTreeMap, fs, io};

use super::Counter;
use crate::{
    kernel::packet_sockets,
    model::{EvidenceSource, IfIndex},
};

/// The daemon's name as the kernel keeps it.
const DAEMON: &str = "ovs-vswitchd";
const COUNTER: &str = "packet socket full";

/// The losses at `interfaces`, each by its name. Those of sockets that are not the daemon's are losses of copies.
pub(super) fn look(interfaces: &BTreeMap<IfIndex, String>) -> io::Result<Vec<(Counter, u64)>> {
    let own = daemons_sockets()?;
    let mut lost: BTreeMap<&String, u64> = BTreeMap::new();
    for socket in packet_sockets()?.iter().filter(|socket| own.contains(&socket.inode)) {
        if let Some(name) = interfaces.get(&socket.interface) {
            *lost.entry(name).or_default() += u64::from(socket.drops);
        }
    }
    let counter = |name: &String| (EvidenceSource::Socket, name.clone(), COUNTER.to_owned());
    Ok(lost.into_iter().map(|(name, count)| (counter(name), count)).collect())
}

/// The numbers of the sockets that the daemon has open. A process that ends meanwhile has none.
fn daemons_sockets() -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let folder = process.path();
        if fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.trim_end() == DAEMON) {
            let files = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
            found.extend(files.filter_map(|file| socket_number(fs::read_link(file.path()).ok()?.to_str()?)));
        }
    }
    Ok(found)
}

/// `socket:[157343]`
fn socket_number(target: &str) -> Option<u32> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::socket_number;

    #[test]
    fn files_that_are_sockets_have_a_number() {
        assert_eq!(socket_number("socket:[157343]"), Some(157_343));
        assert_eq!(["pipe:[3]", "/dev/null", "socket:[x]", "socket:[1"].map(socket_number), [None; 4]);
    }
}
