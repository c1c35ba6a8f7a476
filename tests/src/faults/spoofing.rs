//! Port security: what a guest may not send.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Context as _, Result};

use super::scene::{DOOMED, DOOMED_PORT, PACE, PAYLOAD_BYTES};
use super::{Cause, Direction, Expected, Fault, Scene, Toll, Why};
use crate::lab::Trap;
use crate::payload;

const NETFILTER: Cause = Cause::new(&[((6, 1), Why::Core("NETFILTER_DROP"))]);
const AT_QBR: &[Expected] = &[Expected::egress("tap", NETFILTER), Expected::silent(Direction::Ingress)];

/// An address that is not the guest's.
const FOREIGN: &str = "10.99.99.66";
/// Addresses that a guest asks for in another's name, one request each.
const ASKED: u8 = 20;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "anti-spoofing, wrong source MAC",
        |scene| Ok(vec![source_rules(scene)?, wrong_mac(scene)?]),
        |scene| {
            scene.send_out(DOOMED, PAYLOAD_BYTES, PACE)?;
            Ok(Toll::of(Direction::Egress, DOOMED, DOOMED))
        },
        AT_QBR,
    ),
    Fault::new(
        "anti-spoofing, wrong source IP",
        |scene| Ok(vec![source_rules(scene)?, second_address(scene)?]),
        |scene| {
            let to = (scene.lab.wire.ipv4, DOOMED_PORT);
            scene.guest.in_netns(|| {
                let socket = UdpSocket::bind((FOREIGN, 0)).context("bind")?;
                let run_tag = payload::new_run_tag();
                for sequence in 0..DOOMED {
                    socket.send_to(&payload::encode(sequence, run_tag, PAYLOAD_BYTES), to).context("send")?;
                }
                Ok(())
            })?;
            Ok(Toll::of(Direction::Egress, DOOMED, DOOMED))
        },
        AT_QBR,
    ),
    Fault::new(
        "anti-spoofing, wrong ARP",
        |scene| Ok(vec![arp_rules(scene)?, second_address(scene)?]),
        // A datagram for an unknown neighbour makes the guest ask for it, in the name of the datagram's source.
        |scene| {
            scene.guest.in_netns(|| {
                let socket = UdpSocket::bind((FOREIGN, 0)).context("bind")?;
                (0..ASKED).try_for_each(|host| {
                    socket
                        .send_to(&[0; 16], (Ipv4Addr::from([10, 99, 99, 200 + host]), DOOMED_PORT))
                        .map(drop)
                        .context("send")
                })
            })?;
            Ok(Toll::of(Direction::Egress, ASKED.into(), ASKED.into()))
        },
        AT_QBR,
    )
    .filtered("arp"),
];

/// What Neutron lets a port send: its own addresses.
fn source_rules(scene: &Scene<'_>) -> Result<Trap> {
    scene.trap(
        "iptables-restore --noflush <<END
*filter
:neutron-openvswi-o$id - [0:0]
:neutron-openvswi-s$id - [0:0]
-A FORWARD -m physdev --physdev-in $tap --physdev-is-bridged -j neutron-openvswi-o$id
-A neutron-openvswi-o$id -j neutron-openvswi-s$id
-A neutron-openvswi-s$id -s $ip/32 -m mac --mac-source $mac -j RETURN
-A neutron-openvswi-s$id -j DROP
COMMIT
END",
        "iptables -D FORWARD -m physdev --physdev-in $tap --physdev-is-bridged -j neutron-openvswi-o$id
         iptables -F neutron-openvswi-o$id; iptables -F neutron-openvswi-s$id
         iptables -X neutron-openvswi-o$id; iptables -X neutron-openvswi-s$id",
    )
}

fn arp_rules(scene: &Scene<'_>) -> Result<Trap> {
    scene.trap(
        "ebtables-nft -N neutronARP-$tap
         ebtables-nft -A neutronARP-$tap -p ARP --arp-ip-src $ip -j ACCEPT
         ebtables-nft -A neutronARP-$tap -j DROP
         ebtables-nft -A FORWARD -i $tap -p ARP -j neutronARP-$tap",
        "ebtables-nft -D FORWARD -i $tap -p ARP -j neutronARP-$tap
         ebtables-nft -F neutronARP-$tap
         ebtables-nft -X neutronARP-$tap",
    )
}

/// The guest's doomed packets leave it with another source.
fn wrong_mac(scene: &Scene<'_>) -> Result<Trap> {
    scene.trap(
        "nsenter --net=/run/netns/$guest tc qdisc add dev eth0 clsact
         nsenter --net=/run/netns/$guest tc filter add dev eth0 egress protocol ip flower ip_proto udp dst_port $port \
             action pedit ex munge eth src set fa:16:3e:00:00:66 pipe action pass",
        "nsenter --net=/run/netns/$guest tc qdisc del dev eth0 clsact",
    )
}

/// A second address of the guest, and one ARP request per neighbour that it does not find.
fn second_address(scene: &Scene<'_>) -> Result<Trap> {
    scene.trap(
        &format!(
            "ip -n $guest address add {FOREIGN}/24 dev eth0
             nsenter --net=/run/netns/$guest sysctl -qw net.ipv4.neigh.eth0.mcast_solicit=1"
        ),
        &format!(
            "ip -n $guest address del {FOREIGN}/24 dev eth0
             nsenter --net=/run/netns/$guest sysctl -qw net.ipv4.neigh.eth0.mcast_solicit=3"
        ),
    )
}
