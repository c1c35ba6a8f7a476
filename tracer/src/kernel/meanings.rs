//! What the kernel's reasons and places can mean for a packet that is freed, by their names. Pure.
//!
//! `docs/accuracy.md` lists them with the kernel functions behind.

use hoptrace_common::drops::Meaning;

/// What the reason `name` of the kernel's core, without its prefix, can mean.
pub(super) fn of_reason(name: &str) -> Meaning {
    Meaning(match name {
        "NOT_SPECIFIED" => Meaning::UNTOLD,
        "NETFILTER_DROP" => Meaning::FIREWALL,
        "PACKET_SOCK_ERROR" | "PROTO_MEM" => Meaning::COPY,
        _ if name.starts_with("SOCKET_") => Meaning::COPY,
        // The input queue of a CPU comes before the taps, and so does XDP.
        "XDP" | "CPU_BACKLOG" => Meaning::RECEIVING,
        "TC_INGRESS" => Meaning::TAPPED,
        // On either side.
        "TC_COOKIE_ERROR" | "TC_CHAIN_NOTFOUND" | "TC_RECLASSIFY_LOOP" => Meaning::TAPPED | Meaning::SENDING,
        "QUEUE_PURGE" => Meaning::PURGE,
        "TC_EGRESS" | "FULL_RING" | "TAP_FILTER" | "TAP_TXFILTER" | "HDR_TRUNC" | "DEV_HDR" | "DEV_READY"
        | "NOMEM" | "SKB_CSUM" | "SKB_GSO_SEG" | "SKB_UCOPY_FAULT" | "RECURSION_LIMIT" | "NO_TX_TARGET"
        | "VXLAN_NO_REMOTE" | "TUNNEL_TXINFO" | "PKT_TOO_BIG" | "PSP_OUTPUT" => Meaning::SENDING,
        _ if is_queue_s(name) => Meaning::SENDING,
        _ => 0,
    })
}

/// Whether the reason `name`, without its prefix, is that of a queueing discipline.
#[must_use]
pub fn is_queue_s(name: &str) -> bool {
    QUEUES.iter().any(|prefix| name.starts_with(prefix))
}

/// How the reasons of queueing disciplines begin.
const QUEUES: [&str; 4] = ["QDISC_", "FQ_", "CAKE_", "DUALPI2_"];

/// What it means that a packet is freed, without a reason, in the function `name` of `module` (none: the kernel itself). It is asked of every
/// function of the kernel while a trace starts, so that what nearly all fail comes first.
pub(super) fn of_function(name: &str, module: Option<&str>) -> Meaning {
    let name = bare(name);
    let is_one = |of: &[&str]| of.contains(&name);
    Meaning(if begins(name, &CLONES) {
        Meaning::COPY
    } else if begins(name, &PURGES)
        || is_one(&["packet_release", "packet_sock_destruct", "inet_sock_destruct"])
    {
        Meaning::PURGE
    } else if begins(name, &FIREWALL) {
        Meaning::FIREWALL
    } else if begins(name, &RECEIVING) || name.ends_with("_xdp_rcv_skb") {
        Meaning::RECEIVING
    } else if is_sending(name, module)
        && !COMPLETIONS.iter().any(|part| name.contains(part))
        && !is_one(&COPYING)
    {
        Meaning::SENDING
    } else {
        0
    })
}

/// Whether the function, or one that is named like it, sends or queues.
fn is_sending(name: &str, module: Option<&str>) -> bool {
    // `xmit` and `transmit`.
    (name.contains("mit") && ["xmit", "transmit"].iter().any(|part| name.contains(part)))
        || (name.contains("forward_") && name.contains("dev_forward_skb"))
        || begins(name, &SENDING)
        || DRIVERS.contains(&name)
        || ["start_tx", "_enqueue_skb"].iter().any(|end| name.ends_with(end))
        || is_queueing(name, module)
}

/// Whether `name` begins with one of `prefixes`, of at least four bytes each. Nearly all names differ in these already.
fn begins(name: &str, prefixes: &[&str]) -> bool {
    let Some(first) = name.as_bytes().first_chunk::<4>() else { return false };
    prefixes.iter().any(|prefix| prefix.as_bytes().first_chunk() == Some(first) && name.starts_with(prefix))
}

/// A function's name without the compiler's words for copies and parts of it (`veth_xmit.cold`, `tun_attach.isra.0`), and without
/// underscores before it: `fq_codel_dequeue` is `__fq_codel_dequeue` in kernels of 2025.
fn bare(name: &str) -> &str {
    name.split('.').next().unwrap_or(name).trim_start_matches('_')
}

fn is_queueing(name: &str, module: Option<&str>) -> bool {
    begins(name, &QUEUEING) || module.is_some_and(|module| module.starts_with("sch_"))
}

