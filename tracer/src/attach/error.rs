//! What can go wrong while attaching.

use std::{ffi::CString, fs};

use aya::{EbpfError, maps::MapError, programs::ProgramError};

use crate::model::{IfIndex, Interface, Side};

/// Why the programs are not on the path.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The process may not load or attach programs.
    #[error("needs {missing} to load eBPF programs and attach them; run it as root")]
    Permission {
        /// The capabilities that are missing.
        missing: String,
    },
    /// The kernel is too old.
    #[error("kernel {found} is too old: {needed} or newer is needed ({why})")]
    Kernel {
        /// The running kernel's version.
        found: String,
        /// The first version that will do.
        needed: &'static str,
        /// What it brought.
        why: &'static str,
    },
    /// Hooks at tracepoints were asked for, and it is not known where packets have their fields.
    #[error(
        "hooks at tracepoints need a kernel that describes its structures (BTF); --attach clsact does without"
    )]
    Undescribed,
    /// The object could not be loaded.
    #[error("loading the eBPF object: {0}")]
    Object(#[source] Box<EbpfError>),
    /// A map of the object is missing or of another kind than expected.
    #[error("eBPF map {map}: {source}")]
    Map {
        /// The map's name.
        map: &'static str,
        /// What aya said.
        #[source]
        source: Box<MapError>,
    },
    /// The interfaces' indices do not spread over the table that programs find their hooks in.
    #[error("the interfaces' indices cannot be told apart by the programs; please report this path")]
    NoPlaces,
    /// More interfaces than there is room for are shared by the traced ports.
    #[error(
        "the paths of these ports share more interfaces than can be told apart ({ifname} is one too many): trace fewer of \
         them at a time"
    )]
    TooManyShared {
        /// The one that there is no room for.
        ifname: String,
    },
    /// The object does not hold what this program was built with.
    #[error("the eBPF object has no {0}; it was built from other sources")]
    Missing(String),
    /// The verifier or the kernel refused a program.
    #[error("loading eBPF program {program}: {source}")]
    Load {
        /// The program's name.
        program: String,
        /// What aya said.
        #[source]
        source: Box<ProgramError>,
    },
    /// A port of the switch is in another network namespace, and cannot be reached there.
    #[error("netns {namespace}: {source}")]
    Away {
        /// The namespace.
        namespace: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A program could not be attached.
    #[error("attaching to {ifname} ({side}): {source}")]
    Attach {
        /// The interface.
        ifname: String,
        /// Which side of it.
        side: &'static str,
        /// What aya said.
        #[source]
        source: Box<ProgramError>,
    },
    /// There is another XDP program there.
    #[error("{ifname} has an XDP program already ({by}): only one can be there, so --xdp {mode} is refused")]
    XdpTaken {
        /// The interface.
        ifname: String,
        /// What was asked for.
        mode: &'static str,
        /// Whose it is, as far as the kernel says.
        by: String,
    },
    /// The driver does not run XDP programs.
    #[error(
        "the driver of {ifname} does not support native XDP, or not with its present settings; --xdp generic works \
         with every driver"
    )]
    XdpNotNative {
        /// The interface.
        ifname: String,
    },
    /// The kernel attached the program in a way that does not end with the process.
    #[error(
        "XDP at {ifname}: the kernel gives no link that would end with hoptrace; nothing was left attached"
    )]
    XdpLink {
        /// The interface.
        ifname: String,
    },
    /// There is no room for filters.
    #[error("attaching to {ifname}: {source}")]
    Qdisc {
        /// The interface.
        ifname: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Without a guardian: filters would stay should the tracer be killed.
    #[error("the guardian, which removes filters should hoptrace be killed, does not run: {source}")]
    Guardian {
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Filters of a killed tracer could not be looked for, or removed.
    #[error("removing what a killed hoptrace has left: {source}")]
    Leftovers {
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The program could not be attached to a tracepoint of the kernel.
    #[error("attaching to the kernel's tracepoint {tracepoint}: {source}")]
    Tracepoint {
        /// The tracepoint.
        tracepoint: &'static str,
        /// What aya said.
        #[source]
        source: Box<ProgramError>,
    },
    /// The interface was renamed or replaced since the path was found.
    #[error(
        "interface {ifname} vanished before hoptrace could attach to it; is the VM being stopped or migrated?"
    )]
    Gone {
        /// The interface.
        ifname: String,
    },
    /// The number of CPUs could not be read.
    #[error("counting CPUs: {path}: {source}")]
    Cpus {
        /// The file.
        path: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// Why a program is not at an interface: perhaps because that is gone.
pub(crate) fn attach_error(ifname: &str, side: Side, source: ProgramError) -> AttachError {
    if is_gone(ifname) {
        return AttachError::Gone { ifname: ifname.to_owned() };
    }
    AttachError::Attach { ifname: ifname.to_owned(), side: side.name(), source: Box::new(source) }
}

/// Whether there is no such interface any more where this thread is, or another one is called so.
pub(super) fn is_replaced(interface: &Interface) -> bool {
    let Ok(name) = CString::new(interface.ifname.as_str()) else { return true };
    // SAFETY: a string with its end.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    IfIndex(index) != interface.ifindex
}

/// Whether there is no such interface any more.
pub(super) fn is_gone(ifname: &str) -> bool {
    fs::exists(format!("/sys/class/net/{ifname}")).is_ok_and(|exists| !exists)
}
