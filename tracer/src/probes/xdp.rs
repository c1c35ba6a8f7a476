//! XDP at the NICs: only where there is no other program, and only with links that end with the process.

use std::{collections::BTreeSet, fs};

use aya::{
    Ebpf, EbpfLoader,
    programs::{ProgramError, Xdp, XdpMode as KernelMode, loaded_programs},
    util::KernelVersion,
};
use futures_util::TryStreamExt as _;
use hoptrace_common::config::{MAX_XDP, XdpPlace};
use rtnetlink::packet_route::link::{LinkAttribute, LinkXdp, XdpAttached};
use zerocopy::IntoBytes as _;

use super::{Host, Probe, Trace, places::places, probe::Checked};
use crate::{
    attach::{AttachError, Attachable, Nic, PlanOptions, Sizes, attach_error},
    model::{IfIndex, Interface, Plan, Side, XdpMode},
};

/// The first kernel that lets XDP programs copy frames out of several buffers.
const NEEDED: KernelVersion = KernelVersion::new(5, 18, 0);
const EOPNOTSUPP: i32 = rustix::io::Errno::OPNOTSUPP.raw_os_error();
const EBUSY: i32 = rustix::io::Errno::BUSY.raw_os_error();
const EEXIST: i32 = rustix::io::Errno::EXIST.raw_os_error();

/// The hooks, where they are wanted.
#[derive(Debug)]
pub(super) struct XdpHooks {
    wanted: Option<XdpMode>,
    /// Of a trace of one port.
    places: [XdpPlace; MAX_XDP],
    /// The NICs that have it.
    attached: BTreeSet<IfIndex>,
    /// The NICs, as they were before.
    nics: Vec<Nic>,
}

impl XdpHooks {
    pub(super) fn of(host: &Host<'_>) -> Self {
        Self { wanted: host.xdp, places: Default::default(), attached: BTreeSet::new(), nics: Vec::new() }
    }
}

impl Probe for XdpHooks {
    fn wish<'p>(&'p self, options: &mut PlanOptions<'p>) {
        options.xdp = self.wanted;
    }

    fn planned(&mut self, trace: &Trace<'_>) {
        if trace.share.room.is_for_one() {
            self.places = places(trace.plan.xdp_hooks().map(|(number, _, interface)| (number, interface)));
        }
    }

    fn check<'c>(&'c self, plan: &'c Plan) -> Checked<'c> {
        Box::pin(check(plan, &self.attached))
    }

    fn changes(&self) -> Vec<String> {
        self.nics.iter().map(Nic::changes).collect()
    }
}

impl Attachable for XdpHooks {
    fn configure<'s>(&'s self, object: &mut EbpfLoader<'s>, _sizes: Sizes) {
        object.override_global("XDP", self.places.as_bytes(), true);
    }

    fn hook_program(&self, side: Side) -> Option<&'static str> {
        if let Side::Xdp(mode) = side { Some(program(mode)) } else { None }
    }

    fn attach(&mut self, object: &mut Ebpf, plan: &Plan) -> Result<(), AttachError> {
        let new = plan.xdp_hooks().filter(|(_, _, nic)| !self.attached.contains(&nic.ifindex));
        let new: Vec<_> = new.map(|(_, mode, nic)| (mode, nic)).collect();
        self.nics.extend(new.iter().map(|(mode, nic)| Nic::look(&nic.ifname, *mode)));
        attach(object, &new, self.attached.len())?;
        self.attached.extend(new.iter().map(|(_, nic)| nic.ifindex));
        Ok(())
    }
}

/// Asks whether the NICs of `plan` are free for XDP, but for those where `ours` is. Does nothing where it wants no XDP.
async fn check(plan: &Plan, ours: &BTreeSet<IfIndex>) -> Result<(), AttachError> {
    for (_, mode, interface) in plan.xdp_hooks().filter(|(.., nic)| !ours.contains(&nic.ifindex)) {
        if KernelVersion::current().is_ok_and(|version| version < NEEDED) {
            let found = rustix::system::uname().release().to_string_lossy().into_owned();
            let why = "XDP on frames in several buffers";
            return Err(AttachError::Kernel { found, needed: "5.18", why });
        }
        // Should the question fail, attaching says what is wrong.
        if let Some(id) = attached_program(interface.ifindex).await {
            return Err(taken(interface, mode, Some(id)));
        }
    }
    Ok(())
}

