//! Questions and requests about traffic control, over a blocking socket: the guardian has no more than that.

use std::io;

use rtnetlink::{
    packet_core::{
        DecodeError, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REQUEST,
        NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator,
    },
    packet_route::{
        RouteNetlinkMessage,
        tc::{TcAttribute, TcHandle, TcHeader, TcMessage},
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};

use crate::{attach::side::TcSide, model::IfIndex};

/// Room for one read. The kernel fills at most 32 KiB.
const BUFFER_BYTES: usize = 64 << 10;
/// Attributes of traffic control and of a bpf filter.
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_NAME: u16 = 7;

/// A filter, or a whole priority: then the handle is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::attach) struct Filter {
    pub(in crate::attach) interface: IfIndex,
    pub(in crate::attach) side: TcSide,
    /// Priority and protocol, as the kernel packs them.
    info: u32,
    pub(in crate::attach) handle: u32,
    /// A bpf filter's name.
    pub(in crate::attach) name: Option<String>,
}

impl Filter {
    /// Whether its program is one for interfaces beside a path: one of ours that is a path's, too, has another one.
    pub(in crate::attach) fn is_beside(&self) -> bool {
        // The kernel may have cut the name.
        self.name.as_deref().is_some_and(|name| name.contains("_bes"))
    }

    pub(in crate::attach) fn priority(&self) -> u16 {
        u16::try_from(self.info >> 16).unwrap_or_default()
    }
}

/// What sits where only one of the two can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::attach) enum Qdisc {
    Clsact,
    /// The older one, without an egress side.
    Ingress,
}

/// A socket of rtnetlink.
pub(in crate::attach) struct TrafficControl {
    socket: Socket,
}

impl TrafficControl {
    pub(in crate::attach) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// All filters on one side of an interface, of every kind and owner. None where the interface is gone.
    pub(in crate::attach) fn filters(&self, interface: IfIndex, side: TcSide) -> io::Result<Vec<Filter>> {
        let mut question = about(interface);
        question.header.parent = parent(side);
        let answers = match self.ask(&RouteNetlinkMessage::GetTrafficFilter(question)) {
            // The interface went away, and its filters with it.
            Err(error) if is_gone(&error) => return Ok(Vec::new()),
            answers => answers?,
        };
        let filters = answers.iter().map(|(header, attributes)| Filter {
            interface,
            side,
            info: header.info,
            handle: header.handle.into(),
            name: bpf_name(attributes),
        });
        Ok(filters.collect())
    }

    /// The interface's `clsact`, or `ingress` in its place.
    pub(in crate::attach) fn qdisc(&self, interface: IfIndex) -> io::Result<Option<Qdisc>> {
        let answers = self.ask(&RouteNetlinkMessage::GetQueueDiscipline(about(interface)))?;
        let here = answers.iter().filter(|(header, _)| u32::try_from(header.index) == Ok(interface.0));
        let mut kinds = here.filter_map(|(_, attributes)| kind(attributes));
        Ok(kinds.find_map(|kind| match kind.as_str() {
            "clsact" => Some(Qdisc::Clsact),
            "ingress" => Some(Qdisc::Ingress),
            _ => None,
        }))
    }

