//! Instances, over libvirt's read-only connection.

use std::{sync::Once, thread};

use tokio::sync::oneshot;
use virt::{connect::Connect, domain::Domain, error::clear_error_callback};

use super::domain_xml;
use crate::model::{Instance, InstanceState, Printable};

/// libvirt gave no instances.
#[derive(Debug, thiserror::Error)]
pub enum LibvirtError {
    /// No connection.
    #[error("not reachable ({})", .0.message())]
    Open(#[source] virt::error::Error),
    /// The list was refused.
    #[error("cannot list the domains ({})", .0.message())]
    List(#[source] virt::error::Error),
    /// The thread that asks could not start or ended early.
    #[error("cannot ask: {0}")]
    Thread(String),
}

/// The instances and one line for each domain that could not be read.
type Answer = (Vec<Instance>, Vec<String>);

/// Every domain, running or not. libvirt's calls block, and a hung daemon blocks them for ever: they run in a thread
/// of their own that are not waited for at the end (a runtime's blocking pool would be waited for).
pub(super) async fn instances(uri: String) -> Result<Answer, LibvirtError> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new()
        .name("libvirt".to_owned())
        .spawn(move || sender.send(read(&uri)))
        .map_err(|error| LibvirtError::Thread(error.to_string()))?;
    receiver.await.map_err(|_| LibvirtError::Thread("its thread ended without an answer".to_owned()))?
}

fn read(uri: &str) -> Result<Answer, LibvirtError> {
    // libvirt's default handler prints every error to stderr.
    static QUIET: Once = Once::new();
    QUIET.call_once(clear_error_callback);
    if uri.contains('\0') {
        return Err(LibvirtError::Thread("the URI contains a NUL character".to_owned()));
    }
    let mut connection = Connect::open_read_only(Some(uri)).map_err(LibvirtError::Open)?;
    let domains = connection.list_all_domains(0).map_err(LibvirtError::List);
    let answer = domains.map(|domains| {
        let (mut instances, mut notes) = (Vec::with_capacity(domains.len()), Vec::new());
        for domain in &domains {
            match instance(domain) {
                Ok(instance) => instances.push(instance),
                Err(note) => notes.push(note),
            }
        }
        (instances, notes)
    });
    // Closing can only fail when the daemon went away; the answer stands.
    let _ = connection.close();
    answer
}

/// One domain; a domain may vanish between the list and here.
fn instance(domain: &Domain) -> Result<Instance, String> {
    let name = domain.get_name().unwrap_or_default();
    let note = |what: &str| format!("domain {}: {what}", Printable(&name));
    let xml = domain.get_xml_desc(0).map_err(|error| note(error.message()))?;
    let state = domain.get_state().map_or(InstanceState::Other, |(state, _)| instance_state(state));
    domain_xml::parse(&xml, state).map_err(|error| note(&error.to_string()))
}

fn instance_state(state: virt::sys::virDomainState) -> InstanceState {
    match state {
        virt::sys::VIR_DOMAIN_RUNNING | virt::sys::VIR_DOMAIN_BLOCKED => InstanceState::Running,
        virt::sys::VIR_DOMAIN_PAUSED => InstanceState::Paused,
        virt::sys::VIR_DOMAIN_SHUTOFF => InstanceState::ShutOff,
        _ => InstanceState::Other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_test_driver_answers() {
        let (instances, notes) = instances("test:///default".to_owned()).await.unwrap();
        assert_eq!(notes, Vec::<String>::new());
        assert!(instances.iter().any(|instance| instance.name == "test"));
    }

    #[tokio::test]
    async fn an_unreachable_daemon_is_an_error_with_a_reason() {
        let error =
            instances("qemu+unix:///system?socket=/nonexistent/libvirt-sock".to_owned()).await.unwrap_err();
        assert!(error.to_string().starts_with("not reachable ("), "{error}");
        assert!(instances("a\0b".to_owned()).await.is_err());
    }
}
