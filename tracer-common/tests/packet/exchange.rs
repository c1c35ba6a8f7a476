//! Questions to the guest and their answers.

use hoptrace_common::{
    exchange::{Part, Question, answer, answer_to_guest, kind, question, question_of_guest},
    packet::{Frame, Packet, parse},
};

use crate::{
    frames::{
        ACK, FIN, FRAGMENT, GUEST_V4, GUEST_V6, HOST_V4, HOST_V6, ICMP, ICMPV6, Ipv4, Ipv6, L3, PSH, RST,
        SYN, Segment, TIMESTAMP, Tcp, arp, echo, icmp, payload, udp, untagged,
    },
    strict::StrictReader,
};

fn with_packet<T>(l3: &L3, then: impl Fn(&StrictReader<'_>, &Packet) -> T) -> T {
    let frame = untagged(l3).bytes;
    let reader = StrictReader(&frame);
    let packet = parse(&reader, &Frame::read(&reader).unwrap()).unwrap();
    then(&reader, &packet)
}

fn asked(l3: &L3) -> Option<Part> {
    with_packet(l3, |reader, packet| question(reader, packet))
}

fn answered(l3: &L3) -> Option<Part> {
    with_packet(l3, |reader, packet| answer(reader, packet))
}

fn to_guest(segment: &Segment) -> L3 {
    Ipv4 { source: HOST_V4, destination: GUEST_V4, ..Ipv4::default() }.packet(segment)
}

fn from_guest(segment: &Segment) -> L3 {
    Ipv4 { source: GUEST_V4, destination: HOST_V4, ..Ipv4::default() }.packet(segment)
}

fn to_guest_v6(segment: &Segment) -> L3 {
    Ipv6 { source: HOST_V6, destination: GUEST_V6, ..Ipv6::default() }.packet(segment)
}

fn from_guest_v6(segment: &Segment) -> L3 {
    Ipv6 { source: GUEST_V6, destination: HOST_V6, ..Ipv6::default() }.packet(segment)
}

/// A segment from the host's port 40000 to the guest's 443.
fn request(seq: u32, flags: u8, payload_len: usize) -> Segment {
    Tcp { seq, flags, options: TIMESTAMP.to_vec(), payload: payload(payload_len), ..Tcp::default() }.segment()
}

/// A segment back.
fn reply(ack: u32, flags: u8, payload_len: usize) -> Segment {
    let payload = payload(payload_len);
    Tcp { source: 443, destination: 40_000, ack, flags, payload, ..Tcp::default() }.segment()
}

#[test]
fn an_echo_reply_answers_its_request() {
    let questions = [asked(&to_guest(&echo(ICMP, 8, 7, 9))), asked(&to_guest_v6(&echo(ICMPV6, 128, 7, 9)))]
        .map(Option::unwrap);
    let answers =
        [answered(&from_guest(&echo(ICMP, 0, 7, 9))), answered(&from_guest_v6(&echo(ICMPV6, 129, 7, 9)))]
            .map(Option::unwrap);
    assert_eq!(questions[0].key, answers[0].key);
    assert_eq!(questions[1].key, answers[1].key);
    assert_ne!(questions[0].key, questions[1].key);
    assert!(answers[0].answers(questions[0].number));
    // One for an anycast address is answered from another one.
    let anycast = Ipv6 { source: HOST_V6, destination: [0xfd; 16], ..Ipv6::default() };
    assert_eq!(asked(&anycast.packet(&echo(ICMPV6, 128, 7, 9))).unwrap().key, answers[1].key);
    // The same request once more says nothing about time.
    assert!(questions[0].repeats(questions[0].number));
}

#[test]
fn an_echo_with_other_numbers_or_ends_is_another_exchange() {
    let key = asked(&to_guest(&echo(ICMP, 8, 7, 9))).unwrap().key;
    assert_ne!(key, asked(&to_guest(&echo(ICMP, 8, 8, 9))).unwrap().key);
    assert_ne!(key, asked(&to_guest(&echo(ICMP, 8, 7, 10))).unwrap().key);
    assert_ne!(key, asked(&from_guest(&echo(ICMP, 8, 7, 9))).unwrap().key);
    // The guest's own requests are no answers, nor are replies to it questions.
    assert_eq!(answered(&from_guest(&echo(ICMP, 8, 7, 9))), None);
    assert_eq!(asked(&to_guest(&echo(ICMP, 0, 7, 9))), None);
    assert_eq!(asked(&to_guest_v6(&echo(ICMPV6, 129, 7, 9))), None);
    // Type 8 is a request in ICMP only, 128 in ICMPv6 only.
    assert_eq!(asked(&to_guest(&echo(ICMP, 128, 7, 9))), None);
    assert_eq!(asked(&to_guest_v6(&echo(ICMPV6, 8, 7, 9))), None);
}

#[test]
fn a_syn_ack_answers_a_syn() {
    for (question, answer) in [
        (asked(&to_guest(&request(1000, SYN, 0))), answered(&from_guest(&reply(1001, SYN | ACK, 0)))),
        (asked(&to_guest_v6(&request(1000, SYN, 0))), answered(&from_guest_v6(&reply(1001, SYN | ACK, 0)))),
    ] {
        let (question, answer) = (question.unwrap(), answer.unwrap());
        assert_eq!(question.key, answer.key);
        assert_eq!((question.start, question.number), (1000, 1001));
        assert!(answer.answers(question.number));
    }
    // A refusal is an answer as well.
    let question = asked(&to_guest(&request(1000, SYN, 0))).unwrap();
    assert!(answered(&from_guest(&reply(1001, RST | ACK, 0))).unwrap().answers(question.number));
    // Data that comes with it (TCP fast open) may be acknowledged, or left for later.
    let question = asked(&to_guest(&request(1000, SYN, 100))).unwrap();
    for ack in [1001, 1101] {
        assert!(answered(&from_guest(&reply(ack, SYN | ACK, 0))).unwrap().answers(question.number));
    }
}

#[test]
fn an_icmp_error_answers_what_it_is_about() {
    let about = |packet: &L3| [&[0; 4], &packet.bytes.bytes[..]].concat();
    let refusal = |kind, packet: &L3| answered(&from_guest(&icmp(ICMP, kind, 3, &about(packet))));
    let refusal_v6 = |kind, packet: &L3| answered(&from_guest_v6(&icmp(ICMPV6, kind, 4, &about(packet))));
    for segment in [request(1000, SYN, 0), echo(ICMP, 8, 7, 9)] {
        let packet = to_guest(&segment);
        let (question, answer) = (asked(&packet).unwrap(), refusal(3, &packet).unwrap());
        assert_eq!(question.key, answer.key);
        assert!(answer.answers(question.number));
        assert_eq!((refusal(11, &packet), refusal_v6(1, &packet)), (None, None));
    }
    for segment in [request(1000, SYN, 0), echo(ICMPV6, 128, 7, 9)] {
        let packet = to_guest_v6(&segment);
        let (question, answer) = (asked(&packet).unwrap(), refusal_v6(1, &packet).unwrap());
        assert_eq!(question.key, answer.key);
        assert!(answer.answers(question.number));
        assert_eq!(refusal_v6(3, &packet), None);
    }
    // Data is not refused by one about what came before it, nor is a datagram a question.
    let data = to_guest(&request(1000, ACK, 100));
    assert!(!refusal(3, &data).unwrap().answers(asked(&data).unwrap().number));
    assert_eq!(refusal(3, &to_guest(&udp(9, 9, &payload(20)))), None);
}

#[test]
fn an_acknowledgement_answers_the_data_it_covers() {
    let question = asked(&to_guest(&request(5000, ACK | PSH, 100))).unwrap();
    assert_eq!((question.start, question.number), (5000, 5100));
    let answers = |ack| answered(&from_guest(&reply(ack, ACK, 0))).unwrap().answers(question.number);
    assert!(!answers(5000));
    assert!(!answers(5099));
    assert!(answers(5100));
    // Cumulative: it covers later data too; and data that carries it is as good.
    assert!(answers(9000));
    assert!(answered(&from_guest(&reply(5100, ACK | PSH, 64))).unwrap().answers(question.number));
    assert!(answered(&from_guest(&reply(5100, ACK | FIN, 0))).unwrap().answers(question.number));
}

#[test]
fn sequence_numbers_wrap() {
    let question = asked(&to_guest(&request(u32::MAX - 49, ACK, 100))).unwrap();
    assert_eq!(question.number, 50);
    let answers = |ack| answered(&from_guest(&reply(ack, ACK, 0))).unwrap().answers(question.number);
    assert!(!answers(u32::MAX - 49));
    assert!(!answers(u32::MAX));
    assert!(!answers(0));
    assert!(!answers(49));
    assert!(answers(50));
    assert!(answers(50 + (1 << 31) - 1));
    assert!(!answers(50 + (1 << 31)));

    // Expecting number 0 must not look like an open echo.
    let to_zero = asked(&to_guest(&request(u32::MAX - 99, ACK, 100))).unwrap();
    assert_eq!(to_zero.number, 0);
    let next = asked(&to_guest(&request(0, ACK, 100))).unwrap();
    assert!(!next.repeats(to_zero.number));
    assert!(to_zero.repeats(to_zero.number));
}

#[test]
fn a_retransmission_repeats_and_new_data_does_not() {
    let open = asked(&to_guest(&request(5000, ACK, 100))).unwrap();
    let repeats = |seq, len| asked(&to_guest(&request(seq, ACK, len))).unwrap().repeats(open.number);
    assert!(repeats(5000, 100));
    assert!(repeats(5000, 40), "its first part");
    assert!(repeats(5060, 40), "its last part");
    assert!(repeats(4000, 1000), "data before it");
    assert!(repeats(5099, 200), "an overlap of one byte");
    assert!(!repeats(5100, 100), "the data behind it");
    assert!(!repeats(9000, 100), "data further on");
    // Across the wrap of the sequence numbers.
    let open = asked(&to_guest(&request(u32::MAX - 9, ACK, 20))).unwrap();
    assert_eq!(open.number, 10);
    assert!(asked(&to_guest(&request(u32::MAX, ACK, 5))).unwrap().repeats(open.number));
    assert!(asked(&to_guest(&request(3, ACK, 5))).unwrap().repeats(open.number));
    assert!(!asked(&to_guest(&request(10, ACK, 5))).unwrap().repeats(open.number));
}

#[test]
fn what_asks_nothing() {
    assert_eq!(asked(&to_guest(&request(1, ACK, 0))), None, "a pure acknowledgement");
    assert_eq!(asked(&to_guest(&request(1, ACK | FIN, 0))), None, "a FIN alone");
    assert_eq!(asked(&to_guest(&request(1, RST, 0))), None);
    assert_eq!(asked(&to_guest(&request(1, RST | ACK, 20))), None, "a reset with data");
    assert_eq!(asked(&to_guest(&udp(1, 2, &payload(20)))), None);
    assert_eq!(asked(&arp(2, HOST_V4, GUEST_V4)), None, "a reply");
    assert_eq!(asked(&arp(1, HOST_V4, HOST_V4)), None, "an announcement");
    assert_eq!(asked(&arp(1, [0; 4], GUEST_V4)), None, "a probe");
    let tail = Ipv4 { fragment_offset: 3, ..Ipv4::default() };
    assert_eq!(asked(&tail.packet(&request(1, ACK, 100))), None);
    let tail = Ipv6 { extensions: vec![(FRAGMENT, 8)], fragment_offset: 3, ..Ipv6::default() };
    assert_eq!(asked(&tail.packet(&echo(ICMPV6, 128, 1, 1))), None);
    // A GSO packet too large for its own length field: how much it covers is not known.
    let mut frame = untagged(&to_guest(&request(1, ACK, 100))).bytes;
    frame[16..18].fill(0);
    let reader = StrictReader(&frame);
    let packet = parse(&reader, &Frame::read(&reader).unwrap()).unwrap();
    assert_eq!(question(&reader, &packet), None);
    // A header longer than the packet.
    let mut frame = untagged(&to_guest(&request(1, ACK, 40))).bytes;
    frame[16..18].copy_from_slice(&30_u16.to_be_bytes());
    let reader = StrictReader(&frame);
    let packet = parse(&reader, &Frame::read(&reader).unwrap()).unwrap();
    assert_eq!(question(&reader, &packet), None);
}

#[test]
fn what_answers_nothing() {
    assert_eq!(answered(&from_guest(&reply(1, SYN, 0))), None, "the guest's own SYN");
    assert_eq!(answered(&from_guest(&reply(1, RST, 0))), None, "a reset without an acknowledgement");
    assert_eq!(answered(&from_guest(&udp(1, 2, &payload(20)))), None);
    assert_eq!(answered(&arp(1, GUEST_V4, HOST_V4)), None, "a request");
    let echoed =
        with_packet(&from_guest(&echo(ICMP, 0, 7, 9)), |reader, packet| answer_to_guest(reader, packet));
    assert_eq!(echoed, None, "only ARP of the guest's is watched");
    let tail = Ipv4 { fragment_offset: 3, ..Ipv4::default() };
    assert_eq!(answered(&tail.packet(&reply(1, ACK, 100))), None);
}

#[test]
fn an_arp_reply_answers_its_request_and_no_other() {
    let question = asked(&arp(1, HOST_V4, GUEST_V4)).unwrap();
    let reply = answered(&arp(2, GUEST_V4, HOST_V4)).unwrap();
    assert_eq!((question.key, question.kind), (reply.key, kind::ARP));
    assert!(reply.answers(question.number) && question.repeats(question.number));
    assert_eq!(question.number.to_ne_bytes(), GUEST_V4);
    let elsewhere = [10, 99, 99, 77];
    assert_ne!(question.key, answered(&arp(2, elsewhere, HOST_V4)).unwrap().key);
    assert_ne!(question.key, answered(&arp(2, GUEST_V4, elsewhere)).unwrap().key);

    // The guest's own requests are exchanges of their own.
    let ask = arp(1, GUEST_V4, HOST_V4);
    let of_guest = with_packet(&ask, |reader, packet| question_of_guest(reader, packet)).unwrap();
    let reply = arp(2, HOST_V4, GUEST_V4);
    let to_guest = with_packet(&reply, |reader, packet| answer_to_guest(reader, packet)).unwrap();
    assert_eq!((of_guest.key, of_guest.kind), (to_guest.key, kind::ARP_OF_GUEST));
    assert!(to_guest.answers(of_guest.number));
    assert_ne!(of_guest.key, asked(&ask).unwrap().key);
}

#[test]
fn kinds_of_questions_keep_apart() {
    let kinds = [
        asked(&to_guest(&echo(ICMP, 8, 7, 9))),
        asked(&to_guest(&request(1, SYN, 0))),
        asked(&to_guest(&request(1, ACK, 5))),
    ];
    assert_eq!(kinds.map(|part| part.unwrap().kind), [kind::ECHO, kind::CONNECTION, kind::DATA]);
}

#[test]
fn a_question_s_state_says_how_often_it_was_asked() {
    assert_eq!(Question::times(Question::FREE) + Question::times(Question::BUSY), 0);
    for now_ns in [0, 1, 0xff, u64::MAX] {
        let mut state = Question::open(now_ns);
        for times in 1..127 {
            assert_eq!((Question::times(state), Question::counts_on(state)), (times, true));
            state += Question::ONCE_MORE;
        }
        assert!(!Question::counts_on(state));
        assert_eq!((Question::times(state), state >> 8), (127, now_ns << 8 >> 8));
    }
}

#[test]
fn flows_keep_apart() {
    let key = asked(&to_guest(&request(1, SYN, 0))).unwrap().key;
    let other_port = Tcp { source: 40_001, flags: SYN, ..Tcp::default() }.segment();
    let swapped = Tcp { source: 443, destination: 40_000, flags: SYN, ..Tcp::default() }.segment();
    assert_ne!(key, asked(&to_guest(&other_port)).unwrap().key);
    assert_ne!(key, asked(&to_guest(&swapped)).unwrap().key);
    assert_ne!(key, asked(&from_guest(&request(1, SYN, 0))).unwrap().key);
    // An answer on the wrong ports is not this flow's.
    let stray = Tcp { source: 40_000, destination: 443, ..Tcp::default() }.segment();
    assert_ne!(key, answered(&from_guest(&stray)).unwrap().key);
    // The same at every later packet of the flow.
    assert_eq!(key, asked(&to_guest(&request(77, ACK | PSH, 30))).unwrap().key);
}
