//! What a program in the guest says to TCP data: how long the guest's applications take, told from how soon its kernel
//! acknowledges.
//!
//! A question is data to the guest after the guest has said all it had to say; its answer is the first data of the guest
//! behind that. What is measured is the time from the question's last segment to the answer's first one, both at the tap.
//! Where TCP does not tell which data answers which, nothing is measured, and counted as unclear:
//!
//! - a question that was sent again (Karn's rule), or asked while the guest was speaking;
//! - an answer that does not begin where the guest had stopped when it was asked;
//! - several questions before the first answer, unless they came so close together that it makes no difference; and those
//!   after them, until the guest has been silent for as long as it took to answer.
//!
//! A question that is never answered by data was none: a stream that goes one way. Nor does anybody ask where the guest is the
//! client: who opened the connection is seen in its SYN, and told by the lower port where it was opened before the trace.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Connections that are watched at a time (a power of two).
pub const CONVERSATIONS: u32 = 4096;

/// Several questions count as one if they came within this part of the time to the answer: the precision of the figures.
const PRECISION: u64 = 32;

/// A TCP segment at the guest's tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Equal for both directions of a connection.
    pub key: u64,
    /// The number of its first byte.
    pub seq: u32,
    /// The byte it waits for from the other side.
    pub ack: u32,
    /// Bytes of data.
    pub len_bytes: u32,
    /// [`Segment::FROM_GUEST`] and its siblings.
    pub flags: u32,
}

impl Segment {
    /// The last one of what was written at once.
    pub const PUSH: u32 = 0x08;
    /// Opens a connection.
    pub const SYN: u32 = 0x02;
    /// Acknowledges.
    pub const ACK: u32 = 0x10;
    /// Ends one at once.
    pub const RST: u32 = 0x04;
    /// The guest has the lower port: it is the server, if nothing else is known.
    pub const GUEST_IS_LOWER: u32 = 1 << 8;
    /// It comes from the guest, and does not go there.
    pub const FROM_GUEST: u32 = 1 << 9;
    /// Its packet is one of those that figures are of.
    pub const FOLLOWED: u32 = 1 << 10;

    /// Whether `flag` is set.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether it can change a conversation: most that do not are acknowledgements.
    #[inline(always)]
    #[must_use]
    pub const fn speaks(&self) -> bool {
        if self.has(Self::FROM_GUEST) {
            self.len_bytes != 0
        } else {
            self.has(Self::SYN) || (self.len_bytes != 0 && !self.has(Self::RST))
        }
    }
}

/// What a segment meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Nothing that is counted.
    Nothing,
    /// It began a question.
    Question,
    /// It answered a question, after so many nanoseconds.
    Answer(u64),
    /// It answered a question, and it is not clear which or since when.
    Unclear,
}

/// One connection, as far as it is known at the tap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Conversation {
    /// [`Conversation::FREE`], [`Conversation::BUSY`], or what is neither and changes whenever the rest does.
    pub state: u64,
    /// Whose it is: [`Segment::key`].
    pub key: u64,
    /// When the open question was asked: the last segment of its first part.
    pub first_ns: u64,
    /// When its last segment came.
    pub last_ns: u64,
    /// When data passed last, in either direction.
    pub heard_ns: u64,
    /// How long the guest must have been silent for questions to be clear again; 0: they are.
    pub bar_ns: u64,
    /// Where the data to the guest goes on.
    pub host_next: u32,
    /// Where the guest's data goes on.
    pub guest_next: u32,
    /// Bits, the constants below.
    pub known: u32,
    /// Zero.
    pub reserved: u32,
}

/// A question is open.
const OPEN: u32 = 1;
/// Its time would say nothing.
const UNCLEAR: u32 = 1 << 1;
/// It has several parts, each of which might be one by itself.
const SEVERAL: u32 = 1 << 2;
/// The last segment to the guest said that more follows.
const UNFINISHED: u32 = 1 << 3;
/// `host_next` is known.
const HOST_KNOWN: u32 = 1 << 4;
/// `guest_next` is known.
const GUEST_KNOWN: u32 = 1 << 5;
/// The connection was seen to be opened, to the guest.
const TO_GUEST: u32 = 1 << 6;
/// It was, by the guest.
const BY_GUEST: u32 = 1 << 7;

/// Whether sequence number `a` is not before `b`: they wrap.
#[inline(always)]
const fn reaches(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) < 1 << 31
}

impl Conversation {
    /// There is none.
    pub const FREE: u64 = 0;
    /// It is being changed.
    pub const BUSY: u64 = 1;

    /// The state behind `state`.
    #[inline(always)]
    #[must_use]
    pub const fn after(state: u64) -> u64 {
        if state >= u64::MAX - 2 { 2 } else { (state | 1) + 1 }
    }