/// The id of the XDP program at an interface, whatever its mode.
async fn attached_program(ifindex: IfIndex) -> Option<u32> {
    let (connection, handle, _) = rtnetlink::new_connection().ok()?;
    let driver = tokio::spawn(connection);
    let link = handle.link().get().match_index(ifindex.0).execute().try_next().await;
    driver.abort();
    let attributes = link.ok()??.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::Xdp(attributes) => Some(attributes),
        _ => None,
    })?;
    if attributes.contains(&LinkXdp::Attached(XdpAttached::None)) {
        return None;
    }
    let id = |attribute: &LinkXdp| match attribute {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => {
            Some(*id)
        }
        _ => None,
    };
    Some(attributes.iter().find_map(id).unwrap_or(0))
}

fn taken(interface: &Interface, mode: XdpMode, id: Option<u32>) -> AttachError {
    let name = |id: u32| {
        let program = loaded_programs().flatten().find(|program| program.id() == id)?;
        program.name_as_str().filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let by = match id.filter(|id| *id != 0) {
        Some(id) => name(id).map_or_else(|| format!("program {id}"), |name| format!("program {id}, {name}")),
        None => "another program".to_owned(),
    };
    AttachError::XdpTaken { ifname: interface.ifname.clone(), mode: mode.name(), by }
}

/// The program of all hooks of a mode.
const fn program(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Native => "hop_xdp_native",
        XdpMode::Generic => "hop_xdp_generic",
    }
}

/// Attaches the program to these NICs, with links that end with the process; it has so many already.
fn attach(ebpf: &mut Ebpf, nics: &[(XdpMode, &Interface)], before: usize) -> Result<(), AttachError> {
    let mut links = Vec::new();
    for (mode, interface) in nics.iter().copied() {
        let program: &mut Xdp = ebpf
            .program_mut(program(mode))
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| AttachError::Missing(format!("program {}", program(mode))))?;
        let kernel_mode = match mode {
            XdpMode::Native => KernelMode::Driver,
            XdpMode::Generic => KernelMode::Skb,
        };
        let refused = |source| refusal(interface, mode, source);
        links.push(program.attach_to_if_index(interface.ifindex.0, kernel_mode).map_err(refused)?);
        // Where the kernel makes no link, aya attaches by netlink, and that would survive us.
        let id = program.info().map_err(refused)?.id();
        if links_of(id) < before + links.len() {
            for link in links {
                program.detach(link).map_err(refused)?;
            }
            return Err(AttachError::XdpLink { ifname: interface.ifname.clone() });
        }
    }
    Ok(())
}

/// Links of XDP program `id` that this process holds.
fn links_of(id: u32) -> usize {
    let files = fs::read_dir("/proc/self/fdinfo").into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_to_string(file.path()).ok()).filter(|text| is_link_of(text, id)).count()
}

/// Whether `text`, a file of `fdinfo`, describes a link of XDP program `id`.
fn is_link_of(text: &str, id: u32) -> bool {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    field("link_type:") == Some("xdp") && field("prog_id:") == Some(id.to_string().as_str())
}

fn refusal(interface: &Interface, mode: XdpMode, source: ProgramError) -> AttachError {
    let code = match &source {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    };
    match (code, mode) {
        (Some(EBUSY | EEXIST), _) => taken(interface, mode, None),
        (Some(EOPNOTSUPP), XdpMode::Native) => AttachError::XdpNotNative { ifname: interface.ifname.clone() },
        _ => attach_error(&interface.ifname, Side::Xdp(mode), source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_known_by_its_type_and_its_program() {
        let text =
            "pos:\t0\nlink_type:\txdp\nlink_id:\t7\nprog_tag:\t0011223344556677\nprog_id:\t42\nifindex:\t3\n";
        assert!(is_link_of(text, 42));
        assert!(!is_link_of(text, 4));
        assert!(!is_link_of(&text.replace("xdp", "tcx"), 42));
        assert!(!is_link_of("pos:\t0\nprog_type:\t6\nprog_id:\t42\n", 42));
    }
}
