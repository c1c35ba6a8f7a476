//! The namespaces around a lab, and the processes that hold them.
//!
//! ```text
//! runner ─ enter ⇒ unshare ─ init (PID 1, reaps) ─ worker (brings up, runs the command) ─ command
//!             └ dies with the runner (parent death signal); init dies with unshare; everything dies with init
//! ```
//!
//! Each stage is the running program again, called through a hidden entry point that ends in [`run_stage`].

mod folders;
mod mounts;
mod runner;
pub(crate) mod session;
mod stage;

pub use folders::Folders;
pub use runner::Runner;
pub use session::{READY_LINE, Session};
pub use stage::{STAGE_COMMAND, exit_code, run_stage};
