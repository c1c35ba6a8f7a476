//! Debian in a disk image: Open vSwitch and the tools.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{disk, tidy};
use crate::exec::{command, finish_briefly};
use crate::fingerprint::fingerprint;
use crate::lab::Progress;

/// Packages beside Debian's minimum. `libvirt0` because `hoptrace` links it; there is no libvirt daemon.
const PACKAGES: [&str; 19] = [
    "bpftool",
    "busybox-static",
    "conntrack",
    "ethtool",
    "iperf3",
    "iproute2",
    "ipset",
    "iptables",
    "iputils-arping",
    "iputils-ping",
    "kmod",
    "libvirt0",
    "nftables",
    "openvswitch-switch",
    "procps",
    "psmisc",
    "strace",
    "tcpdump",
    "util-linux",
];

/// What nobody reads in a test VM.
const LEFT_OUT: [&str; 4] =
    ["/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*"];

/// Packages must not start services while they are unpacked.
const NO_SERVICES: &str = r##"mkdir -p "$1/usr/sbin"; printf "#!/bin/sh\nexit 101\n" > "$1/usr/sbin/policy-rc.d"; chmod +x "$1/usr/sbin/policy-rc.d""##;

/// Room to write; what is written is thrown away with the VM.
const SPARE_MIB: u64 = 1024;
/// The folder, the image made of it, and a little.
const ROOM_MIB: u64 = 2048;

/// The cached image, or a new one: its name carries a hash of all that it is made from. Older ones are removed.
pub(super) fn ensure(cache_dir: &Path, progress: Progress<'_>) -> Result<PathBuf> {
    let arguments = recipe(&suite());
    let name = format!("userland-{:016x}.ext4", fingerprint(arguments.join("\n").as_bytes()));
    let path = cache_dir.join(&name);
    if path.exists() {
        return Ok(path);
    }
    tidy::ensure_room(cache_dir, ROOM_MIB, "the VM's Debian userland")?;
    progress("building the VM's Debian userland (mmdebstrap)");
    let started = std::time::Instant::now();
    let folder = cache_dir.join(format!("userland.{}", std::process::id()));
    let made = finish_briefly(command("mmdebstrap").args(&arguments).arg(&folder))
        .context("build the VM's userland; it needs Debian's archive")
        .and_then(|_| disk::build(&folder, &path, SPARE_MIB));
    tidy::remove_tree(&folder);
    made?;
    remove_others(cache_dir, &name);
    progress(&format!("the userland took {:.0} s", started.elapsed().as_secs_f32()));
    Ok(path)
}

/// The arguments of mmdebstrap before the folder it fills.
fn recipe(suite: &str) -> Vec<String> {
    let mut arguments = ["--variant=minbase", "--mode=root", "--quiet"].map(str::to_owned).to_vec();
    arguments.push(format!("--include={}", PACKAGES.join(",")));
    // A machine's clock may be behind; the packages are checked by their signatures all the same.
    arguments.push("--aptopt=Acquire::Check-Valid-Until \"false\"".to_owned());
    arguments.extend(LEFT_OUT.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    arguments.push(format!("--setup-hook={NO_SERVICES}"));
    arguments.push(suite.to_owned());
    arguments
}

/// This machine's Debian release, because the VM runs programs that are built here; Debian 12 where this is no Debian.
fn suite() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let is_debian = value("ID").is_some_and(|id| id == "debian");
    value("VERSION_CODENAME").filter(|_| is_debian).unwrap_or_else(|| "bookworm".to_owned())
}

fn remove_others(cache_dir: &Path, current: &str) {
    let Ok(entries) = fs::read_dir(cache_dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_image = name.to_str().is_some_and(|name| name.starts_with("userland-") && name != current);
        if is_image {
            // Best effort: a stale image costs disk space only.
            drop(fs::remove_file(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::recipe;

    #[test]
    fn the_recipe_names_suite_and_packages() {
        let arguments = recipe("bookworm");
        assert_eq!(arguments.last().map(String::as_str), Some("bookworm"));
        assert!(arguments.iter().any(|it| it.starts_with("--include=") && it.contains("openvswitch-switch")));
    }
}
