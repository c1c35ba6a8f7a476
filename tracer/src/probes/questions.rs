//! Unanswered questions at the guest's tap.

use std::{collections::BTreeSet, net::Ipv4Addr, rc::Rc};

use aya::{Ebpf, EbpfLoader};
use hoptrace_common::exchange::{ExchangeCounters, Question, kind};

use super::{Probe, Trace};
use crate::{
    attach::{Attachable, Sizes},
    collect::{CollectError, Mapped, Maps, PerCpu, Reading, Share, monotonic_ns},
    model::{Evidence, EvidenceSource, Plan, Snapshot},
};

const QUESTIONS: &str = "QUESTIONS";
const COUNTS: &str = "EXCHANGES";

/// The kinds that are told, and how evidence calls the unanswered ones. Not TCP data: who ends a connection need not
/// acknowledge all of it.
const TOLD: [(u32, &str); 4] = [
    (kind::ECHO, "echo_unanswered"),
    (kind::CONNECTION, "connection_unanswered"),
    (kind::ARP, "arp_unanswered"),
    (kind::ARP_OF_GUEST, "arp_of_guest_unanswered"),
];
/// Addresses that are named at most.
const MAX_NAMED: usize = 3;

/// The programs of hooks find them; it needs nothing.
#[derive(Debug)]
pub(super) struct Questions;

impl Probe for Questions {
    fn read(
        &self,
        object: &Ebpf,
        maps: &Maps,
        trace: &Trace<'_>,
    ) -> Result<Option<Box<dyn Reading>>, CollectError> {
        Ok(Some(Box::new(Exchanges {
            questions: maps.array(object, QUESTIONS)?,
            share: trace.share,
            counters: PerCpu::of(object, maps, COUNTS, trace.share)?,
            timeout_ns: trace.timeout_ns(),
            tap: trace.tap(),
        })))
    }
}

impl Attachable for Questions {
    fn configure<'s>(&'s self, object: &mut EbpfLoader<'s>, sizes: Sizes) {
        object.map_max_entries(COUNTS, sizes.per_cpu());
    }
}

/// The questions, and what came of earlier ones.
#[derive(Debug)]
struct Exchanges {
    /// Those of all ports.
    questions: Rc<Mapped<Question>>,
    share: Share,
    counters: PerCpu<ExchangeCounters>,
    timeout_ns: u64,
    /// The interface they pass.
    tap: String,
}

impl Reading for Exchanges {
    fn tell(&self, _plan: &Plan, snapshot: &mut Snapshot) {
        snapshot.evidence.extend(self.evidence(monotonic_ns()));
        snapshot.guest.application.unclear = self.unclear();
    }
}

/// What came of the questions of one kind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    asked: u64,
    unanswered: u64,
    about: BTreeSet<Ipv4Addr>,
}

impl Exchanges {
    /// The kinds of questions of which some were not answered in time.
    fn evidence(&self, now_ns: u64) -> Vec<Evidence> {
        let questions = (0..self.questions.len()).filter_map(|at| self.questions.read(at));
        let questions: Vec<_> = questions.filter(|question| self.is_own(question)).collect();
        let counters: Vec<_> = self.counters.iter().collect();
        let told = TOLD.into_iter().filter_map(|(kind, counter)| {
            let account = account(kind, &questions, &counters, now_ns, self.timeout_ns);
            (account.unanswered > 0).then(|| evidence(&account, counter, &self.tap))
        });
        told.chain(without_room(&counters, &self.tap)).collect()
    }

    fn is_own(&self, question: &Question) -> bool {
        self.share.room.port_of_key(question.key) == self.share.port
    }

    /// Answers of programs in the guest that are not measured.
    fn unclear(&self) -> u64 {
        self.counters.iter().fold(0, |sum, cpu| sum.wrapping_add(place(&cpu.unclear, kind::ANSWER)))
    }
}

/// Questions that were not remembered, so that nothing is known of their answers.
fn without_room(counters: &[ExchangeCounters], tap: &str) -> Option<Evidence> {
    let sum = |of: &[u64; kind::PLACES]| of.iter().fold(0, |sum: u64, more| sum.wrapping_add(*more));
    let [count, asked] = counters.iter().fold([0_u64; 2], |[count, asked], cpu| {
        [count.wrapping_add(sum(&cpu.no_room)), asked.wrapping_add(sum(&cpu.asked))]
    });
    (count > 0).then(|| Evidence {
        source: EvidenceSource::Tap,
        at: tap.to_owned(),
        counter: "questions_without_room".to_owned(),
        count,
        of: Some(asked.wrapping_add(count)),
        about: None,
        shared: false,
        meaning: String::new(),
    })
}

fn place(counters: &[u64; kind::PLACES], kind: u32) -> u64 {
    usize::try_from(kind).ok().and_then(|kind| counters.get(kind)).copied().unwrap_or(0)
}

