//! What a program in the guest says to TCP data.

use hoptrace_common::{
    conversation::{Conversation, Said, Segment},
    exchange::segment,
    packet::{Frame, parse},
};

use crate::{
    frames::{ACK, GUEST_V4, HOST_V4, Ipv4, L3, PSH, SYN, Tcp, payload, udp, untagged},
    strict::StrictReader,
};

const MS: u64 = 1_000_000;
const GUEST_PORT: u16 = 443;
const HOST_PORT: u16 = 40_000;

/// A connection to the guest, by what passes the tap.
struct Talk {
    conversation: Conversation,
    /// The next byte of each side.
    host: u32,
    guest: u32,
}

impl Talk {
    /// The numbers wrap soon.
    fn new() -> Self {
        Self { conversation: Conversation::default(), host: u32::MAX - 150, guest: u32::MAX - 70 }
    }

    fn say(&mut self, from_guest: bool, seq: u32, ack: u32, len_bytes: u32, flags: u32, at_ms: u64) -> Said {
        let from = if from_guest { Segment::FROM_GUEST } else { 0 };
        let flags = flags | from | Segment::ACK | Segment::GUEST_IS_LOWER | Segment::FOLLOWED;
        let segment = Segment { key: 7, seq, ack, len_bytes, flags };
        assert!(segment.speaks());
        self.conversation.pass(&segment, at_ms * MS)
    }

    /// New data to the guest, all of which was said so far acknowledged.
    fn ask(&mut self, at_ms: u64) -> Said {
        self.piece(100, Segment::PUSH, at_ms)
    }

    fn piece(&mut self, len_bytes: u32, flags: u32, at_ms: u64) -> Said {
        let said = self.say(false, self.host, self.guest, len_bytes, flags, at_ms);
        self.host = self.host.wrapping_add(len_bytes);
        said
    }

    fn answer(&mut self, at_ms: u64) -> Said {
        let said = self.say(true, self.guest, self.host, 50, Segment::PUSH, at_ms);
        self.guest = self.guest.wrapping_add(50);
        said
    }
}

#[test]
fn the_first_data_of_the_guest_answers_and_the_rest_does_not() {
    let mut talk = Talk::new();
    for round in 0..5 {
        let at = 1_000 * (round + 1);
        assert_eq!(talk.ask(at), Said::Question);
        assert_eq!(talk.answer(at + 200), Said::Answer(200 * MS));
        assert_eq!(talk.answer(at + 201), Said::Nothing);
    }
}

#[test]
fn nobody_is_asked_where_the_guest_speaks_first_or_only_listens() {
    let mut talk = Talk::new();
    assert_eq!(talk.answer(1), Said::Nothing);
    assert_eq!(talk.answer(2), Said::Nothing);
    // What follows the guest's greeting is a question.
    assert_eq!(talk.ask(10), Said::Question);
    assert_eq!(talk.answer(15), Said::Answer(5 * MS));
    // A stream that goes one way has one question and no answer.
    assert_eq!(talk.ask(100), Said::Question);
    for at in 101..200 {
        assert_eq!(talk.ask(at), Said::Nothing);
    }
}

#[test]
fn a_question_in_several_segments_is_asked_with_its_last() {
    let mut talk = Talk::new();
    assert_eq!(talk.piece(1448, 0, 10), Said::Question);
    assert_eq!(talk.piece(1448, 0, 60), Said::Nothing);
    assert_eq!(talk.piece(100, Segment::PUSH, 110), Said::Nothing);
    assert_eq!(talk.answer(310), Said::Answer(200 * MS));
    // Head and body written one after the other: it makes no difference which of them is the question.
    talk.ask(1_000);
    assert_eq!(talk.ask(1_002), Said::Nothing);
    assert_eq!(talk.answer(1_202), Said::Answer(200 * MS));
}

#[test]
fn questions_before_the_answer_are_not_measured_nor_those_that_queue_behind_them() {
    let mut talk = Talk::new();
    talk.ask(0);
    talk.ask(50);
    talk.ask(100);
    // It may be to any of them.
    assert_eq!(talk.answer(200), Said::Unclear);
    // The second one's answer comes soon after the fourth question, and is not its answer.
    assert_eq!(talk.ask(210), Said::Question);
    assert_eq!(talk.answer(250), Said::Unclear);
    assert_eq!(talk.answer(300), Said::Nothing);
    assert_eq!(talk.answer(410), Said::Nothing);
    // Silent for as long as an answer takes: nothing is owed any more.
    assert_eq!(talk.ask(700), Said::Question);
    assert_eq!(talk.answer(900), Said::Answer(200 * MS));
}

#[test]
fn what_is_sent_again_says_nothing_about_time() {
    let mut talk = Talk::new();
    let (host, guest) = (talk.host, talk.guest);
    talk.ask(0);
    assert_eq!(talk.say(false, host, guest, 100, Segment::PUSH, 300), Said::Nothing);
    assert_eq!(talk.answer(310), Said::Unclear);
    // The answer's own repetition is none, nor is the question's once it is answered, nor a keep-alive's byte.
    assert_eq!(talk.say(true, guest, talk.host, 50, Segment::PUSH, 500), Said::Nothing);
    assert_eq!(talk.say(false, host, guest, 100, Segment::PUSH, 600), Said::Nothing);
    assert_eq!(talk.say(false, talk.host.wrapping_sub(1), talk.guest, 1, 0, 700), Said::Nothing);
    assert_eq!(talk.answer(800), Said::Nothing);
    // The next one is clear again.
    assert_eq!(talk.ask(900), Said::Question);
    assert_eq!(talk.answer(907), Said::Answer(7 * MS));
}

