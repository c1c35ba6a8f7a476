//! The filters of one trace.

use std::io;

use aya::programs::{
    ProgramError, SchedClassifier,
    tc::{NlOptions, SchedClassifierLinkId, TcAttachOptions, TcError},
};
use rustix::io::Errno;

use super::{Footprint, Owner, OwnerId, Qdisc, Step, Tag, TrafficControl, tag_of};
use crate::{
    attach::{
        AttachError,
        error::{attach_error, is_gone, is_replaced},
        guardian::Guardian,
        side::TcSide,
    },
    model::Interface,
};

/// Filters of others may hold a priority for another kind or protocol; so many are tried.
const PRIORITIES: u16 = 32;

/// Attaches programs as filters; dropping it removes what was needed for that. The filters themselves must be gone by
/// then, or they are removed now.
pub(in crate::attach) struct Clsact {
    owner: Owner,
    footprint: Footprint,
    control: TrafficControl,
    guardian: Guardian,
}

impl Clsact {
    /// Starts the guardian. Nothing is attached yet.
    pub(in crate::attach) fn start() -> Result<Self, AttachError> {
        let failed = |source| AttachError::Guardian { source };
        let owner = Owner::claim().map_err(failed)?;
        let footprint = Footprint::new(owner.id);
        let guardian = Guardian::start(&owner, &footprint).map_err(failed)?;
        let control = TrafficControl::open().map_err(failed)?;
        Ok(Self { owner, footprint, control, guardian })
    }

    /// How our filters are known.
    pub(in crate::attach) const fn owner(&self) -> OwnerId {
        self.owner.id
    }

    /// Puts the program on one side of an interface: before all others on the way in, behind them on the way out.
    pub(in crate::attach) fn attach(
        &mut self,
        program: &mut SchedClassifier,
        interface: &Interface,
        side: TcSide,
    ) -> Result<SchedClassifierLinkId, AttachError> {
        let ifname = interface.ifname.clone();
        if is_replaced(interface) {
            return Err(AttachError::Gone { ifname });
        }
        let failed = |source| {
            if is_gone(&ifname) {
                AttachError::Gone { ifname }
            } else {
                AttachError::Qdisc { ifname, source }
            }
        };
        self.guardian.wait_until_ready().map_err(|source| AttachError::Guardian { source })?;
        let made_clsact = self.ensure_clsact(interface).map_err(failed)?;
        let handle = Tag { owner: self.owner.id, made_clsact }.handle();
        let mut attach = |priority| {
            let options = NlOptions { priority, handle: handle.into(), classid: None };
            let options = TcAttachOptions::Netlink(options);
            program.attach_with_options(&interface.ifname, side.attach_type(), options)
        };
        let mut places = priorities(side);
        let mut outcome = attach(places.next().unwrap_or_default());
        for priority in places {
            if !outcome.as_ref().is_err_and(is_taken) {
                break;
            }
            outcome = attach(priority);
        }
        outcome.map_err(|source| attach_error(&interface.ifname, side.side(), source))
    }

    /// Makes the interface's `clsact` unless it is there; whether a hoptrace made it. The guardian knows first.
    fn ensure_clsact(&mut self, interface: &Interface) -> io::Result<bool> {
        match self.control.qdisc(interface.ifindex)? {
            Some(Qdisc::Clsact) => self.share_clsact(interface),
            Some(Qdisc::Ingress) => Err(io::Error::other(
                "it has an `ingress` queueing discipline, which leaves no room for clsact (Open vSwitch with \
                 hw-offload makes one); kernel 6.6 or newer needs neither",
            )),
            None => {
                self.note(Step { interface: interface.ifindex, made_clsact: true })?;
                if self.control.add_clsact(interface.ifindex)? {
                    Ok(true)
                } else {
                    self.share_clsact(interface)
                }
            }
        }
    }

    /// A `clsact` that another hoptrace made stays a hoptrace's: the last one removes it.
    fn share_clsact(&mut self, interface: &Interface) -> io::Result<bool> {
        let mut made_clsact = false;
        for side in TcSide::ALL {
            let filters = self.control.filters(interface.ifindex, side)?;
            made_clsact |= filters.iter().filter_map(tag_of).any(|tag| tag.made_clsact);
        }
        self.note(Step { interface: interface.ifindex, made_clsact })?;
        Ok(made_clsact)
    }

    fn note(&mut self, step: Step) -> io::Result<()> {
        self.footprint.add(step);
        self.guardian.tell(step)
    }
}

impl Drop for Clsact {
    fn drop(&mut self) {
        if let Err(error) = self.footprint.remove() {
            // The guardian tries again.
            log::warn!("removing the filters: {error}");
        }
    }
}

/// The best places first: the kernel runs filters by rising priority.
fn priorities(side: TcSide) -> Box<dyn Iterator<Item = u16>> {
    match side {
        TcSide::Ingress => Box::new(1..=PRIORITIES),
        TcSide::Egress => Box::new((u16::MAX - PRIORITIES + 1..=u16::MAX).rev()),
    }
}

/// Whether another filter has the priority: of another kind or for one protocol only, or one of this trace, where a path's interface is beside
/// another path.
fn is_taken(error: &ProgramError) -> bool {
    let ProgramError::TcError(TcError::NetlinkError(error)) = error else { return false };
    let taken = [Errno::INVAL, Errno::EXIST].map(|errno| Some(errno.raw_os_error()));
    taken.contains(&error.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_on_the_way_in_and_last_on_the_way_out() {
        let order = |side| priorities(side).collect::<Vec<_>>();
        assert_eq!(order(TcSide::Ingress).first(), Some(&1));
        assert_eq!(order(TcSide::Egress).first(), Some(&u16::MAX));
        assert!(order(TcSide::Ingress).is_sorted() && order(TcSide::Egress).is_sorted_by(|a, b| a > b));
        assert_eq!(order(TcSide::Egress).len(), usize::from(PRIORITIES));
    }
}