    /// Makes the interface's `clsact`; `false` where another program was faster.
    pub(in crate::attach) fn add_clsact(&self, interface: IfIndex) -> io::Result<bool> {
        let mut request = clsact(interface);
        request.attributes.push(TcAttribute::Kind("clsact".to_owned()));
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        match self.demand(RouteNetlinkMessage::NewQueueDiscipline(request), flags) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// Removes the interface's `clsact`, with all filters that are there.
    pub(in crate::attach) fn remove_clsact(&self, interface: IfIndex) -> io::Result<()> {
        unless_gone(self.demand(RouteNetlinkMessage::DelQueueDiscipline(clsact(interface)), 0))
    }

    /// Removes one filter.
    pub(in crate::attach) fn remove_filter(&self, filter: &Filter) -> io::Result<()> {
        let mut request = about(filter.interface);
        request.header.parent = parent(filter.side);
        request.header.handle = filter.handle.into();
        request.header.info = filter.info;
        unless_gone(self.demand(RouteNetlinkMessage::DelTrafficFilter(request), 0))
    }

    /// Asks for a list, again while it changes under the kernel's hands.
    fn ask(&self, question: &RouteNetlinkMessage) -> io::Result<Vec<(TcHeader, Vec<u8>)>> {
        loop {
            self.send(question.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            let mut found = Vec::new();
            if self.receive(|answer| found.push(answer))? {
                let parse = |bytes: Vec<u8>| {
                    let header = TcHeader::parse(&bytes).map_err(io::Error::other)?;
                    Ok((header, bytes.get(TC_HEADER_BYTES..).unwrap_or_default().to_vec()))
                };
                return found.into_iter().map(parse).collect();
            }
        }
    }

    fn demand(&self, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.send(request, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.receive(|_| {}).map(drop)
    }

    fn send(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let mut message = NetlinkMessage::from(message);
        message.header.flags = flags;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    /// Reads to the end of an answer; `false` where it is a list that changed meanwhile.
    fn receive(&self, mut each: impl FnMut(Vec<u8>)) -> io::Result<bool> {
        let mut consistent = true;
        loop {
            let mut bytes = Vec::with_capacity(BUFFER_BYTES);
            self.socket.recv(&mut bytes, 0)?;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<Raw>::deserialize(rest).map_err(io::Error::other)?;
                consistent &= message.header.flags & NLM_F_DUMP_INTR == 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(Raw(payload)) => each(payload),
                    NetlinkPayload::Error(answer) if answer.code.is_some() => return Err(answer.to_io()),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(consistent),
                    _ => {}
                }
                let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

/// Bytes of `struct tcmsg`.
const TC_HEADER_BYTES: usize = 20;

/// A message as it came: what others put into their filters is not ours to understand.
#[derive(Debug)]
struct Raw(Vec<u8>);

impl NetlinkDeserializable for Raw {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self(payload.to_vec()))
    }
}

fn about(interface: IfIndex) -> TcMessage {
    TcMessage::with_index(i32::try_from(interface.0).unwrap_or_default())
}

fn clsact(interface: IfIndex) -> TcMessage {
    let mut message = about(interface);
    message.header.handle = TcHandle { major: TcHandle::CLSACT.major, minor: 0 };
    message.header.parent = TcHandle::CLSACT;
    message
}

const fn parent(side: TcSide) -> TcHandle {
    let minor = match side {
        TcSide::Ingress => TcHandle::MIN_INGRESS,
        TcSide::Egress => TcHandle::MIN_EGRESS,
    };
    TcHandle { major: TcHandle::CLSACT.major, minor }
}

fn kind(attributes: &[u8]) -> Option<String> {
    text(attribute(attributes, TCA_KIND)?)
}

fn bpf_name(attributes: &[u8]) -> Option<String> {
    kind(attributes).filter(|kind| kind == "bpf")?;
    text(attribute(attribute(attributes, TCA_OPTIONS)?, TCA_BPF_NAME)?)
}

fn attribute(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let found = NlasIterator::new(attributes).flatten().find(|attribute| attribute.kind() == wanted)?;
    let length = usize::from(found.length());
    // What is behind it is in there, too.
    found.into_inner().get(ATTRIBUTE_HEADER_BYTES..length)
}

/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEADER_BYTES: usize = 4;

fn text(bytes: &[u8]) -> Option<String> {
    let text = bytes.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn unless_gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if is_gone(&error) => Ok(()),
        outcome => outcome,
    }
}

/// The interface, its `clsact` or the filter is not there (any more).
fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::NODEV, Errno::NOENT, Errno::NXIO]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
