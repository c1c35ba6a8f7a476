//! What the project needs, and how to see whether it is there. Every look is a file test or one short command: a second
//! set-up takes well under two seconds.

use std::path::Path;

use super::toolchain;

/// One line of the table.
pub(super) struct Item {
    pub(super) name: &'static str,
    found: Result<String, String>,
    pub(super) remedy: Remedy,
}

/// How to get what is missing.
pub(super) enum Remedy {
    Packages(Vec<&'static str>),
    /// Debian's compiler, then make it known to rustup.
    PackagesAndLink(Vec<&'static str>),
    BpfLinker,
    Rustup(&'static str),
}

impl Remedy {
    /// What a person would do.
    pub(super) fn instruction(&self) -> String {
        match self {
            Self::Packages(packages) => format!("the distribution's counterpart of {}", packages.join(" ")),
            Self::PackagesAndLink(packages) => format!(
                "a nightly toolchain with rust-src (rustup toolchain install nightly --component rust-src), or on Debian {} and \
                 `rustup toolchain link {} /usr`",
                packages.join(" "),
                toolchain::DEBIAN_TOOLCHAIN
            ),
            Self::BpfLinker => {
                format!("{} (or cargo binstall bpf-linker)", toolchain::BPF_LINKER_COMMAND)
            }
            Self::Rustup(component) => format!("rustup component add {component}"),
        }
    }
}

impl Item {
    fn new(name: &'static str, found: Result<String, String>, remedy: Remedy) -> Self {
        Self { name, found, remedy }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.found.is_err()
    }

    /// Name, state, detail.
    pub(super) fn row(&self) -> [String; 3] {
        let (state, detail) = match &self.found {
            Ok(detail) => ("ok", detail),
            Err(detail) => ("missing", detail),
        };
        [self.name.to_owned(), state.to_owned(), detail.clone()]
    }
}

/// Debian packages by what of theirs must exist. A file instead of dpkg's word: it also holds where things were
/// installed in another way.
const LAB: [(&str, &str); 22] = [
    ("libvirt-daemon-system", "/usr/sbin/libvirtd"),
    ("libvirt-daemon-system", "/usr/sbin/virtlogd"),
    ("libvirt-clients", "/usr/bin/virsh"),
    ("qemu-system-x86", "/usr/bin/qemu-system-x86_64"),
    ("openvswitch-switch", "/usr/sbin/ovs-vswitchd"),
    ("openvswitch-switch", "/usr/sbin/ovsdb-server"),
    ("ovn-central", "/usr/bin/ovn-northd"),
    ("ovn-host", "/usr/bin/ovn-controller"),
    ("iproute2", "/usr/sbin/ip,/sbin/ip,/usr/bin/ip"),
    ("ethtool", "/usr/sbin/ethtool,/sbin/ethtool"),
    ("iputils-ping", "/usr/bin/ping,/bin/ping"),
    ("iperf3", "/usr/bin/iperf3"),
    ("tcpdump", "/usr/bin/tcpdump,/usr/sbin/tcpdump"),
    ("iptables", "/usr/sbin/ebtables-nft"),
    ("kmod", "/usr/sbin/modprobe,/sbin/modprobe"),
    ("procps", "/usr/sbin/sysctl,/sbin/sysctl"),
    ("util-linux", "/usr/bin/nsenter"),
    ("util-linux", "/usr/bin/setpriv"),
    ("mmdebstrap", "/usr/bin/mmdebstrap"),
    ("e2fsprogs", "/usr/sbin/mke2fs,/sbin/mke2fs"),
    ("xz-utils", "/usr/bin/xz"),
    ("busybox-static", ""),
];

pub(super) fn inspect() -> Vec<Item> {
    vec![
        Item::new("clippy", toolchain::component("cargo-clippy"), Remedy::Rustup("clippy")),
        Item::new("rustfmt", toolchain::component("cargo-fmt"), Remedy::Rustup("rustfmt")),
        Item::new(
            "eBPF compiler",
            toolchain::find_ebpf_toolchain().map(|found| found.to_string()),
            Remedy::PackagesAndLink(vec!["rustc-web", "cargo-web", "rust-web-src"]),
        ),
        Item::new(
            "LLVM for bpf-linker",
            llvm(),
            Remedy::Packages(vec!["llvm-22-dev", "libzstd-dev", "zlib1g-dev"]),
        ),
        Item::new("bpf-linker", toolchain::bpf_linker(), Remedy::BpfLinker),
        Item::new("libvirt headers", libvirt_headers(), Remedy::Packages(vec!["libvirt-dev", "pkg-config"])),
        Item::new("static C library", c_library(), Remedy::Packages(vec!["libc6-dev", "gcc"])),
        lab_packages(),
    ]
}

/// LLVM is needed to build bpf-linker only.
fn llvm() -> Result<String, String> {
    if toolchain::bpf_linker().is_ok() {
        return Ok("not needed, bpf-linker is there".into());
    }
    // The link against which bpf-linker is built: llvm-config alone comes with another package.
    let found = first_of(&format!("{}/lib/libLLVM.so", toolchain::LLVM_PREFIX))
        .filter(|_| first_of(&format!("{}/bin/llvm-config", toolchain::LLVM_PREFIX)).is_some());
    let zstd = first_of("/usr/include/zstd.h");
    let zlib = first_of("/usr/include/zlib.h");
    match (found, zstd, zlib) {
        (Some(llvm), Some(_), Some(_)) => Ok(llvm),
        _ => Err("LLVM 22, or zstd or zlib headers not found".into()),
    }
}

/// Headers, and the tool with which the build finds them.
fn libvirt_headers() -> Result<String, String> {
    let header = first_of("/usr/include/libvirt/libvirt.h");
    header
        .filter(|_| toolchain::find_program("pkg-config").is_some())
        .ok_or_else(|| "libvirt.h or pkg-config not found".into())
}

fn c_library() -> Result<String, String> {
    first_of("/usr/lib/x86_64-linux-gnu/libc.a,/usr/lib/libc.a,/usr/lib64/libc.a")
        .ok_or_else(|| "libc.a not found (the guest's agent is static)".into())
}

fn lab_packages() -> Item {
    let is_there =
        |files: &str| if files.is_empty() { busybox_is_static() } else { first_of(files).is_some() };
    let mut packages: Vec<_> =
        LAB.iter().filter(|(_, files)| !is_there(files)).map(|(package, _)| *package).collect();
    packages.dedup();
    let found = if packages.is_empty() {
        Ok("libvirt, QEMU, OVS, mmdebstrap, tools".into())
    } else {
        Err(packages.join(" "))
    };
    Item::new("packages of lab and VMs", found, Remedy::Packages(packages))
}

/// The plain busybox package puts a dynamically linked program in the same place, useless without libraries: a static
/// one names no interpreter.
fn busybox_is_static() -> bool {
    let found = first_of("/usr/bin/busybox,/bin/busybox");
    found.and_then(|path| std::fs::read(path).ok()).is_some_and(|program| {
        let head = program.get(..4096).unwrap_or(&program);
        !head.windows(8).any(|window| window == b"ld-linux")
    })
}

/// The first of several comma-separated paths that exists.
fn first_of(paths: &str) -> Option<String> {
    paths.split(',').find(|path| Path::new(path).exists()).map(str::to_owned)
}
