//! Programs as filters at `clsact`, for kernels before TCX (6.6).
//!
//! Filters stay when their process ends, whatever ends it. So each carries in its handle whose it is, the
//! [guardian](super::guardian) knows of each place before there is anything, and what is found later of a tracer that no
//! longer lives can be told from everything else.

mod attacher;
mod footprint;
mod leftovers;
mod netlink;
mod owner;
mod tag;

pub(super) use attacher::Clsact;
pub(super) use footprint::{Footprint, Step};
pub(super) use leftovers::{find as find_leftovers, living_owners, remove as remove_leftovers};
pub(super) use owner::Owner;
pub(super) use tag::is_program;

pub(super) use footprint::tag_of;
pub(super) use netlink::{Filter, TrafficControl};
pub(super) use tag::OwnerId;

use footprint::remove_filters;
use netlink::Qdisc;
use tag::Tag;
