//! Many threads, few slots. Every time tells the packet and the hook it belongs to, so that figures of two packets
//! can not be mixed unnoticed.

use std::{
    collections::VecDeque,
    sync::{
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use hoptrace_common::inflight::{Hook, Kind, MAX_SITES, Reach, Settled, State, find, mark, settle, visit};

use crate::{ledger::Ledger, table::HostTable, traced::seen_at};

const HOOKS: u8 = 4;
const WORKERS: usize = 4;
const STEP_NS: u64 = 1_000;
const PACKET_NS: u64 = 1_000_000;
/// Longer than a whole run by the packets' clock, so that none of them times out by itself.
const TIMEOUT_NS: u64 = 1 << 62;
/// When regular packets begin. Those that are to vanish begin at 0: to all others they have timed out at once.
const START_NS: u64 = TIMEOUT_NS + (1 << 61);

fn hook(id: u8) -> Hook {
    let later = (id + 1..HOOKS).map(|later| 1 << later).sum();
    Hook { id, direction: 0, entry: id == 0, terminal: id == HOOKS - 1, later, beside: 0 }
}

/// The finaliser of `MurmurHash3`: a bijection.
fn scattered(number: u64) -> u64 {
    let mut hash = number;
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

/// Where the kernel frees packets and copies with this identity: a mark on another packet shows.
fn site(key: u64) -> u32 {
    u32::try_from(key % u64::from(MAX_SITES)).unwrap()
}

/// Settles a slot; a mark must be that of the packet it is on.
fn settle_checked(table: &HostTable, index: u32, now_ns: u64) -> Settled {
    let settled = settle(table, index, now_ns);
    if let Settled::Dropped(packet, marked) = settled {
        assert_eq!(marked, site(packet.key), "{packet:?}");
    }
    settled
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// Has an identity of its own, and arrives.
    Regular,
    /// Has an identity of its own, and is dropped behind its second hook.
    Vanishing,
    /// Shares its identity with another packet at the same time.
    Twin,
}

/// What the table was told about a packet so far.
#[derive(Debug, Clone, Copy)]
struct Tracked {
    slot: u32,
    first: u8,
    last: u8,
}

#[derive(Debug, Clone, Copy)]
struct Packet {
    key: u64,
    base_ns: u64,
    nature: Nature,
    next_hook: u8,
    tracked: Option<Tracked>,
}

/// What happened to one worker's packets, or to all.
#[derive(Debug, Default)]
struct Tally {
    ledger: Ledger,
    /// Regular packets that were taken for one of several.
    wrongly_grouped: u64,
    /// Vanishing packets that have a slot of their own when they vanish, or had one taken before.
    vanished: i64,
}

struct Run<'a> {
    table: &'a HostTable,
    /// Packets still to be sent.
    left: AtomicU64,
    /// Packets on their way, and how many may be.
    on_the_way: AtomicU64,
    limit: u64,
    to_workers: Vec<Sender<Packet>>,
    /// A worker found something wrong: the others must not wait for its packets.
    failed: AtomicBool,
}

/// Tells the other workers when this one panics.
struct TellFailure<'a>(&'a AtomicBool);

impl Drop for TellFailure<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, SeqCst);
        }
    }
}

