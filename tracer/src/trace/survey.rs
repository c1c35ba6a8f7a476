//! What every command begins with: who is there.

use super::{Note, NoteTo, TraceError};
use crate::{
    discover::{Sources, discover},
    model::{Path, Printable, SourceName, SourceStatus, Topology},
    path,
};

/// Asks every source and notes which are missing.
///
/// # Errors
/// When the kernel's interfaces cannot be listed, or neither libvirt nor OVSDB can name a VM.
pub async fn survey(sources: &Sources, note: NoteTo) -> Result<Topology, TraceError> {
    let topology = discover(sources).await;
    for source in &topology.sources {
        log::info!(
            "{} ({}) took {:.1} ms",
            source.name.as_str(),
            Printable(&source.asked),
            source.took.as_secs_f64() * 1e3
        );
        for odd in &source.notes {
            note(&Note::Odd(source.name, odd.clone()));
        }
    }
    let missing: Vec<&SourceStatus> = topology.sources.iter().filter(|it| it.missing.is_some()).collect();
    if let Some(netlink) = missing.iter().find(|it| it.name == SourceName::Netlink) {
        return Err(TraceError::Discover(describe(netlink)));
    }
    if !topology.answered(SourceName::Libvirt) && !topology.answered(SourceName::Ovsdb) {
        let reasons: Vec<_> = missing.iter().map(|it| describe(it)).collect();
        let advice = "run as root on the compute node, or give --libvirt-uri and --ovsdb";
        return Err(TraceError::Discover(format!("cannot find any VM: {}; {advice}", reasons.join("; "))));
    }
    for source in missing {
        let consequence = match source.name {
            SourceName::Libvirt => "going on with OVSDB",
            SourceName::Ovsdb => {
                "going on with libvirt; what goes through Open vSwitch is followed up to there"
            }
            SourceName::Southbound => {
                "which network a port is in is known only where Neutron's agent noted it"
            }
            SourceName::Netlink => "",
        };
        note(&Note::Missing(describe(source), consequence));
    }
    Ok(topology)
}

/// Asks every source and finds the path a handle means. The topology is given back for those who want more of it.
///
/// # Errors
/// As [`survey`]; and when the handle means no port, or several.
pub async fn find_path(
    sources: &Sources,
    handle: &str,
    note: NoteTo,
) -> Result<(Path, Topology), TraceError> {
    let topology = survey(sources, note).await?;
    let path = path::find(&topology, handle)?;
    Ok((path, topology))
}

fn describe(source: &SourceStatus) -> String {
    let missing = source.missing.as_deref().unwrap_or_default();
    // A daemon's own words may hold anything.
    format!("{} ({}): {}", source.name.as_str(), Printable(&source.asked), Printable(missing))
}
