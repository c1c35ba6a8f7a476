//! Real packets, built byte by byte, as the VM sends them.

use crate::support::plan::VM_MAC;

const WIRE_MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];
const STRANGE_MAC: [u8; 6] = [0xfa, 0x16, 0x3e, 0, 0, 10];
/// Another VM's.
pub(crate) const FOREIGN_MAC: [u8; 6] = [0xfa, 0x16, 0x3e, 0, 0, 9];
/// Of all hosts that speak mDNS.
const GROUP_MAC: [u8; 6] = [1, 0, 0x5e, 0, 0, 0xfb];
const ALL_MAC: [u8; 6] = [0xff; 6];
const VM_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0xf8, 0x16, 0x3e, 0xff, 0xfe, 0, 0, 1];
const WIRE_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// Payload of most packets here.
const SMALL_BYTES: usize = 40;
/// Payload of a large one; `BPF_PROG_TEST_RUN` takes no more than fits into a page.
const LARGE_BYTES: usize = 2 * 1448;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A frame, and where the number of the packet goes in it.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    /// Where the eight bytes stand that hold the number.
    pub(crate) offset: u32,
    /// How far it is shifted there: below it are bytes that must stay.
    pub(crate) shift: u32,
}

impl Packet {
    /// The eight bytes without the number, as the CPU reads them.
    pub(crate) fn template(&self) -> u64 {
        let at = self.offset as usize;
        let word =
            self.bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
        word & ((1 << self.shift) - 1)
    }
}

/// Of which kind a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    UdpV4,
    TcpV4,
    /// Of two segments, as GRO and GSO make them.
    TcpV4Large,
    UdpV6,
    TcpV6,
    /// In a VLAN tag.
    UdpV4Vlan,
    /// In two VLAN tags.
    UdpV4QinQ,
    /// From another VM.
    Foreign,
    /// From one more.
    Stranger,
    /// To the VM.
    UdpV4In,
    /// To one more VM.
    StrangerIn,
    /// To a group.
    GroupIn,
    /// A question to all for the address of one more VM.
    ArpIn,
}

/// A packet of 100 bytes or so, the sort a flood is made of, but for the large one.
pub(crate) fn packet(kind: Kind) -> Packet {
    if kind == Kind::ArpIn {
        return arp();
    }
    let tags: &[[u8; 4]] = match kind {
        Kind::UdpV4Vlan => &[[0x81, 0, 0, 101]],
        Kind::UdpV4QinQ => &[[0x88, 0xa8, 0, 7], [0x81, 0, 0, 101]],
        _ => &[],
    };
    let protocol = if matches!(kind, Kind::TcpV4 | Kind::TcpV4Large | Kind::TcpV6) { TCP } else { UDP };
    let payload_bytes = if kind == Kind::TcpV4Large { LARGE_BYTES } else { SMALL_BYTES };
    let segment = if protocol == TCP { tcp(payload_bytes) } else { udp(payload_bytes) };
    let (to, from) = match kind {
        Kind::Foreign => (WIRE_MAC, FOREIGN_MAC),
        Kind::Stranger => (WIRE_MAC, STRANGE_MAC),
        Kind::UdpV4In => (VM_MAC, WIRE_MAC),
        Kind::StrangerIn => (STRANGE_MAC, WIRE_MAC),
        Kind::GroupIn => (GROUP_MAC, WIRE_MAC),
        _ => (WIRE_MAC, VM_MAC),
    };
    let mut bytes = Vec::from([to, from].as_flattened());
    bytes.extend(tags.iter().flatten());
    if matches!(kind, Kind::UdpV6 | Kind::TcpV6) {
        bytes.extend([0x86, 0xdd, 0x60, 0x0a, 0xbc, 0xde]);
        bytes.extend(be(segment.len()));
        bytes.extend([protocol, 64]);
        bytes.extend(VM_V6.iter().chain(&WIRE_V6));
    } else {
        bytes.extend([8, 0, 0x45, 0]);
        bytes.extend(be(20 + segment.len()));
        bytes.extend([0x12, 0x34, 0x40, 0, 64, protocol, 0, 0, 10, 9, 9, 1, 10, 9, 9, 2]);
    }
    // UDP: the first eight bytes of payload. TCP: the sequence number, with the ports below it.
    let (behind, shift) = if protocol == TCP { (0, 32) } else { (8, 0) };
    let offset = u32::try_from(bytes.len() + behind).unwrap_or(u32::MAX);
    bytes.extend(segment);
    Packet { bytes, offset, shift }
}

/// Who has 10.9.9.10? The number goes behind the question, where Ethernet fills frames up.
fn arp() -> Packet {
    let mut bytes = Vec::from([ALL_MAC, WIRE_MAC].as_flattened());
    bytes.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    bytes.extend(WIRE_MAC);
    bytes.extend([10, 9, 9, 2, 0, 0, 0, 0, 0, 0, 10, 9, 9, 10]);
    let offset = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes.resize(60, 0);
    Packet { bytes, offset, shift: 0 }
}

fn udp(payload_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0x9c, 0x40, 0x13, 0x89];
    bytes.extend(be(8 + payload_bytes));
    bytes.extend([0xbe, 0xef]);
    bytes.resize(bytes.len() + payload_bytes, 0x5a);
    bytes
}

/// Data with a timestamp, as almost every segment is.
fn tcp(payload_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0x9c, 0x40, 0x14, 0x51, 0, 0, 0, 0, 0x50, 0x60, 0x70, 0x80];
    bytes.extend([0x80, 0x10, 0x72, 0x10, 0xab, 0xcd, 0, 0]);
    bytes.extend([1, 1, 8, 10, 1, 0x22, 0x33, 0x44, 5, 0x66, 0x77, 0x88]);
    bytes.resize(bytes.len() + payload_bytes, 0x5a);
    bytes
}

fn be(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes()
}
