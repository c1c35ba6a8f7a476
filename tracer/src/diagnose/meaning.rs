//! What a counter that rose means, in a line of plain words. Pure. A counter says that packets died, not whose: the words
//! must not say more.

use crate::model::{Evidence, EvidenceSource, Hop, Path, Printable};

/// What `evidence` means on `path`.
#[must_use]
pub(super) fn meaning(path: &Path, evidence: &Evidence) -> String {
    let what = match evidence.source {
        EvidenceSource::Interface => interface(path, evidence),
        EvidenceSource::Driver => format!(
            "the driver of {name} counts them, under a name of its own (ethtool -S {name})",
            name = Printable(&evidence.at)
        ),
        EvidenceSource::Datapath => datapath(evidence),
        EvidenceSource::DatapathPort => format!(
            "upcalls for packets that came in at {} failed: ovs-vswitchd did not decide about them, and they died in Open vSwitch",
            Printable(&evidence.at)
        ),
        EvidenceSource::Socket => socket(path, evidence),
        EvidenceSource::Vswitchd => vswitchd(&evidence.counter),
        EvidenceSource::Tap => at_tap(evidence),
        EvidenceSource::Conntrack => conntrack(evidence),
    };
    if evidence.shared { format!("{what}; others' packets count here, too") } else { what }
}

/// `struct ip_conntrack_stat`.
fn conntrack(evidence: &Evidence) -> String {
    let fill = evidence.about.as_deref().map_or_else(String::new, |fill| format!(" ({})", Printable(fill)));
    match evidence.counter.as_str() {
        "drop" => format!(
            "packets that the kernel dropped because its table of connections had no room for a new one{fill}"
        ),
        "early_drop" => format!("connections that were forgotten early to make room for new ones{fill}"),
        "insert_failed" => {
            "packets that the kernel dropped because their connection could not be entered: another packet had made the same one meanwhile"
                .to_owned()
        }
        "chaintoolong" => {
            "packets that the kernel dropped because too many connections share one place in its table: it is too small, or somebody aims at it"
                .to_owned()
        }
        _ => "connection tracking counted them".to_owned(),
    }
}

fn datapath(evidence: &Evidence) -> String {
    let datapath = Printable(&evidence.at);
    if evidence.at.contains('@') {
        format!(
            "{datapath} could not look up what to do with them: of the packets lost in Open vSwitch some may be among them"
        )
    } else {
        format!(
            "upcall queue overflow: {datapath} could not ask ovs-vswitchd what to do with them; of the packets lost in Open \
             vSwitch some may be among them"
        )
    }
}

/// A userspace datapath takes packets from a socket of each port; what it has no room for dies in front of the switch.
fn socket(path: &Path, evidence: &Evidence) -> String {
    let name = Printable(&evidence.at);
    let hop = path.hop_at(&evidence.at);
    let after = hop.map_or_else(|| evidence.at.clone(), |hop| hop.role.as_str().to_owned());
    format!(
        "ovs-vswitchd did not read packets from {name} as fast as they came: its socket's buffer was full, and they died \
         before the switch; those of them that were traced are lost after {}",
        Printable(&after)
    )
}

/// Packets that passed the tap and what came back there.
fn at_tap(evidence: &Evidence) -> String {
    let tap = Printable(&evidence.at);
    let about =
        evidence.about.as_deref().map_or_else(String::new, |about| format!(" for {}", Printable(about)));
    match evidence.counter.as_str() {
        "echo_unanswered" => {
            format!(
                "echo requests passed {tap} and the guest sent no reply: {}, or it has no way back to who asked",
                silent(evidence)
            )
        }
        "connection_unanswered" => format!(
            "TCP connection requests (SYN) passed {tap} and the guest neither took nor refused them: {}, it has no way back to who asked, or its server does not \
             take connections as fast as they come (in the guest: nstat TcpExtListenOverflows)",
            silent(evidence)
        ),
        "arp_unanswered" => format!(
            "ARP requests{about} passed {tap} and the guest sent no reply: it is not running, or does not have the address"
        ),
        "arp_of_guest_unanswered" => format!(
            "ARP requests of the guest{about} came to {tap} and no reply came back: no host has the address on this network, \
             or the requests or replies die on their way"
        ),
        "questions_without_room" => format!(
            "requests that passed {tap} were not remembered, because too many more were waiting for their answers, or two CPUs came to one at once: what is \
             told of the guest's times and of what it did not answer is of the rest"
        ),
        Evidence::GROUP_PASSED => format!(
            "frames for groups ({}) passed {tap} to the guest: counted, not followed, because switches drop such frames for good reasons, too; a filter that \
             names a group of IP (`host GROUP`) has its packets counted at every hook of the path",
            evidence.about.as_deref().map_or_else(String::new, |about| Printable(about).to_string())
        ),
        Evidence::OTHER_ADDRESS_PASSED => match evidence.about.as_deref() {
            Some(mac) => format!(
                "frames{about} passed {tap} to the guest and were not followed: the address is not the port's own, nor has the \
                 guest used it; --mac {} follows them",
                Printable(mac)
            ),
            None => format!("frames for further addresses passed {tap} to the guest and were not followed"),
        },
        Evidence::OTHER_ADDRESS_FOLLOWED => format!(
            "frames{} passed {tap} to the guest and count as the port's own: the address was given, or the guest uses it",
            or_further(&about)
        ),
        Evidence::OTHER_ADDRESS_SENT => format!(
            "frames of the guest came to {tap} from {}, not from the port's own address: a macvlan, VRRP, a container, or an \
             address that is not the guest's to use",
            other(evidence)
        ),
        Evidence::OTHER_ADDRESS_UNLEARNED => format!(
            "frames of the guest from {} were not followed beyond the port's own interfaces: it uses too many addresses",
            other(evidence)
        ),
        "checksum_wrong" => format!(
            "packets ({}) passed {tap} with a checksum that is not theirs: the guest drops them without a word; {} were \
             looked at",
            evidence.about.as_deref().map_or_else(String::new, |about| Printable(about).to_string()),
            evidence.of.unwrap_or(0)
        ),
        _ => format!("packets passed {tap} and no answer came"),
    }
}