impl Run<'_> {
    /// One packet at its next hook. The table's answer must be about this packet and no other.
    fn walk(&self, packet: &mut Packet, tally: &mut Tally) {
        let hook = hook(packet.next_hook);
        let now_ns = packet.base_ns + u64::from(hook.id) * STEP_NS;
        let outcome = visit(self.table, &seen_at(hook, packet.key, now_ns));
        tally.ledger.count(hook, &outcome);
        packet.next_hook += 1;
        if packet.nature == Nature::Twin {
            return;
        }
        match (outcome.kind, packet.tracked) {
            (Kind::New, before) => {
                // Only one that may be taken over comes back as new.
                assert!(before.is_none() || packet.nature == Nature::Vanishing, "{packet:?}: {outcome:?}");
                if packet.nature == Nature::Vanishing {
                    tally.vanished += 1;
                }
                packet.tracked = Some(Tracked { slot: outcome.index, first: hook.id, last: hook.id });
            }
            (Kind::Passed, Some(tracked)) => {
                assert_eq!(outcome.hook, tracked.last, "{packet:?}: {outcome:?}");
                assert_eq!(outcome.latency_ns, STEP_NS, "{packet:?}: {outcome:?}");
                assert_eq!(outcome.total_ns, u64::from(hook.id - tracked.first) * STEP_NS, "{packet:?}");
                assert_eq!(outcome.index, tracked.slot, "{packet:?}: {outcome:?}");
                assert_eq!(outcome.control.joined(), tracked.first != 0, "{packet:?}: {outcome:?}");
                assert_eq!(outcome.control.count(), u32::from(hook.id - tracked.first + 1), "{packet:?}");
                assert_eq!(outcome.control.state() == State::Done, hook.terminal, "{packet:?}: {outcome:?}");
                packet.tracked = Some(Tracked { last: hook.id, ..tracked });
            }
            (Kind::Untracked, None) => {}
            // Its slot is another's by now, and the set is full.
            (Kind::Untracked, Some(_)) if packet.nature == Nature::Vanishing => packet.tracked = None,
            (Kind::Grouped, _) => {
                tally.wrongly_grouped += 1;
            }
            _ => panic!("{packet:?}: {outcome:?}"),
        }
    }

    /// The kernel frees the packet, or a copy of it.
    fn free(&self, packet: &Packet, tally: &mut Tally) {
        if let Some(tracked) = find(self.table, packet.key)
            && tracked.control.state() == State::Live
        {
            let reach = Reach { live_after: 0xffff, done_after: 0 };
            tally.ledger.free(mark(self.table, tracked, reach, site(packet.key)));
        }
    }

    fn ended(packet: &Packet) -> bool {
        packet.next_hook == if packet.nature == Nature::Vanishing { 2 } else { HOOKS }
    }

    /// Takes the next packet number, and a second one for a twin.
    fn next_packets(&self) -> Option<[Option<Packet>; 2]> {
        if self.on_the_way.load(Relaxed) >= self.limit {
            return None;
        }
        let number = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(2)).ok()?;
        let packet = |number: u64, key: u64, nature| {
            let start_ns = if nature == Nature::Vanishing { 0 } else { START_NS };
            let base_ns = start_ns + number * PACKET_NS;
            Packet { key: scattered(key), base_ns, nature, next_hook: 0, tracked: None }
        };
        let packets = match scattered(!number) % 16 {
            0 | 1 => [number, number - 1].map(|own| Some(packet(own, number, Nature::Twin))),
            2 => [Some(packet(number, number, Nature::Vanishing)), None],
            _ => [number, number - 1].map(|own| Some(packet(own, own, Nature::Regular))),
        };
        self.on_the_way.fetch_add(packets.iter().flatten().count() as u64, SeqCst);
        Some(packets)
    }

    /// Sends packets, walks those that come in, and hands each on to the next worker.
    fn work(&self, own: usize, incoming: &Receiver<Packet>) -> Tally {
        let _tell = TellFailure(&self.failed);
        let mut tally = Tally::default();
        let mut waiting = VecDeque::new();
        loop {
            if let Some([first, second]) = self.next_packets() {
                // The twin starts elsewhere, as soon as it can.
                if let Some(second) = second {
                    self.to_workers[(own + 1) % WORKERS].send(second).unwrap();
                }
                waiting.extend(first);
            }
            waiting.extend(incoming.try_iter());
            let Some(mut packet) = waiting.pop_front() else {
                let all_done = self.left.load(SeqCst) < 2 && self.on_the_way.load(SeqCst) == 0;
                if all_done || self.failed.load(SeqCst) {
                    return tally;
                }
                thread::yield_now();
                continue;
            };
            self.walk(&mut packet, &mut tally);
            if Self::ended(&packet) {
                if packet.nature == Nature::Vanishing {
                    self.free(&packet, &mut tally);
                }
                self.on_the_way.fetch_sub(1, SeqCst);
            } else {
                // A copy dies. Perhaps only when the packet is elsewhere already. Not of those that look alike: the other one that
                // comes is taken for a repetition.
                let copy = packet;
                let late = match packet.nature {
                    Nature::Twin => 2,
                    _ => scattered(packet.key ^ u64::from(packet.next_hook)) % 8,
                };
                if late == 0 {
                    self.free(&copy, &mut tally);
                }
                self.to_workers[(own + usize::from(packet.next_hook)) % WORKERS].send(packet).unwrap();
                if late == 1 {
                    self.free(&copy, &mut tally);
                }
            }
        }
    }
}