/// A question that is open and not yet old may still be answered.
fn account(
    kind: u32,
    questions: &[Question],
    counters: &[ExchangeCounters],
    now_ns: u64,
    timeout_ns: u64,
) -> Account {
    let sum = |of: fn(&ExchangeCounters) -> &[u64; kind::PLACES]| {
        counters.iter().fold(0, |sum: u64, cpu| sum.wrapping_add(place(of(cpu), kind)))
    };
    let mut account = Account {
        asked: sum(|cpu| &cpu.asked),
        unanswered: sum(|cpu| &cpu.unanswered),
        about: BTreeSet::new(),
    };
    let old = |question: &&Question| {
        question.kind == kind && now_ns.saturating_sub(question.asked_ns) >= timeout_ns
    };
    for question in questions.iter().filter(old) {
        let times = Question::times(question.state);
        account.unanswered += times;
        if times > 0 && matches!(kind, kind::ARP | kind::ARP_OF_GUEST) {
            account.about.insert(Ipv4Addr::from(question.expected.to_ne_bytes()));
        }
    }
    account
}

fn evidence(account: &Account, counter: &str, tap: &str) -> Evidence {
    let mut named: Vec<_> = account.about.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    if account.about.len() > MAX_NAMED {
        named.push(format!("{} more", account.about.len() - MAX_NAMED));
    }
    Evidence {
        source: EvidenceSource::Tap,
        at: tap.to_owned(),
        counter: counter.to_owned(),
        count: account.unanswered,
        of: Some(account.asked),
        about: (!named.is_empty()).then(|| named.join(", ")),
        shared: false,
        meaning: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT_NS: u64 = 1_000;
    const NOW_NS: u64 = 50_000;

    fn question(kind: u32, asked_ns: u64, times: u64, address: [u8; 4]) -> Question {
        let state = Question::open(asked_ns) + (times - 1) * Question::ONCE_MORE;
        Question { state, key: 1, asked_ns, expected: u32::from_ne_bytes(address), kind }
    }

    fn counters(kind: u32, asked: u64, unanswered: u64) -> ExchangeCounters {
        let mut counters = ExchangeCounters::default();
        counters.asked[usize::try_from(kind).unwrap()] = asked;
        counters.unanswered[usize::try_from(kind).unwrap()] = unanswered;
        counters
    }

    #[test]
    fn old_questions_count_as_often_as_they_were_asked_and_young_ones_do_not() {
        let nobody = [10, 0, 0, 9];
        let questions = [
            question(kind::ARP, NOW_NS - TIMEOUT_NS, 3, nobody),
            question(kind::ARP, NOW_NS - TIMEOUT_NS + 1, 5, [10, 0, 0, 7]),
            question(kind::ECHO, 1, 1, [0; 4]),
            // Answered.
            Question { state: Question::FREE, ..question(kind::ARP, 1, 1, [10, 0, 0, 8]) },
            Question { state: Question::BUSY, ..question(kind::ARP, 1, 1, [10, 0, 0, 8]) },
        ];
        let counters = [counters(kind::ARP, 7, 1), counters(kind::ARP, 4, 2), counters(kind::ECHO, 9, 0)];
        let of = |kind| account(kind, &questions, &counters, NOW_NS, TIMEOUT_NS);
        let expected = Account { asked: 11, unanswered: 6, about: [Ipv4Addr::from(nobody)].into() };
        assert_eq!(of(kind::ARP), expected);
        assert_eq!(of(kind::ECHO), Account { asked: 9, unanswered: 1, about: BTreeSet::new() });
        assert_eq!(of(kind::CONNECTION), Account::default());
    }

    #[test]
    fn questions_that_found_no_room_are_told_beside_those_that_did() {
        let mut full = counters(kind::CONNECTION, 10, 0);
        assert_eq!(without_room(&[full], "tap0"), None);
        full.no_room[usize::try_from(kind::CONNECTION).unwrap()] = 4;
        let mut other = counters(kind::ANSWER, 5, 0);
        other.no_room[usize::try_from(kind::ANSWER).unwrap()] = 1;
        let told = without_room(&[full, other], "tap0").unwrap();
        assert_eq!((told.counter.as_str(), told.count, told.of), ("questions_without_room", 5, Some(20)));
    }

    #[test]
    fn a_few_addresses_are_named() {
        let about = (1..6).map(|last| Ipv4Addr::new(10, 0, 0, last)).collect();
        let found = evidence(&Account { asked: 9, unanswered: 5, about }, "arp_unanswered", "tap0");
        assert_eq!(found.about.as_deref(), Some("10.0.0.1, 10.0.0.2, 10.0.0.3, 2 more"));
        assert_eq!((found.count, found.of, found.shared), (5, Some(9), false));
        assert_eq!(evidence(&Account::default(), "echo_unanswered", "tap0").about, None);
    }
}