/// Whether `place`, as [`super::Symbols`] names it (`fq_codel_enqueue+0x1a0`, `tbf_dequeue+0x2f [sch_tbf]`), is in a queueing discipline.
#[must_use]
pub fn is_in_queue(place: &str) -> bool {
    let (name, rest) = place.split_once('+').unwrap_or((place, ""));
    let module = rest.split_once('[').map(|(_, module)| module.trim_end_matches(']'));
    is_queueing(bare(name), module)
}

/// Whether `place` is where the packets of a queue are freed that is emptied: also those of a queueing discipline, which are freed when
/// the lock of all interfaces' settings is given back.
#[must_use]
pub fn is_purge(place: &str) -> bool {
    let name = bare(place.split_once('+').map_or(place, |(name, _)| name));
    PURGES.iter().chain(&RESETS).any(|prefix| name.starts_with(prefix))
}

/// Whether `place` is where packets are freed that wait for a program's verdict (`NFQUEUE`), or that it drops.
#[must_use]
pub fn is_nf_queue(place: &str) -> bool {
    let name = bare(place.split_once('+').map_or(place, |(name, _)| name));
    ["nf_queue", "nfqnl_", "nf_reinject"].iter().any(|prefix| name.starts_with(prefix))
}

/// See [`is_purge`].
const RESETS: [&str; 4] = ["rtnl_unlock", "rtnl_kfree_skbs", "qdisc_reset", "tun_device_event"];

/// Clones are freed in functions that begin so: those of capture sockets (`packet_rcv` with all its variants, and what gives
/// it the packets that are sent), and those that macvlans get of group traffic.
const CLONES: [&str; 5] =
    ["packet_rcv", "tpacket_rcv", "dev_queue_xmit_nit", "sock_queue_rcv_skb", "macvlan_broadcast"];

/// Queues are emptied.
const PURGES: [&str; 2] = ["skb_queue_purge", "skb_rbtree_purge"];

/// Verdicts of the firewall, those that user space gives later (`NFQUEUE`) included.
const FIREWALL: [&str; 4] = ["nf_hook_slow", "nf_reinject", "nf_queue", "nfqnl_"];

/// XDP behind the driver, and the input queue of a CPU.
const RECEIVING: [&str; 4] =
    ["do_xdp_generic", "netif_receive_generic_xdp", "bpf_prog_run_generic_xdp", "enqueue_to_backlog"];

/// Parts of the names of functions that look as if they sent, but free what was sent.
const COMPLETIONS: [&str; 6] = ["complet", "free_old", "reclaim", "clean", "xmit_done", "free_tx"];

/// Functions that send, but of what they free they have sent nearly all: the original of a copy that the device reads from,
/// or what was sent before.
const COPYING: [&str; 2] = ["rtl8139_start_xmit", "smsc9420_hard_start_xmit"];

/// Functions with which drivers send, of other names than nearly all (those of `natsemi`, `rhine` and `tlan` end in
/// `start_tx`, those of `sfc` in `_enqueue_skb`). `_tx` alone tells nothing: in others that is what takes back.
const DRIVERS: [&str; 9] = [
    "et131x_tx",
    "gve_tx",
    "gve_tx_dqo",
    "idpf_tx_start",
    "ipheth_tx",
    "netvsc_send",
    "nfp_nfd3_tx",
    "nfp_nfdk_tx",
    "ql3xxx_send",
];

/// Functions that send, or queue what is to be sent, without `xmit` in their names: the device of a VM, and what leaves packets to the
/// one who holds the RTNL lock.
const SENDING: [&str; 5] = ["tun_", "tap_", "kfree_skb_list", "rtnl_unlock", "rtnl_kfree_skbs"];

