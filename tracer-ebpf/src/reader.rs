//! Packet bytes: read in place where they are linear, else from a bounded copy.

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_skb_load_bytes, bpf_xdp_load_bytes},
};
use hoptrace_common::packet::{self, Frame, Packet, ParseError, Places, Reader, parse};

use crate::{
    buffered::{Buffered, end_of_first},
    deep::hop_deep,
    maps::scratch,
    skb,
    window::Bytes,
};

/// The linear part of an skb, read in place.
#[derive(Clone, Copy)]
pub(crate) struct Direct {
    start: usize,
    end: usize,
    scratch: *mut u64,
    /// The context of a TC program, or null.
    skb: *const __sk_buff,
}

/// No header stands further inside a packet; the bound lets the verifier follow the pointer.
const MAX_OFFSET: u32 = 1024;

impl Direct {
    /// The linear part of `skb`.
    ///
    /// # Safety
    /// `skb` is the context of the running program, `scratch` in a map value of this CPU.
    #[inline(always)]
    pub(crate) unsafe fn new(skb: *const __sk_buff, scratch: *mut u64) -> Self {
        // SAFETY: the context is valid while the program runs.
        // Volatile, so that the compiler reads them each time: a fresh pointer is one the verifier knows nothing of.
        unsafe {
            let start = (&raw const (*skb).data).read_volatile() as usize;
            let end = (&raw const (*skb).data_end).read_volatile() as usize;
            Self { start, end, scratch, skb }
        }
    }
}

impl Direct {
    /// The linear part of the frame that an XDP program sees.
    ///
    /// # Safety
    /// `ctx` is the context of the running program, `scratch` in a map value of this CPU.
    #[inline(always)]
    pub(crate) unsafe fn at_xdp(ctx: *const xdp_md, scratch: *mut u64) -> Self {
        // SAFETY: as in `new`.
        unsafe {
            let start = (&raw const (*ctx).data).read_volatile() as usize;
            let end = (&raw const (*ctx).data_end).read_volatile() as usize;
            Self { start, end, scratch, skb: core::ptr::null() }
        }
    }
}

impl Reader for Direct {
    type Window = Bytes;

    #[inline(always)]
    fn window(&self, offset: u32, len: u32) -> Option<Bytes> {
        if offset > MAX_OFFSET {
            return None;
        }
        let at = self.start + offset as usize;
        if at + len as usize > self.end {
            return None;
        }
        // SAFETY: in the packet.
        Some(unsafe { Bytes::at(at as *const u8) })
    }

    #[inline(always)]
    fn opaque(&self, value: u32) -> u32 {
        scratch::through(self.scratch, value)
    }

    #[inline(always)]
    fn deep_sum(&self, start: u32, end: u32) -> Option<u64> {
        some(deep_in_place(self.start, self.end, start, self.end_of_first(start, end)))
    }
}

impl Direct {
    #[inline(always)]
    fn deep_sum_in_line(&self, start: u32, end: u32) -> Option<u64> {
        some(deep_in_line(self.start, self.end, start, self.end_of_first(start, end)))
    }

    /// As [`end_of_first`].
    #[inline(always)]
    fn end_of_first(&self, start: u32, end: u32) -> u32 {
        let part = if self.skb.is_null() { 0 } else { skb::part_bytes(self.skb) };
        end_of_first(start, end, part)
    }
}

/// [`packet::deep_sum`] of the linear part between `data` and `data_end`; 0: it is not all there.
#[inline(always)]
fn deep_in_line(data: usize, data_end: usize, start: u32, end: u32) -> u64 {
    let reader =
        Direct { start: data, end: data_end, scratch: core::ptr::null_mut(), skb: core::ptr::null() };
    packet::deep_sum(&reader, start, end).unwrap_or(0)
}

/// The same as a function of its own, for programs that need it seldom: the verifier has less to follow.
#[inline(never)]
fn deep_in_place(data: usize, data_end: usize, start: u32, end: u32) -> u64 {
    deep_in_line(data, data_end, start, end)
}

