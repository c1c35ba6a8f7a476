//! The rules of what a freed packet means.

use super::*;

const HERE: Device = Device { live_after: 1, done_after: 1, flags: 0, entry: 0, direction: 0 };
const ENTRY: Device = Device { entry: 1, ..HERE };
const STANDS: [Stands; 6] =
    [Stands::Unknown, Stands::Here, Stands::Away, Stands::Done, Stands::DoneAway, Stands::Several];
const FLAGS: [u16; 6] = [
    Device::FILTER_ONLY,
    Device::RECEIVED,
    Device::NOWHERE,
    Device::TAPPED,
    Device::SEEN_FIRST,
    Device::BELOW,
];

fn with(flags: u16, device: Device) -> Device {
    Device { flags, ..device }
}

fn free(meaning: u8) -> Free {
    Free { meaning: Meaning(meaning), socket: false }
}

/// Every combination of facts: 2 sockets, 256 meanings, 2 devices with 64 combinations of flags, 6 places to stand at.
fn everything(mut check: impl FnMut(Free, Device, Stands, Verdict)) {
    for meaning in 0..=u8::MAX {
        for socket in [false, true] {
            for flags in 0..64 {
                for device in [HERE, ENTRY] {
                    for stands in STANDS {
                        let free = Free { meaning: Meaning(meaning), socket };
                        let device = with(flags, device);
                        check(free, device, stands, verdict(free, &device, stands));
                    }
                }
            }
        }
    }
}

#[test]
fn the_flags_are_a_bit_each() {
    assert_eq!(FLAGS.into_iter().fold(0, |all, flag| all | flag), 63);
}

#[test]
fn a_socket_s_clone_is_never_the_packet() {
    everything(|free, _, stands, verdict| {
        if free.socket || free.meaning.is(Meaning::COPY) {
            let expected = if stands == Stands::Unknown { Verdict::NotOurs } else { Verdict::Copy };
            assert_eq!(verdict, expected, "{free:?} {stands:?}");
        }
    });
}

#[test]
fn only_a_packet_that_can_be_here_ends_here() {
    everything(|free, device, stands, verdict| {
        if verdict == Verdict::Drop {
            assert!(
                matches!(stands, Stands::Here | Stands::Done | Stands::Several),
                "{free:?} {device:?} {stands:?}"
            );
        }
        if stands == Stands::Unknown {
            assert!(matches!(verdict, Verdict::Early | Verdict::NotOurs), "{free:?} {device:?}");
        }
    });
}

#[test]
fn a_packet_that_was_sent_ends_only_by_what_can_mean_it() {
    everything(|free, device, stands, verdict| {
        if stands == Stands::Done && !device.has(Device::RECEIVED) && verdict == Verdict::Drop {
            assert!(free.meaning.is(Meaning::SENDING | Meaning::PURGE), "{free:?} {device:?}");
        }
        if verdict == Verdict::Completion {
            assert!(matches!(stands, Stands::Done | Stands::Several));
            assert!(!free.meaning.is(Meaning::SENDING), "{free:?} {device:?}");
        }
    });
    assert_eq!(verdict(free(Meaning::UNTOLD), &HERE, Stands::Done), Verdict::Completion);
    assert_eq!(verdict(free(Meaning::FIREWALL), &HERE, Stands::Done), Verdict::Completion);
    assert_eq!(verdict(free(Meaning::SENDING), &HERE, Stands::Done), Verdict::Drop);
}

#[test]
fn of_packets_that_look_the_same_a_silent_driver_gives_back_one_that_it_has_sent() {
    assert_eq!(verdict(free(Meaning::UNTOLD), &HERE, Stands::Several), Verdict::Completion);
    for meaning in [0, Meaning::SENDING, Meaning::FIREWALL, Meaning::UNTOLD | Meaning::SENDING] {
        assert_eq!(verdict(free(meaning), &HERE, Stands::Several), Verdict::Drop, "{meaning}");
    }
    // And where the reason is that of a packet on its way, none that has passed its last hook is meant.
    assert_eq!(HERE.reach_of(Meaning(Meaning::FIREWALL)).done_after, 0);
    assert_eq!(HERE.reach_of(Meaning(Meaning::SENDING)).done_after, 1);
    assert_eq!(with(Device::RECEIVED, HERE).reach_of(Meaning(0)).done_after, 1);
    assert_eq!(HERE.reach_of(Meaning(0)).live_after, 1);
}

