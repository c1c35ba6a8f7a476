//! Filters whose tracer and guardian were both killed.

use std::{collections::BTreeSet, io};

use super::{Filter, OwnerId, TrafficControl, owner, remove_filters, tag_of};
use crate::{
    attach::side::TcSide,
    model::{Interface, Leftover},
};

/// The leftovers on these interfaces.
pub(in crate::attach) fn find(interfaces: &[Interface]) -> io::Result<Vec<Leftover>> {
    let control = TrafficControl::open()?;
    let mut found = Vec::new();
    for interface in interfaces {
        for filter in dead_filters(&control, interface)? {
            found.extend(describe(interface, &filter));
        }
    }
    Ok(found)
}

/// Removes them, and the `clsact` where a hoptrace made it and there is no other filter. Gives what there was.
pub(in crate::attach) fn remove(interfaces: &[Interface]) -> io::Result<Vec<Leftover>> {
    let control = TrafficControl::open()?;
    let mut removed = Vec::new();
    for interface in interfaces {
        let dead = dead_filters(&control, interface)?;
        if dead.is_empty() {
            continue;
        }
        let made_clsact = dead.iter().filter_map(tag_of).any(|tag| tag.made_clsact);
        let owners: BTreeSet<OwnerId> = dead.iter().filter_map(tag_of).map(|tag| tag.owner).collect();
        remove_filters(&control, interface.ifindex, made_clsact, |filter| {
            tag_of(filter).is_some_and(|tag| owners.contains(&tag.owner))
        })?;
        removed.extend(dead.iter().filter_map(|filter| describe(interface, filter)));
    }
    Ok(removed)
}

/// How many tracers that live have filters at one of these places.
pub(in crate::attach) fn living_owners(interfaces: &[Interface]) -> io::Result<usize> {
    let control = TrafficControl::open()?;
    let mut owners = BTreeSet::new();
    for interface in interfaces {
        for side in TcSide::ALL {
            owners.extend(
                control.filters(interface.ifindex, side)?.iter().filter_map(tag_of).map(|tag| tag.owner),
            );
        }
    }
    Ok(owners.into_iter().filter(|id| owner::is_alive(*id)).count())
}

fn dead_filters(control: &TrafficControl, interface: &Interface) -> io::Result<Vec<Filter>> {
    let mut dead = Vec::new();
    for side in TcSide::ALL {
        let filters = control.filters(interface.ifindex, side)?;
        dead.extend(
            filters
                .into_iter()
                .filter(|filter| tag_of(filter).is_some_and(|tag| !owner::is_alive(tag.owner))),
        );
    }
    Ok(dead)
}

fn describe(interface: &Interface, filter: &Filter) -> Option<Leftover> {
    Some(Leftover {
        ifname: interface.ifname.clone(),
        side: filter.side.side(),
        name: filter.name.clone()?,
        priority: filter.priority(),
        handle: format!("{:#x}", filter.handle),
        made_clsact: tag_of(filter)?.made_clsact,
    })
}