#[inline(always)]
const fn some(sum: u64) -> Option<u64> {
    if sum == 0 { None } else { Some(sum) }
}

/// The head of an skb, copied to memory of this CPU.
#[derive(Clone, Copy)]
pub(crate) struct Copied {
    buffered: Buffered,
    /// [`scratch::PLACE`], or that of a room ([`Copied::in_place`]).
    place: u32,
    /// As [`skb::part_bytes`] says; of a copy in a room [`hop_deep`] asks itself.
    part: u32,
}

impl Copied {
    /// Copies the head of `skb`; `None` when the kernel refuses.
    #[inline(always)]
    pub(crate) fn new(skb: *mut __sk_buff, scratch: *mut u64) -> Option<Self> {
        // SAFETY: the target has room for `len` bytes.
        let copy = Self::with(skb::len_bytes(skb), scratch, |target, len| unsafe {
            bpf_skb_load_bytes(skb.cast(), 0, target.cast(), len)
        })?;
        Some(Self { part: skb::part_bytes(skb), ..copy })
    }

    /// Copies the head of the frame of `frame_len` bytes that an XDP program sees.
    #[inline(always)]
    pub(crate) fn at_xdp(ctx: *mut xdp_md, frame_len: u32, scratch: *mut u64) -> Option<Self> {
        // SAFETY: the context is valid while the program runs, and the target has room for `len` bytes.
        Self::with(frame_len, scratch, |target, len| unsafe {
            bpf_xdp_load_bytes(ctx, 0, target.cast(), len)
        })
    }

    /// Has `copy` copy the first bytes of a frame of `frame_len` bytes to where there is room for them.
    #[inline(always)]
    fn with(frame_len: u32, scratch: *mut u64, copy: impl FnOnce(*mut u8, u32) -> i64) -> Option<Self> {
        let target = scratch::buffer()?;
        if frame_len == 0 {
            return None;
        }
        let last = if frame_len < scratch::LEN { frame_len - 1 } else { scratch::LEN - 1 };
        // Never 0, which the helpers do not take.
        let len = scratch::bounded(scratch, last) as u32 + 1;
        if copy(target, len) != 0 {
            return None;
        }
        // SAFETY: the buffer and the word are this CPU's.
        Some(unsafe { Self::of(target, len, scratch) })
    }

    /// The head of a packet that is in a [`scratch::Buffer`] already, `len` bytes of it.
    ///
    /// # Safety
    /// `start` is the start of such a buffer, `word` one of this CPU that is not used otherwise meanwhile.
    #[inline(always)]
    pub(crate) const unsafe fn of(start: *const u8, len: u32, word: *mut u64) -> Self {
        // SAFETY: the caller's.
        Self { buffered: unsafe { Buffered::new(start, len, word) }, place: scratch::PLACE, part: 0 }
    }

    /// Bytes of it.
    #[inline(always)]
    pub(crate) const fn len(self) -> u32 {
        self.buffered.len()
    }

    /// The same where the buffer is in another place.
    #[inline(always)]
    pub(crate) const fn in_place(self, place: u32) -> Self {
        Self { place, ..self }
    }
}

impl Reader for Copied {
    type Window = Bytes;

    #[inline(always)]
    fn window(&self, offset: u32, len: u32) -> Option<Bytes> {
        self.buffered.window(offset, len)
    }

    #[inline(always)]
    fn opaque(&self, value: u32) -> u32 {
        self.buffered.opaque(value)
    }

    #[inline(always)]
    fn deep_sum(&self, start: u32, end: u32) -> Option<u64> {
        some(hop_deep(self.place, self.buffered.len(), start, end_of_first(start, end, self.part)))
    }
}

/// A reader of an skb.
pub(crate) trait SkbReader: Reader {
    /// Whether this is the reader of the rare program, which knows all rules and all shapes of packets, and sees the
    /// whole head of the packet.
    const THOROUGH: bool;