#[test]
fn a_packet_on_its_way_ends_for_any_reason_but_a_socket_s() {
    for meaning in [0, Meaning::SENDING, Meaning::RECEIVING, Meaning::FIREWALL, Meaning::UNTOLD] {
        assert_eq!(verdict(free(meaning), &HERE, Stands::Here), Verdict::Drop, "{meaning}");
        assert_eq!(verdict(free(meaning), &HERE, Stands::Away), Verdict::Copy, "{meaning}");
    }
}

#[test]
fn under_a_bridge_s_own_name_only_the_firewall_drops() {
    let bridge = with(Device::FILTER_ONLY, HERE);
    everything(|free, device, stands, verdict| {
        if device.has(Device::FILTER_ONLY) && stands == Stands::Here && verdict == Verdict::Drop {
            assert!(free.meaning.is(Meaning::FIREWALL), "{free:?} {device:?}");
        }
    });
    assert_eq!(verdict(free(Meaning::FIREWALL), &bridge, Stands::Here), Verdict::Drop);
    assert_eq!(verdict(free(0), &bridge, Stands::Here), Verdict::Copy);
    assert_eq!(verdict(free(Meaning::UNTOLD), &bridge, Stands::Here), Verdict::Copy);
}

#[test]
fn without_an_interface_a_purged_queue_is_a_socket_s() {
    let nowhere = with(Device::NOWHERE, HERE);
    assert_eq!(verdict(free(Meaning::PURGE), &nowhere, Stands::Here), Verdict::Copy);
    assert_eq!(verdict(free(Meaning::PURGE), &HERE, Stands::Here), Verdict::Drop);
    assert_eq!(verdict(free(Meaning::PURGE), &HERE, Stands::Done), Verdict::Drop);
    assert_eq!(verdict(free(Meaning::UNTOLD), &nowhere, Stands::Here), Verdict::Drop);
}

#[test]
fn before_the_first_hook_dies_what_it_has_not_seen_where_the_path_begins() {
    everything(|free, device, stands, verdict| {
        if verdict == Verdict::Early {
            let below = if device.has(Device::BELOW) { Meaning::FIREWALL } else { 0 };
            assert!(device.entry != 0 && free.meaning.is(Meaning::RECEIVING | Meaning::TAPPED | below));
            assert!(!matches!(stands, Stands::Here | Stands::Done | Stands::Several));
        }
    });
    let tapped = with(Device::TAPPED, ENTRY);
    // One with the same content may be further on.
    for stands in [Stands::Unknown, Stands::Away, Stands::DoneAway] {
        assert_eq!(verdict(free(Meaning::RECEIVING), &ENTRY, stands), Verdict::Early);
        assert_eq!(verdict(free(Meaning::TAPPED), &ENTRY, stands), Verdict::Early);
        // A userspace datapath has the packet already when traffic control sees the host's copy; XDP comes before both.
        assert_ne!(verdict(free(Meaning::TAPPED), &tapped, stands), Verdict::Early);
        assert_eq!(verdict(free(Meaning::RECEIVING), &tapped, stands), Verdict::Early);
        for other in [0, Meaning::SENDING, Meaning::FIREWALL, Meaning::PURGE, Meaning::UNTOLD] {
            assert_ne!(verdict(free(other), &ENTRY, stands), Verdict::Early, "{other}");
        }
    }
    // The first hook saw it: it died behind that.
    assert_eq!(verdict(free(Meaning::TAPPED), &ENTRY, Stands::Here), Verdict::Drop);
    assert_eq!(verdict(free(Meaning::RECEIVING), &HERE, Stands::Unknown), Verdict::NotOurs);
}