#[test]
fn whoever_asks_while_the_guest_speaks_gets_no_time() {
    let mut talk = Talk::new();
    talk.ask(0);
    assert_eq!(talk.answer(10), Said::Answer(10 * MS));
    talk.answer(11);
    // Asked before the second half had come.
    let (host, before) = (talk.host, talk.guest.wrapping_sub(50));
    assert_eq!(talk.say(false, host, before, 100, Segment::PUSH, 12), Said::Question);
    talk.host = host.wrapping_add(100);
    assert_eq!(talk.answer(13), Said::Unclear);
    // Said before the question was heard.
    talk.ask(50);
    let (guest, unheard) = (talk.guest, talk.host.wrapping_sub(1));
    assert_eq!(talk.say(true, guest, unheard, 50, Segment::PUSH, 51), Said::Nothing);
    talk.guest = guest.wrapping_add(50);
    assert_eq!(talk.answer(60), Said::Unclear);
}

#[test]
fn a_guest_that_is_the_client_is_asked_nothing() {
    let mut talk = Talk::new();
    let open = Segment { key: 7, seq: 1, ack: 1, len_bytes: 0, flags: Segment::SYN | Segment::ACK };
    // Known by who opened the connection, whatever the ports are.
    assert!(Conversation::begins(&Segment { flags: open.flags | Segment::GUEST_IS_LOWER, ..open }));
    assert_eq!(talk.conversation.pass(&open, 1), Said::Nothing);
    assert_eq!(talk.ask(10), Said::Nothing);
    assert_eq!(talk.answer(20), Said::Nothing);
    // A new connection of the same ends, to the guest.
    assert_eq!(talk.conversation.pass(&Segment { flags: Segment::SYN, ..open }, 30 * MS), Said::Nothing);
    assert_eq!(talk.ask(40), Said::Question);
    assert_eq!(talk.answer(41), Said::Answer(MS));
    // By its port, where the beginning was not seen.
    let data = Segment { len_bytes: 9, flags: Segment::ACK | Segment::FOLLOWED, ..open };
    assert!(!Conversation::begins(&data));
    assert_eq!(Conversation::default().pass(&data, 1), Said::Nothing);
}

#[test]
fn what_is_not_followed_is_not_measured() {
    let mut talk = Talk::new();
    let unfollowed = Segment {
        key: 7,
        seq: talk.host,
        ack: talk.guest,
        len_bytes: 100,
        flags: Segment::PUSH | Segment::GUEST_IS_LOWER,
    };
    talk.conversation.pass(&unfollowed, 0);
    talk.host = talk.host.wrapping_add(100);
    assert_eq!(talk.answer(5), Said::Unclear);
}

#[test]
fn a_place_is_kept_for_as_long_as_anything_is_said() {
    let mut talk = Talk::new();
    talk.ask(10);
    assert!(!talk.conversation.is_old(900 * MS, 900 * MS) && talk.conversation.is_old(910 * MS, 900 * MS));
    talk.answer(800);
    assert!(!talk.conversation.is_old(910 * MS, 900 * MS));
    let mut state = Conversation::BUSY;
    for _ in 0..3 {
        let next = Conversation::after(state);
        assert!(next > Conversation::BUSY && next != state);
        state = next;
    }
    assert_eq!(Conversation::after(u64::MAX), 2);
}

fn seen(l3: &L3, from_guest: bool) -> Option<Segment> {
    let frame = untagged(l3).bytes;
    let reader = StrictReader(&frame);
    let packet = parse(&reader, &Frame::read(&reader).unwrap()).unwrap();
    segment(&reader, &packet, from_guest)
}

#[test]
fn both_directions_of_a_connection_have_one_key() {
    let to_guest = Ipv4 { source: HOST_V4, destination: GUEST_V4, ..Ipv4::default() };
    let from_guest = Ipv4 { source: GUEST_V4, destination: HOST_V4, ..Ipv4::default() };
    let asks = Tcp {
        source: HOST_PORT,
        destination: GUEST_PORT,
        seq: 5,
        ack: 6,
        flags: ACK | PSH,
        payload: payload(30),
        ..Tcp::default()
    };
    let answers = Tcp {
        source: GUEST_PORT,
        destination: HOST_PORT,
        seq: 6,
        ack: 35,
        flags: ACK,
        payload: payload(20),
        ..Tcp::default()
    };
    let asked = seen(&to_guest.packet(&asks.segment()), false).unwrap();
    let answered = seen(&from_guest.packet(&answers.segment()), true).unwrap();
    assert_eq!(asked.key, answered.key);
    assert_eq!((asked.seq, asked.ack, asked.len_bytes), (5, 6, 30));
    assert_eq!((answered.seq, answered.ack, answered.len_bytes), (6, 35, 20));
    assert!(asked.has(Segment::GUEST_IS_LOWER | Segment::PUSH) && answered.has(Segment::GUEST_IS_LOWER));
    assert!(answered.has(Segment::FROM_GUEST) && !asked.has(Segment::FROM_GUEST) && asked.speaks());
    // 256 is below 443, though its first byte in memory is not.
    let low = Tcp { source: 256, destination: GUEST_PORT, flags: SYN, ..Tcp::default() }.segment();
    assert!(!seen(&to_guest.packet(&low), false).unwrap().has(Segment::GUEST_IS_LOWER));
    assert_eq!(seen(&to_guest.packet(&udp(1, 2, &payload(20))), false), None);
    let ack = Tcp { flags: ACK, payload: Vec::new(), ..Tcp::default() }.segment();
    assert!(!seen(&from_guest.packet(&ack), true).unwrap().speaks());
}
