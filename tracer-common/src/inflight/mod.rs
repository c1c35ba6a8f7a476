//! The in-flight table: packet identity → the hooks passed so far, with their times.
//!
//! A set-associative array of 64-byte slots. Hooks on several CPUs and the sweeper in user space change it at the
//! same time, without locks; every change of owner goes through a compare-exchange of the slot's control word
//! ([`Control`]), whose generation makes an old value useless. A slot in state `BUSY` belongs to the one who made it
//! so, for a few instructions; that is why two packets can never share a slot and none is ever read half written.
//!
//! Each identity has a home slot in its set. Almost always the packet is there, and one cache line is all a hook
//! touches; a count per set of the packets that had to move over ([`Table::spilled`]) says when to look further.
//!
//! The rules are written once, over the traits [`Table`] and [`SlotCell`], and compiled for eBPF and for the host.

mod answered;
mod control;
mod displaced;
mod found;
mod freed;
mod gone;
mod group;
mod mark;
mod merge;
mod outcome;
pub mod place;
mod quick;
mod rules;
mod settle;
mod slot;
pub mod spills;
mod table;
mod upcall;
mod visit;

pub use answered::{Answered, answered, come_again};
pub use control::{Control, InTurn, State};
pub use displaced::{DISPLACED, Displaced};
pub use found::deferred;
pub use freed::{Marked, Reach, Tracked, find, mark};
pub use gone::{Fate, Gone};
pub use mark::{MAX_SITES, Mark};
pub use merge::merge;
pub use outcome::{Kind, Outcome};
pub use place::Search;
pub use quick::{Pass, arrive, quickly};
pub use rules::{ATTEMPTS, attempt_once, thoroughly, visit};
pub use settle::{End, Ended, EndedGroup, InFlightGroup, Settled, settle};
pub use slot::{DELTAS, Slot, SlotCell, WAYS, home_of, set_of};
pub use table::{SETTLED_NS, Table};
pub use upcall::{Upcalled, upcalled};
pub use visit::{Aside, Clock, Hook, Visit};
