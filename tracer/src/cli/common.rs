//! Options of every command, and the stages every command begins with.

use crate::{
    cli::{CliError, output},
    discover::{DEFAULT_LIBVIRT_URI, Sources, discover},
    model::{Path, Printable, SourceName, SourceStatus, Topology},
    ovs::Remote,
    path,
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

/// Asks every source and says on stderr which are missing.
///
/// # Errors
/// When the kernel's interfaces cannot be listed, or neither libvirt nor OVSDB can name a VM.
pub async fn survey(args: &CommonArgs) -> Result<Topology, CliError> {
    let topology = discover(&args.sources()).await;
    for source in &topology.sources {
        log::info!(
            "{} ({}) took {:.1} ms",
            source.name.as_str(),
            Printable(&source.asked),
            source.took.as_secs_f64() * 1e3
        );
        for note in &source.notes {
            output::note(&format!("{}: {note}", source.name.as_str()));
        }
    }
    let missing: Vec<&SourceStatus> = topology.sources.iter().filter(|it| it.missing.is_some()).collect();
    if let Some(netlink) = missing.iter().find(|it| it.name == SourceName::Netlink) {
        return Err(CliError::Discover(describe(netlink)));
    }
    if !topology.answered(SourceName::Libvirt) && !topology.answered(SourceName::Ovsdb) {
        let reasons: Vec<_> = missing.iter().map(|it| describe(it)).collect();
        let advice = "run as root on the compute node, or give --libvirt-uri and --ovsdb";
        return Err(CliError::Discover(format!("cannot find any VM: {}; {advice}", reasons.join("; "))));
    }
    for source in missing {
        let consequence = match source.name {
            SourceName::Libvirt => "going on with OVSDB",
            SourceName::Ovsdb => "going on with libvirt, the path ends at the veth pair",
            SourceName::Netlink => "",
        };
        output::note(&format!("{}; {consequence}", describe(source)));
    }
    Ok(topology)
}

/// Asks every source and finds the path a handle means. The topology is given back for those who want more of it.
///
/// # Errors
/// As [`survey`]; and when the handle means no port, or several.
pub async fn find_path(args: &CommonArgs, handle: &str) -> Result<(Path, Topology), CliError> {
    let topology = survey(args).await?;
    let path = path::find(&topology, handle)?;
    Ok((path, topology))
}

fn describe(source: &SourceStatus) -> String {
    let missing = source.missing.as_deref().unwrap_or_default();
    // A daemon's own words may hold anything.
    format!("{} ({}): {}", source.name.as_str(), Printable(&source.asked), Printable(missing))
}
