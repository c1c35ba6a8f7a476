//! The kernel's Open vSwitch datapaths, over generic netlink (families `ovs_datapath` and `ovs_vport` of
//! `linux/openvswitch.h`).

use std::io;

use rtnetlink::{
    packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NlasIterator},
    sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC},
};

/// Room for one read. The kernel fills at most 32 KiB.
const BUFFER_BYTES: usize = 64 << 10;
/// `struct nlmsghdr`, `struct genlmsghdr`, and behind both, in Open vSwitch's families, the datapath's number.
const HEADER_BYTES: usize = 16;
const GENERIC_HEADER_BYTES: usize = 4;
const OVS_HEADER_BYTES: usize = 4;
/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEADER_BYTES: usize = 4;

/// The family of families.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const CMD_GET: u8 = 3;
const DP_ATTR_NAME: u16 = 1;
const DP_ATTR_STATS: u16 = 3;
const VPORT_ATTR_NAME: u16 = 3;
const VPORT_ATTR_UPCALL_STATS: u16 = 10;
const VPORT_UPCALL_ATTR_FAIL: u16 = 1;

/// What a datapath counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelDatapath {
    /// Its name: `ovs-system`.
    pub name: String,
    /// Packets that no flow matched.
    pub missed: u64,
    /// Of those: packets whose upcall `ovs-vswitchd` never got, because its queue was full.
    pub lost: u64,
    /// Its ports.
    pub ports: Vec<DatapathPort>,
}

/// What a port of a datapath counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatapathPort {
    /// The interface.
    pub name: String,
    /// Upcalls for packets that came in here and failed; `None` before kernel 6.3, which does not count them.
    pub failed_upcalls: Option<u64>,
}

/// The datapaths of this network namespace; none where the kernel has no Open vSwitch.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn kernel_datapaths() -> io::Result<Vec<KernelDatapath>> {
    let generic = Generic::open()?;
    let Some(datapaths) = generic.family("ovs_datapath")? else { return Ok(Vec::new()) };
    let vports = generic.family("ovs_vport")?;
    let mut found = Vec::new();
    for answer in generic.dump(datapaths, 0)? {
        let Some((number, attributes)) = split_number(&answer) else { continue };
        let Some(mut datapath) = datapath(attributes) else { continue };
        if let Some(vports) = vports {
            datapath.ports = generic.dump(vports, number)?.iter().filter_map(|answer| port(answer)).collect();
        }
        found.push(datapath);
    }
    Ok(found)
}

fn datapath(attributes: &[u8]) -> Option<KernelDatapath> {
    let stats = attribute(attributes, DP_ATTR_STATS)?;
    // struct ovs_dp_stats: hit, missed, lost, flows.
    Some(KernelDatapath {
        name: text(attribute(attributes, DP_ATTR_NAME)?),
        missed: number(stats, 8)?,
        lost: number(stats, 16)?,
        ports: Vec::new(),
    })
}

fn port(answer: &[u8]) -> Option<DatapathPort> {
    let (_, attributes) = split_number(answer)?;
    let failed = attribute(attributes, VPORT_ATTR_UPCALL_STATS)
        .and_then(|counts| attribute(counts, VPORT_UPCALL_ATTR_FAIL))
        .and_then(|count| number(count, 0));
    Some(DatapathPort { name: text(attribute(attributes, VPORT_ATTR_NAME)?), failed_upcalls: failed })
}

/// A datapath's number, and what is behind it.
fn split_number(answer: &[u8]) -> Option<(u32, &[u8])> {
    let (number, attributes) = answer.split_first_chunk::<OVS_HEADER_BYTES>()?;
    Some((u32::from_ne_bytes(*number), attributes))
}

/// A socket of generic netlink.
struct Generic(Socket);

impl Generic {
    fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self(socket))
    }

    /// A family's number; `None` where the kernel has no such family.
    fn family(&self, name: &str) -> io::Result<Option<u16>> {
        let mut body = vec![CTRL_CMD_GETFAMILY, 1, 0, 0];
        let length = ATTRIBUTE_HEADER_BYTES + name.len() + 1;
        body.extend(u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
        body.extend(CTRL_ATTR_FAMILY_NAME.to_ne_bytes());
        body.extend(name.bytes());
        body.resize((GENERIC_HEADER_BYTES + length).next_multiple_of(4), 0);
        let answers = match self.ask(GENL_ID_CTRL, NLM_F_ACK, &body) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOENT.raw_os_error()) => {
                return Ok(None);
            }
            answers => answers?,
        };
        let id = answers.iter().find_map(|answer| attribute(answer, CTRL_ATTR_FAMILY_ID));
        Ok(id.and_then(|bytes| bytes.first_chunk()).map(|bytes| u16::from_ne_bytes(*bytes)))
    }

    /// All objects of one of Open vSwitch's families, of the datapath of that number.
    fn dump(&self, family: u16, datapath: u32) -> io::Result<Vec<Vec<u8>>> {
        let mut body = vec![CMD_GET, 1, 0, 0];
        body.extend(datapath.to_ne_bytes());
        self.ask(family, NLM_F_DUMP, &body)
    }

    /// Sends a request and reads to the end of the answer: each message without its two headers.
    fn ask(&self, family: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
        let mut request = length.to_ne_bytes().to_vec();
        request.extend(family.to_ne_bytes());
        request.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        request.extend([0; 8]);
        request.extend(body);
        self.0.send(&request, 0)?;
        let mut found = Vec::new();
        loop {
            let mut bytes = Vec::with_capacity(BUFFER_BYTES);
            self.0.recv(&mut bytes, 0)?;
            if take_messages(&bytes, &mut found)? {
                return Ok(found);
            }
        }
    }
}