/// Functions of queueing disciplines that are built in; of modules the module tells.
const QUEUEING: [&str; 33] = [
    "qdisc_",
    "dev_deactivate",
    "dev_graft_qdisc",
    "dev_reset_queue",
    "pfifo_fast_",
    "codel_",
    "fq_codel_",
    "drop_func",
    "dequeue_func",
    "fq_dequeue",
    "fq_enqueue",
    "fq_reset",
    "fq_change",
    "tbf_",
    "htb_",
    "hfsc_",
    "sfq_",
    "red_enqueue",
    "red_dequeue",
    "prio_enqueue",
    "prio_reset",
    "netem_",
    "cake_",
    "pie_",
    "fq_pie_",
    "ets_qdisc_",
    "multiq_",
    "drr_",
    "qfq_",
    "taprio_",
    "choke_",
    "etf_",
    "cbs_",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn functions(meaning: u8, names: &[&str]) {
        for name in names {
            assert_eq!(of_function(name, None).0, meaning, "{name}");
        }
    }

    #[test]
    fn what_names_begin_with_has_four_bytes() {
        let all = [&CLONES[..], &PURGES, &FIREWALL, &RECEIVING, &SENDING, &QUEUEING].concat();
        assert!(all.iter().all(|prefix| prefix.len() >= 4));
        assert!(begins("pie_", &["pie_"]) && !begins("pie", &["pie_"]) && !begins("", &["pie_"]));
    }

    #[test]
    fn reasons_mean_what_their_names_say() {
        for (meaning, names) in [
            (Meaning::UNTOLD, &["NOT_SPECIFIED"][..]),
            (Meaning::COPY, &["PACKET_SOCK_ERROR", "SOCKET_RCVBUFF", "SOCKET_FILTER", "SOCKET_BACKLOG"]),
            (Meaning::SENDING, &["QDISC_DROP", "QDISC_CONGESTED", "FQ_FLOW_LIMIT", "TC_EGRESS", "FULL_RING"]),
            (Meaning::RECEIVING, &["XDP", "CPU_BACKLOG"]),
            (Meaning::TAPPED, &["TC_INGRESS"]),
            (Meaning::FIREWALL, &["NETFILTER_DROP"]),
            (Meaning::PURGE, &["QUEUE_PURGE"]),
            (0, &["OTHERHOST", "NO_SOCKET", "UNHANDLED_PROTO", "IP_INNOROUTES", "SOMETHING_NEW"]),
        ] {
            for name in names {
                assert_eq!(of_reason(name).0, meaning, "{name}");
            }
        }
    }

    #[test]
    fn drivers_give_back_what_they_sent_or_fail_to_send() {
        functions(
            Meaning::SENDING,
            &[
                "vmxnet3_xmit_frame",
                "vmxnet3_tq_xmit",
                "enic_hard_start_xmit",
                "bnx2x_start_xmit",
                "qede_start_xmit",
            ],
        );
        functions(
            Meaning::SENDING,
            &[
                "team_dummy_transmit",
                "ab_transmit",
                "gve_tx",
                "netvsc_send",
                "ql3xxx_send.cold",
                "rhine_start_tx",
                "start_tx",
                "__efx_enqueue_skb",
            ],
        );
        functions(
            Meaning::SENDING,
            &["veth_xmit.cold", "tun_net_xmit", "tun_ptr_free", "__dev_queue_xmit", "dev_hard_start_xmit"],
        );
        functions(
            0,
            &[
                "vmxnet3_tq_tx_complete",
                "vmxnet3_unmap_pkt",
                "enic_wq_free_buf",
                "bnx2x_free_tx_pkt",
                "qede_tx_int",
                "qede_free_tx_pkt",
                "kaweth_usb_transmit_complete",
                "transmit_cleanup",
                "pcnet32_poll",
                "tulip_interrupt",
                "tg3_tx",
                "cp_tx",
                "rndis_tx_fixup",
                "rtl8139_start_xmit",
                "smsc9420_hard_start_xmit",
            ],
        );
        functions(
            0,
            &[
                "net_tx_action",
                "zap_completion_queue",
                "free_old_xmit",
                "skb_xmit_done",
                "dev_kfree_skb_any_reason",
                "napi_consume_skb",
            ],
        );
    }

    #[test]
    fn sockets_queues_and_firewalls_are_known_by_their_functions() {
        functions(
            Meaning::COPY,
            &[
                "packet_rcv",
                "packet_rcv_spkt.cold",
                "packet_rcv_fanout",
                "tpacket_rcv",
                "__sock_queue_rcv_skb",
            ],
        );
        functions(
            Meaning::PURGE,
            &["skb_queue_purge", "__skb_queue_purge", "skb_queue_purge_reason", "packet_release"],
        );
        functions(Meaning::FIREWALL, &["nf_hook_slow", "nf_reinject", "nfqnl_reinject"]);
        functions(Meaning::RECEIVING, &["do_xdp_generic", "veth_xdp_rcv_skb"]);
        functions(
            Meaning::SENDING,
            &[
                "tbf_dequeue",
                "fq_codel_dequeue",
                "__fq_codel_dequeue",
                "__qdisc_run",
                "__rtnl_unlock",
                "pfifo_fast_reset",
            ],
        );
        assert!(is_in_queue("__fq_codel_dequeue+0x389") && is_in_queue("whatever+0x1 [sch_new]"));
        assert!(!is_in_queue("tun_net_xmit+0x2e2 [tun]") && !is_in_queue(""));
        assert_eq!(of_function("drr_delete", Some("sch_drr")).0, Meaning::SENDING);
        assert_eq!(of_function("whatever", Some("sch_new")).0, Meaning::SENDING);
        functions(0, &["ip_rcv_core", "__netif_receive_skb_core", "udp_rcv"]);
    }
}
