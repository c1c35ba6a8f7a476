//! Packet sockets and what they lost (`sock_diag(7)`, `linux/packet_diag.h`).

use std::io;

use rtnetlink::{
    packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NlasIterator},
    sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG},
};

use crate::model::IfIndex;

/// Room for one read. The kernel fills at most 32 KiB.
const BUFFER_BYTES: usize = 64 << 10;
/// `struct nlmsghdr`, `struct packet_diag_msg` and `struct nlattr`.
const HEADER_BYTES: usize = 16;
const ANSWER_BYTES: usize = 16;
const ATTRIBUTE_HEADER_BYTES: usize = 4;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const AF_PACKET: u8 = 17;
const PACKET_SHOW_INFO: u32 = 1;
const PACKET_SHOW_MEMINFO: u32 = 1 << 4;
const PACKET_DIAG_INFO: u16 = 0;
const PACKET_DIAG_MEMINFO: u16 = 6;
/// Where the packets stand in `PACKET_DIAG_MEMINFO` that found no room, in bytes (`SK_MEMINFO_DROPS`).
const DROPS_AT: usize = 8 * 4;

/// A packet socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketSocket {
    /// Its number, by which the files of a process name it.
    pub inode: u32,
    /// The interface whose packets it takes; 0: those of all.
    pub interface: IfIndex,
    /// Packets that it had no room for. A 32-bit counter.
    pub drops: u32,
}

/// The packet sockets of this network namespace.
///
/// # Errors
/// When the kernel cannot be asked, such as one without `CONFIG_PACKET_DIAG`.
pub fn packet_sockets() -> io::Result<Vec<PacketSocket>> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(), 0)?;
    let mut found = Vec::new();
    loop {
        let mut bytes = Vec::with_capacity(BUFFER_BYTES);
        socket.recv(&mut bytes, 0)?;
        if take(&bytes, &mut found)? {
            return Ok(found);
        }
    }
}

/// `struct packet_diag_req`: all sockets, whatever their numbers.
fn request() -> Vec<u8> {
    let mut body = vec![AF_PACKET, 0, 0, 0];
    body.extend(0_u32.to_ne_bytes());
    body.extend((PACKET_SHOW_INFO | PACKET_SHOW_MEMINFO).to_ne_bytes());
    body.extend([0; 8]);
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request.extend([0; 8]);
    request.extend(body);
    request
}

/// Takes the sockets of one read; true when the answer ends with it.
fn take(mut bytes: &[u8], found: &mut Vec<PacketSocket>) -> io::Result<bool> {
    let malformed = || io::Error::other("malformed answer of sock_diag");
    while !bytes.is_empty() {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or_else(malformed)?;
        let [l0, l1, l2, l3, t0, t1, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let body = bytes.get(HEADER_BYTES..length).ok_or_else(malformed)?;
        match u16::from_ne_bytes([t0, t1]) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = number(body, 0).ok_or_else(malformed)?;
                return Err(io::Error::from_raw_os_error(code.cast_signed().wrapping_neg()));
            }
            _ => found.extend(socket_of(body)),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// `None`: the kernel does not tell what it lost.
fn socket_of(body: &[u8]) -> Option<PacketSocket> {
    let attributes = body.get(ANSWER_BYTES..)?;
    Some(PacketSocket {
        inode: number(body, 4)?,
        interface: IfIndex(number(attribute(attributes, PACKET_DIAG_INFO)?, 0)?),
        drops: number(attribute(attributes, PACKET_DIAG_MEMINFO)?, DROPS_AT)?,
    })
}

fn attribute(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let found = NlasIterator::new(attributes).flatten().find(|attribute| attribute.kind() == wanted)?;
    let length = usize::from(found.length());
    // What is behind it is in there, too.
    found.into_inner().get(ATTRIBUTE_HEADER_BYTES..length)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nla(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(ATTRIBUTE_HEADER_BYTES + value.len()).unwrap();
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER_BYTES + body.len()).unwrap();
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat()
    }

    #[test]
    fn sockets_are_read_until_the_answer_ends() {
        let mut memory = [0_u8; 36];
        memory[DROPS_AT..].copy_from_slice(&226_u32.to_ne_bytes());
        let head = [&[AF_PACKET, 3, 3, 0][..], &157_343_u32.to_ne_bytes(), &[0; 8]].concat();
        let info = [&12_u32.to_ne_bytes()[..], &[0; 20]].concat();
        let told = [head.clone(), nla(PACKET_DIAG_INFO, &info), nla(PACKET_DIAG_MEMINFO, &memory)].concat();
        let untold = [head, nla(PACKET_DIAG_INFO, &info)].concat();
        let mut found = Vec::new();
        let bytes = [message(SOCK_DIAG_BY_FAMILY, &told), message(SOCK_DIAG_BY_FAMILY, &untold)].concat();
        assert!(!take(&bytes, &mut found).unwrap());
        assert_eq!(found, [PacketSocket { inode: 157_343, interface: IfIndex(12), drops: 226 }]);
        assert!(take(&message(NLMSG_DONE, &[0; 4]), &mut found).unwrap());
        let refused = take(&message(NLMSG_ERROR, &(-2_i32).to_ne_bytes()), &mut found).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        assert!(
            take(&[1, 2, 3], &mut found).is_err() && take(&message(20, &told)[..40], &mut found).is_err()
        );
    }
}