/// Takes the messages of one read; true when the answer ends with it.
fn take_messages(mut bytes: &[u8], found: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    let malformed = || io::Error::other("malformed answer of generic netlink");
    while !bytes.is_empty() {
        let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or_else(malformed)?;
        let [l0, l1, l2, l3, t0, t1, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let body = bytes.get(HEADER_BYTES..length).ok_or_else(malformed)?;
        match u16::from_ne_bytes([t0, t1]) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = body.first_chunk().map(|code| i32::from_ne_bytes(*code)).ok_or_else(malformed)?;
                return if code == 0 { Ok(true) } else { Err(io::Error::from_raw_os_error(-code)) };
            }
            _ => found.push(body.get(GENERIC_HEADER_BYTES..).ok_or_else(malformed)?.to_vec()),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn attribute(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let found = NlasIterator::new(attributes).flatten().find(|attribute| attribute.kind() == wanted)?;
    let length = usize::from(found.length());
    // What is behind it is in there, too.
    found.into_inner().get(ATTRIBUTE_HEADER_BYTES..length)
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn nla(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(ATTRIBUTE_HEADER_BYTES + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER_BYTES + body.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_datapath_and_its_ports_are_read() {
        let stats: Vec<u8> = [1_u64, 2, 3, 4].into_iter().flat_map(u64::to_ne_bytes).collect();
        let attributes =
            [nla(DP_ATTR_NAME, b"ovs-system\0"), nla(9, &[0; 8]), nla(DP_ATTR_STATS, &stats)].concat();
        let expected =
            KernelDatapath { name: "ovs-system".to_owned(), missed: 2, lost: 3, ports: Vec::new() };
        assert_eq!(datapath(&attributes), Some(expected));
        assert_eq!(datapath(&nla(DP_ATTR_STATS, &stats)), None);

        let counts =
            [nla(0, &7_u64.to_ne_bytes()), nla(VPORT_UPCALL_ATTR_FAIL, &5_u64.to_ne_bytes())].concat();
        let new = [vec![6, 0, 0, 0], nla(VPORT_ATTR_NAME, b"qvo\0"), nla(VPORT_ATTR_UPCALL_STATS, &counts)]
            .concat();
        assert_eq!(port(&new), Some(DatapathPort { name: "qvo".to_owned(), failed_upcalls: Some(5) }));
        let old = [vec![6, 0, 0, 0], nla(VPORT_ATTR_NAME, b"qvo\0")].concat();
        assert_eq!(port(&old), Some(DatapathPort { name: "qvo".to_owned(), failed_upcalls: None }));
        assert_eq!(port(&[1, 2]), None);
    }

    #[test]
    fn an_answer_ends_with_done_an_acknowledgement_or_an_error() {
        let data = message(77, &[1, 1, 0, 0, 42]);
        let mut padded = data.clone();
        padded.resize(data.len().next_multiple_of(4), 0);
        let mut found = Vec::new();
        assert!(!take_messages(&padded, &mut found).unwrap());
        assert!(take_messages(&[padded, message(NLMSG_DONE, &[0; 4])].concat(), &mut found).unwrap());
        assert_eq!(found, [vec![42], vec![42]]);
        assert!(take_messages(&message(NLMSG_ERROR, &0_i32.to_ne_bytes()), &mut found).unwrap());
        let refused = take_messages(&message(NLMSG_ERROR, &(-2_i32).to_ne_bytes()), &mut found).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        for bad in [&[0_u8; 3][..], &[0; 16], &[200, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]] {
            assert!(take_messages(bad, &mut found).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_kernel_is_asked_for_families() {
        let generic = Generic::open().unwrap();
        assert_eq!(generic.family("nlctrl").unwrap(), Some(GENL_ID_CTRL));
        assert_eq!(generic.family("no such family").unwrap(), None);
        kernel_datapaths().unwrap();
    }
}
