//! Links of TCX, in whatever network namespace the interface is.

use std::{
    fs::File,
    io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    thread,
};

use aya::programs::{
    LinkOrder, SchedClassifier,
    tc::{SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions},
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{
    AttachError,
    error::{attach_error, is_replaced},
    side::TcSide,
    stand_in::HookPlace,
};
use crate::model::{Interface, Namespace};

/// Puts a program at a place: first on the way in and last on the way out, so that what others do to the packet is inside what we
/// measure.
pub(super) fn attach(
    program: &mut SchedClassifier,
    place: &HookPlace,
) -> Result<SchedClassifierLinkId, AttachError> {
    let HookPlace { interface, side, namespace, .. } = place;
    match namespace {
        None => attach_here(program, interface, *side),
        Some(namespace) => attach_away(program, interface, *side, namespace),
    }
}

/// Puts it in the place of the one that holds `link`; where that has ended, it is attached as if there had been none. What has been plugged anew
/// since it was found is another interface, and gone is what was there before.
pub(super) fn replace(
    program: &mut SchedClassifier,
    link: SchedClassifierLink,
    place: &HookPlace,
) -> Result<SchedClassifierLinkId, AttachError> {
    let Ok(id) = program.attach_to_link(link) else { return attach(program, place) };
    if place.namespace.is_none() && is_replaced(&place.interface) {
        // Where it is now it was not asked for.
        let _detached = program.detach(id);
        return Err(AttachError::Gone { ifname: place.interface.ifname.clone() });
    }
    Ok(id)
}

/// In the calling thread's network namespace.
fn attach_here(
    program: &mut SchedClassifier,
    interface: &Interface,
    side: TcSide,
) -> Result<SchedClassifierLinkId, AttachError> {
    if is_replaced(interface) {
        return Err(AttachError::Gone { ifname: interface.ifname.clone() });
    }
    let order = match side {
        TcSide::Ingress => LinkOrder::first(),
        TcSide::Egress => LinkOrder::last(),
    };
    let options = TcAttachOptions::TcxOrder(order);
    let attached = program.attach_with_options(&interface.ifname, side.attach_type(), options);
    attached.map_err(|source| attach_error(&interface.ifname, side.side(), source))
}

/// In another network namespace: an interface's index means nothing here, so a thread of its own goes there.
fn attach_away(
    program: &mut SchedClassifier,
    interface: &Interface,
    side: TcSide,
    namespace: &Namespace,
) -> Result<SchedClassifierLinkId, AttachError> {
    let failed = |source| AttachError::Away { namespace: namespace.name.clone(), source };
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace).map_err(failed)?;
            attach_here(program, interface, side)
        });
        thread.join().unwrap_or_else(|_| Err(failed(io::Error::other("the thread there has ended"))))
    })
}

/// Moves the calling thread there.
fn enter(namespace: &Namespace) -> io::Result<()> {
    let file = File::open(&namespace.file)?;
    // Another process may have its number by now.
    if file.metadata()?.ino() != u64::from(namespace.inum) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
}