    /// The Ethernet header; without VLAN tags that stand in the packet unless the reader is the thorough one.
    fn frame(&self) -> Option<Frame>;
    /// Parses what is behind `frame`. Unless the reader is the thorough one, an error says nothing about the packet.
    /// `word` is a scratch word of this CPU.
    fn packet(&self, frame: &Frame, word: *mut u64) -> Result<Packet, ParseError>;
}

impl SkbReader for Direct {
    const THOROUGH: bool = false;

    #[inline(always)]
    fn frame(&self) -> Option<Frame> {
        Frame::read_untagged(self)
    }

    #[inline(always)]
    fn packet(&self, frame: &Frame, word: *mut u64) -> Result<Packet, ParseError> {
        // Each shape is read in a way of its own; what comes next the verifier follows once.
        let usual = self.usual(frame, word).and_then(|headers| headers.identified(|| *self, false));
        usual.map(Usual::packet).ok_or(ParseError::Truncated)
    }
}

impl SkbReader for Copied {
    const THOROUGH: bool = true;

    #[inline(always)]
    fn frame(&self) -> Option<Frame> {
        Frame::read(self)
    }

    #[inline(always)]
    fn packet(&self, frame: &Frame, _: *mut u64) -> Result<Packet, ParseError> {
        // All ways so far meet here, for the verifier too: it follows what comes next once.
        let packet = parse(self, frame)?;
        Ok(Packet {
            ether_type: self.opaque(u32::from(packet.ether_type)) as u16,
            protocol: self.opaque(u32::from(packet.protocol)) as u8,
            fragment_tail: self.opaque(u32::from(packet.fragment_tail)) as u8,
            l3_end: self.opaque(packet.l3_end),
            ..packet
        })
    }
}

impl Direct {
    /// Parses the headers of a packet of a usual shape behind `frame`; `None`: it has another one. `word` is a scratch word of this
    /// CPU.
    #[inline(always)]
    pub(crate) fn usual(&self, frame: &Frame, word: *mut u64) -> Option<Headers> {
        let usual = packet::Usual::parse(self, frame)?;
        Some(Headers(packet::Usual { places: Places(scratch::through_u64(word, usual.places.0)), ..usual }))
    }
}

/// The headers of a packet of a usual shape, of whose places the verifier knows nothing. The filter is asked about these: payload takes
/// longer to read than all of them.
#[derive(Clone, Copy)]
pub(crate) struct Headers(packet::Usual);

impl Headers {
    /// The packet, but for its identity, which is 0.
    #[inline(always)]
    pub(crate) const fn packet(self) -> Packet {
        self.0.places.packet(0)
    }

    /// With the identity; `None`: the packet's payload belongs to it, and what `reader` gives, which is asked for where payload does, does not show it. `in_line`: payload is read by
    /// the program itself, which takes less time.
    #[inline(always)]
    pub(crate) fn identified(self, reader: impl FnOnce() -> Direct, in_line: bool) -> Option<Usual> {
        let Self(usual) = self;
        let deep = match usual.places.deep() {
            Some((start, end)) if in_line => reader().deep_sum_in_line(start, end)?,
            Some((start, end)) => reader().deep_sum(start, end)?,
            None => 0,
        };
        Some(Usual { identity: usual.identity(deep), places: usual.places })
    }
}

/// A packet of a usual shape.
#[derive(Clone, Copy)]
pub(crate) struct Usual {
    /// As [`Packet::identity`].
    pub(crate) identity: u64,
    places: Places,
}

impl Usual {
    /// The same packet, as the table calls it.
    #[inline(always)]
    pub(crate) const fn called(self, identity: u64) -> Self {
        Self { identity, ..self }
    }

    /// As [`Packet::protocol`].
    #[inline(always)]
    pub(crate) const fn protocol(self) -> u8 {
        self.places.protocol()
    }

    /// The packet with all of it.
    #[inline(always)]
    pub(crate) const fn packet(self) -> Packet {
        self.places.packet(self.identity)
    }
}
