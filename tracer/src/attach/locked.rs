//! The memory that the kernel keeps for our maps.

use std::{collections::BTreeMap, fs, path::Path};

/// Bytes of kernel memory behind all eBPF maps this process holds, by the kernel's own count.
pub(super) fn locked_bytes() -> u64 {
    in_folder(Path::new("/proc/self/fdinfo"))
}

/// A map can be held more than once; it counts once.
fn in_folder(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let maps: BTreeMap<u64, u64> =
        files.filter_map(|file| map(&fs::read_to_string(file.path()).ok()?)).collect();
    maps.values().sum()
}

/// Id and bytes of the map that a file of `fdinfo` describes.
fn map(text: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    Some((field("map_id:")?, field("memlock:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_map_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("1", "pos:\t0\nmap_type:\t2\nmax_entries:\t8\nmemlock:\t4096\nmap_id:\t11\n");
        write("2", "map_type:\t2\nmemlock:\t4096\nmap_id:\t11\n");
        write("3", "map_type:\t27\nmemlock:\t100000\nmap_id:\t12\n");
        write("4", "prog_type:\t3\nmemlock:\t8192\nprog_id:\t5\n");
        write("5", "pos:\t0\n");
        assert_eq!(in_folder(folder.path()), 104_096);
    }
}