/// Runs `packets` over a table of `sets`, at most `limit` at a time, with a sweeper beside them.
fn run(sets: u32, packets: u64, limit: u64) -> (HostTable, Tally) {
    // By the packets' clock, too: what was freed of one on its way is a copy.
    let table = HostTable::new(sets, TIMEOUT_NS).settling_after(TIMEOUT_NS);
    let (to_workers, from_workers): (Vec<_>, Vec<_>) = (0..WORKERS).map(|_| mpsc::channel()).unzip();
    let run = Run {
        table: &table,
        left: packets.into(),
        on_the_way: 0.into(),
        limit,
        to_workers,
        failed: false.into(),
    };
    let finished = AtomicBool::new(false);
    let mut total = Tally::default();
    thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            let mut swept = Ledger::default();
            while !finished.load(SeqCst) {
                for index in 0..table.len() {
                    swept.settle(settle_checked(&table, index, START_NS + packets * PACKET_NS));
                }
                thread::yield_now();
            }
            swept.in_flight = 0;
            swept
        });
        let run = &run;
        let workers: Vec<_> = from_workers
            .into_iter()
            .enumerate()
            .map(|(own, incoming)| scope.spawn(move || run.work(own, &incoming)))
            .collect();
        let tallies: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        finished.store(true, SeqCst);
        total.ledger = sweeper.join().unwrap();
        for tally in tallies {
            let tally = tally.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            total.ledger += tally.ledger;
            total.wrongly_grouped += tally.wrongly_grouped;
            total.vanished += tally.vanished;
        }
    });
    // What vanished first, then, much later, what is left.
    assert_eq!(table.count(State::Busy), 0);
    let (end_ns, late_ns) = (START_NS + packets * PACKET_NS, START_NS + TIMEOUT_NS + (1 << 60));
    for now_ns in [end_ns, end_ns, late_ns, late_ns] {
        total.ledger.in_flight = 0;
        for index in 0..table.len() {
            total.ledger.settle(settle_checked(&table, index, now_ns));
        }
    }
    assert_eq!(table.count(State::Free), table.len() as usize);
    assert!(table.spilled_of_all_sets().iter().all(|&spilled| spilled == 0));
    (table, total)
}

fn check(total: &Tally) {
    total.ledger.assert_balanced();
    assert_eq!(total.ledger.in_flight, 0);
    // Every regular packet that had a slot was seen to leave it (`walk`). A twin's slot can stay behind: when the other
    // one kept it busy at each attempt of its last hook, or as `twins` tells.
    let twins_lost = total.ledger.lost + total.ledger.dropped - total.vanished;
    assert!((0..20).contains(&twins_lost), "{twins_lost} of more than 100,000 twins: {total:?}");
    assert!(total.vanished > 0 && total.ledger.lost > 0, "{total:?}");
    assert!(total.ledger.dropped > 0 && total.ledger.copies_freed() > 0, "{total:?}");
    assert!(total.ledger.untold > 0, "no twins met: {total:?}");
}

#[test]
fn a_small_table_under_threads() {
    let (_, total) = run(8, 1_000_000, 48);
    check(&total);
    assert!(total.ledger.given_up > 0, "{total:?}");
}

#[test]
fn a_table_that_is_large_enough_tracks_almost_everything() {
    let packets = 1_000_000;
    let (_, total) = run(64, packets, 32);
    check(&total);
    // A thread that is stopped while it writes a slot keeps others of the set waiting.
    assert!(total.ledger.untracked < 2_000, "{total:?}");
    assert!(total.wrongly_grouped < 200, "{total:?}");
}