    /// Whether another connection may take the place of this one, in which nothing was said for `timeout_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn is_old(&self, now_ns: u64, timeout_ns: u64) -> bool {
        now_ns.wrapping_sub(self.heard_ns) >= timeout_ns
    }

    /// Whether `segment`, of a connection that is not known, needs a place: it asks something, or says who opened the
    /// connection, where the ports say otherwise.
    #[inline(always)]
    #[must_use]
    pub const fn begins(segment: &Segment) -> bool {
        if segment.has(Segment::FROM_GUEST) {
            return false;
        }
        let lower = segment.has(Segment::GUEST_IS_LOWER);
        if segment.has(Segment::SYN) { lower == segment.has(Segment::ACK) } else { lower }
    }

    /// A connection of which nothing is known yet.
    #[inline(always)]
    pub const fn begin(&mut self, key: u64, now_ns: u64) {
        self.key = key;
        self.first_ns = 0;
        self.last_ns = 0;
        self.heard_ns = now_ns;
        self.bar_ns = 0;
        self.host_next = 0;
        self.guest_next = 0;
        self.known = 0;
    }

    /// A segment of this connection passes the tap.
    #[inline(always)]
    pub const fn pass(&mut self, segment: &Segment, now_ns: u64) -> Said {
        if segment.has(Segment::FROM_GUEST) {
            return self.answers(segment, now_ns);
        }
        if segment.has(Segment::SYN) {
            self.begin(segment.key, now_ns);
            // Who gets a SYN that acknowledges one has sent it.
            self.known = if segment.has(Segment::ACK) { BY_GUEST } else { TO_GUEST };
            return Said::Nothing;
        }
        let is_client = if self.known & (TO_GUEST | BY_GUEST) == 0 {
            !segment.has(Segment::GUEST_IS_LOWER)
        } else {
            self.known & BY_GUEST != 0
        };
        if is_client {
            return Said::Nothing;
        }
        self.asks(segment, now_ns)
    }

    #[inline(always)]
    const fn asks(&mut self, segment: &Segment, now_ns: u64) -> Said {
        let end = segment.seq.wrapping_add(segment.len_bytes);
        let mut known = self.known;
        if known & HOST_KNOWN != 0 && !reaches(segment.seq, self.host_next) {
            // All or some of it came before.
            known |= UNCLEAR;
            if reaches(self.host_next, end) {
                self.known = known;
                return Said::Nothing;
            }
        }
        let opens = known & OPEN == 0;
        if opens {
            known &= !(UNCLEAR | SEVERAL);
            if self.bar_ns != 0 && now_ns.wrapping_sub(self.heard_ns) >= self.bar_ns {
                self.bar_ns = 0;
            }
            let speaking = known & GUEST_KNOWN != 0 && segment.ack != self.guest_next;
            if speaking || self.bar_ns != 0 {
                known |= UNCLEAR;
            }
            if known & GUEST_KNOWN == 0 {
                self.guest_next = segment.ack;
            }
            self.first_ns = now_ns;
        } else if known & UNFINISHED != 0 {
            if known & SEVERAL == 0 {
                self.first_ns = now_ns;
            }
        } else {
            known |= SEVERAL;
        }
        if !segment.has(Segment::FOLLOWED) {
            known |= UNCLEAR;
        }
        known |= OPEN | HOST_KNOWN | GUEST_KNOWN | UNFINISHED;
        if segment.has(Segment::PUSH) {
            known &= !UNFINISHED;
        }
        self.known = known;
        self.host_next = end;
        self.last_ns = now_ns;
        self.heard_ns = now_ns;
        if opens { Said::Question } else { Said::Nothing }
    }

    #[inline(always)]
    const fn answers(&mut self, segment: &Segment, now_ns: u64) -> Said {
        let end = segment.seq.wrapping_add(segment.len_bytes);
        let known = self.known;
        if known & GUEST_KNOWN != 0 && reaches(self.guest_next, end) {
            // Sent again: it was counted when it came first.
            return Said::Nothing;
        }
        let goes_on = known & GUEST_KNOWN != 0 && segment.seq == self.guest_next;
        self.guest_next = end;
        self.known = known | GUEST_KNOWN;
        self.heard_ns = now_ns;
        if known & OPEN == 0 {
            return Said::Nothing;
        }
        if !reaches(segment.ack, self.host_next) {
            // Said before the guest had heard all of it.
            self.known |= UNCLEAR;
            return Said::Nothing;
        }
        self.known &= !OPEN;
        let all_ns = now_ns.wrapping_sub(self.first_ns);
        let mut clear = known & UNCLEAR == 0 && goes_on && segment.has(Segment::FOLLOWED);
        if known & SEVERAL != 0 {
            self.bar_ns = all_ns | 1;
            clear = clear && self.last_ns.wrapping_sub(self.first_ns) <= all_ns / PRECISION;
        }
        let answer_ns = now_ns.wrapping_sub(self.last_ns);
        if clear && answer_ns <= u64::MAX / 2 { Said::Answer(answer_ns) } else { Said::Unclear }
    }
}

const _: () = assert!(size_of::<Conversation>() == 64);
