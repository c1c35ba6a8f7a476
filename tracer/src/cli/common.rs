//! Options of every command.

use crate::{
    cli::output,
    discover::{DEFAULT_LIBVIRT_URI, Sources},
    ovs::Remote,
    trace::Note,
};

/// In a command's help its own options come first.
const BEHIND_OTHERS: usize = 900;

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct CommonArgs {
    /// The libvirt connection to ask for instances (read-only)
    #[arg(long, global = true, display_order = BEHIND_OTHERS, value_name = "URI", default_value = DEFAULT_LIBVIRT_URI)]
    pub libvirt_uri: String,
    /// Where OVSDB listens: unix:PATH or tcp:HOST:PORT [default: the Unix socket, then tcp:127.0.0.1:6640]
    #[arg(long, global = true, display_order = BEHIND_OTHERS, value_name = "REMOTE")]
    pub ovsdb: Option<Remote>,
    /// Say more on stderr; twice for debugging
    #[arg(short, long, global = true, display_order = BEHIND_OTHERS, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl CommonArgs {
    /// Where to ask.
    pub(super) fn sources(&self) -> Sources {
        let ovsdb = self.ovsdb.clone().map_or_else(Remote::defaults, |remote| vec![remote]);
        Sources { libvirt_uri: self.libvirt_uri.clone(), ovsdb }
    }
}

/// Notes go to stderr.
pub(super) fn note(note: &Note) {
    output::note(&note.to_string());
}