/// Why a guest may not answer. One that has answered others is there.
fn silent(evidence: &Evidence) -> &'static str {
    if evidence.of.is_some_and(|asked| asked > evidence.count) {
        "its own firewall is silent or limits the rate"
    } else {
        "it is not running, has another address, its own firewall is silent"
    }
}

fn or_further(about: &str) -> &str {
    if about.is_empty() { " for further addresses" } else { about }
}

fn other(evidence: &Evidence) -> String {
    evidence.about.as_deref().map_or_else(|| "further addresses".to_owned(), |mac| Printable(mac).to_string())
}

/// Coverage counters of Open vSwitch: `lib/dpif-netdev.c`, `ofproto/ofproto-dpif-xlate.c`.
fn vswitchd(counter: &str) -> String {
    let what = match counter {
        "datapath_drop_upcall_error" => "it could not decide about packets of new flows",
        "datapath_drop_meter" => "an OpenFlow meter limits the rate",
        "datapath_drop_rx_invalid_packet" => "packets that it received were malformed",
        "datapath_drop_invalid_port" => "a rule sends packets to a port that is not there",
        "datapath_drop_recirc_error" => "packets went around in the datapath too often",
        "drop_action_of_pipeline" => "OpenFlow rules drop packets, or none of them sends them on",
        "drop_action_recursion_too_deep" | "drop_action_too_many_resubmit" => {
            "OpenFlow rules send packets around in a circle"
        }
        "drop_action_forwarding_disabled" => "a port does not forward (spanning tree)",
        "drop_action_congestion" => "packets marked as having met congestion can not say so",
        "dpif_execute_error" => "it could not send packets on, perhaps because a port had gone",
        counter if counter.starts_with("datapath_drop_") => "its datapath dropped packets",
        counter if counter.starts_with("drop_action_") => {
            "OpenFlow rules could not be carried out for packets"
        }
        _ => "it dropped packets",
    };
    format!("ovs-vswitchd's own count: {what}")
}

