//! How a program that serves several interfaces finds its hooks.

use hoptrace_common::config::{MAX_XDP, XdpPlace};

use crate::model::Interface;

/// The hooks, each with its number.
pub(super) fn places<'a>(hooks: impl Iterator<Item = (usize, &'a Interface)>) -> [XdpPlace; MAX_XDP] {
    let mut places = [XdpPlace::default(); MAX_XDP];
    for (place, (number, interface)) in places.iter_mut().zip(hooks) {
        *place = XdpPlace { ifindex: interface.ifindex.0, hook: u32::try_from(number).unwrap_or(u32::MAX) };
    }
    places
}
