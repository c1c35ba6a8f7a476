//! The command line: parses it and wires the stages together, a file per command.
//!
//! stdout carries results only, stderr the rest. Exit codes are [`Exit`].

mod clean;
mod command;
mod common;
mod conclude;
mod drops;
mod error;
mod format;
mod list;
mod live;
mod logging;
pub mod output;
mod packets;
mod path;
mod run;
mod schema;
mod top;
mod trace;
mod watch;

pub use command::{Cli, Command};
pub use common::CommonArgs;
use common::note;
pub use error::{CliError, Exit};
pub use run::main;