/// The counters of `struct rtnl_link_stats64`.
fn interface(path: &Path, evidence: &Evidence) -> String {
    let name = Printable(&evidence.at);
    let hop = path.hop_at(&evidence.at);
    let is_guests = hop.is_some_and(Hop::is_guests);
    match evidence.counter.as_str() {
        "tx_dropped" if is_guests => {
            format!(
                "packets for the guest that {name} did not take: its queue was full, or the guest not there"
            )
        }
        "tx_dropped" => {
            format!("packets that {name} did not send: a queue was full, or the other end did not take them")
        }
        "rx_dropped" if is_guests => {
            format!(
                "packets from the guest that the host dropped at {name}: malformed, or not taken by any protocol"
            )
        }
        "rx_dropped" => format!("packets that came in at {name} and that no protocol of the host took"),
        "rx_nohandler" => format!("packets that came in at {name} while it was an inactive part of a bond"),
        "rx_missed_errors" | "rx_fifo_errors" | "rx_over_errors" => {
            format!(
                "{name} received packets faster than the host took them: its ring was full (ethtool -g {name})"
            )
        }
        "rx_crc_errors" | "rx_frame_errors" => {
            format!("packets came damaged to {name}: look at cable, transceiver and the port of the switch")
        }
        "rx_length_errors" => {
            format!("packets came to {name} that are longer or shorter than it takes: compare the MTUs")
        }
        "tx_carrier_errors" | "tx_aborted_errors" => format!("{name} could not send: its link was not there"),
        counter if counter.starts_with("rx") => format!("packets that {name} did not receive well"),
        _ => format!("packets that {name} could not send"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::trace_samples::path;

    fn of(source: EvidenceSource, at: &str, counter: &str, shared: bool) -> String {
        let evidence = Evidence {
            source,
            at: at.to_owned(),
            counter: counter.to_owned(),
            count: 3,
            of: None,
            about: None,
            shared,
            meaning: String::new(),
        };
        meaning(&path(), &evidence)
    }

    #[track_caller]
    fn says(source: EvidenceSource, at: &str, counter: &str, what: &str) {
        let text = of(source, at, counter, false);
        assert!(text.contains(what) && !text.contains("others"), "{text}");
    }

    #[test]
    fn each_kind_has_words_of_its_own() {
        use EvidenceSource::{Datapath, DatapathPort, Driver, Interface, Socket, Tap, Vswitchd};
        says(Socket, "qvoc3d70d5c-a90", "packet socket full", "traced are lost after qvo");
        says(Datapath, "ovs-system", "lost", "upcall queue overflow: ovs-system");
        says(Datapath, "netdev@ovs-netdev", "lost", "netdev@ovs-netdev could not look up");
        says(DatapathPort, "qvoc3d70d5c-a90", "failed upcalls", "came in at qvoc3d70d5c-a90");
        says(Vswitchd, "ovs-vswitchd", "datapath_drop_meter", "OpenFlow meter");
        says(Vswitchd, "ovs-vswitchd", "datapath_drop_new_one", "its datapath dropped packets");
        says(Interface, "tapc3d70d5c-a90", "tx_dropped", "for the guest");
        says(Interface, "ens3", "tx_dropped", "ens3 did not send");
        says(Interface, "ens3", "rx_missed_errors", "ethtool -g ens3");
        says(Interface, "ens3", "tx_something_new", "could not send");
        says(Driver, "ens3", "rx_nodesc_drop_cnt", "ethtool -S ens3");
        says(Tap, "tapc3d70d5c-a90", "echo_unanswered", "the guest sent no reply");
        says(Tap, "tapc3d70d5c-a90", "connection_unanswered", "(SYN) passed tapc3d70d5c-a90");
        says(Tap, "tapc3d70d5c-a90", "questions_without_room", "were not remembered");
        says(Tap, "tapc3d70d5c-a90", "arp_of_guest_unanswered", "no reply came back");
    }

    #[test]
    fn what_it_was_about_is_named() {
        let evidence = Evidence {
            source: EvidenceSource::Tap,
            at: "tap0".to_owned(),
            counter: "arp_unanswered".to_owned(),
            count: 5,
            of: Some(5),
            about: Some("10.0.0.9".to_owned()),
            shared: false,
            meaning: String::new(),
        };
        assert!(meaning(&path(), &evidence).starts_with("ARP requests for 10.0.0.9 passed tap0"));
        let vrrp = Some("00:00:5e:00:01:33".to_owned());
        for (counter, words) in [
            (Evidence::OTHER_ADDRESS_PASSED, "--mac 00:00:5e:00:01:33 follows them"),
            (Evidence::OTHER_ADDRESS_FOLLOWED, "frames for 00:00:5e:00:01:33 passed tap0"),
            (Evidence::OTHER_ADDRESS_SENT, "came to tap0 from 00:00:5e:00:01:33"),
            (Evidence::OTHER_ADDRESS_UNLEARNED, "too many addresses"),
        ] {
            let known = Evidence { counter: counter.to_owned(), about: vrrp.clone(), ..evidence.clone() };
            assert!(meaning(&path(), &known).contains(words), "{}", meaning(&path(), &known));
            let others = Evidence { about: None, ..known };
            assert!(meaning(&path(), &others).contains("further addresses"));
        }
        let (counter, about) = (Evidence::GROUP_PASSED.to_owned(), Some("IPv4 multicast".to_owned()));
        let groups = meaning(&path(), &Evidence { counter, about, ..evidence.clone() });
        assert!(
            groups.starts_with("frames for groups (IPv4 multicast) passed tap0 to the guest"),
            "{groups}"
        );
        let counter = "checksum_wrong".to_owned();
        let evidence = Evidence { counter, about: Some("UDP".to_owned()), ..evidence };
        assert!(meaning(&path(), &evidence).starts_with("packets (UDP) passed tap0 with a checksum"));
    }

    #[test]
    fn what_others_share_says_so_and_names_are_escaped() {
        let text = of(EvidenceSource::Interface, "ens3\u{1b}[2J", "rx_dropped", true);
        assert!(text.ends_with("others' packets count here, too") && !text.contains('\u{1b}'), "{text}");
    }
}
