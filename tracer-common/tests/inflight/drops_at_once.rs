//! The drop program beside hooks and the sweeper, on the simulated machine: a mark never lands on another packet.

use hoptrace_common::inflight::{
    Hook, Mark, Reach, Settled, SlotCell as _, State, Table as _, Tracked, find, mark, settle, visit,
};

use crate::{
    ledger::Ledger,
    machine::{Machine, Processor},
    traced::seen_at,
};

const TIMEOUT_NS: u64 = 1_000_000_000;
/// The sites of the two packets.
const SITE: u32 = 11;
const OTHER_SITE: u32 = 12;

fn hook(id: u8) -> Hook {
    let later = (id + 1..4).map(|later| 1 << later).sum();
    Hook { id, direction: 0, entry: id == 0, terminal: id == 3, later, beside: 0 }
}

/// Keys of the only set, at home in slot 5.
const fn key(number: u64) -> u64 {
    number << 40 | 5 << 32
}

fn walk(processor: Processor<'_>, ledger: &mut Ledger, key: u64, now_ns: u64, hooks: &[u8]) {
    for &id in hooks {
        let sight = seen_at(hook(id), key, now_ns);
        let outcome = visit(processor, &sight);
        ledger.count(hook(id), &outcome);
    }
}

fn free(processor: Processor<'_>, ledger: &mut Ledger, key: u64, site: u32) {
    if let Some(tracked) = find(processor, key) {
        free_found(processor, ledger, tracked, site);
    }
}

/// The packet was found before; much can have happened since.
fn free_found(processor: Processor<'_>, ledger: &mut Ledger, tracked: Tracked, site: u32) {
    let reach = Reach { live_after: 0xffff, done_after: 1 << 3 };
    ledger.free(mark(processor, tracked, reach, site));
}

/// A packet that all processors can see.
fn found(machine: &Machine, key: u64) -> Tracked {
    let tracked = find(machine.alone(), key).unwrap();
    // A full barrier: what was written so far is shown.
    assert!(machine.alone().slot(tracked.index).unwrap().exchange(tracked.control, tracked.control));
    tracked
}

/// Sweeps at the end and gives how each packet ended, by its key: where it was dropped, or nothing.
fn finish(machine: &Machine, ledger: &mut Ledger, now_ns: u64) -> Vec<(u64, Option<u32>)> {
    let mut ends = Vec::new();
    for index in (0..machine.slots()).chain(0..machine.slots()) {
        let settled = settle(machine.alone(), index, now_ns);
        ledger.settle(settled);
        match settled {
            Settled::Ended(packet) => ends.push((packet.key, None)),
            Settled::Dropped(packet, site) => ends.push((packet.key, Some(site))),
            _ => {}
        }
    }
    assert!(machine.states().iter().all(|&state| state == State::Free));
    ledger.assert_balanced();
    ends
}

type Program<'a> = Box<dyn FnOnce(Processor<'_>) -> Ledger + Send + 'a>;

fn program<'a>(run: impl FnOnce(Processor<'_>, &mut Ledger) + Send + 'a) -> Program<'a> {
    Box::new(|processor| {
        let mut ledger = Ledger::default();
        run(processor, &mut ledger);
        ledger
    })
}

/// A copy dies while the packet completes its way, its slot goes to another packet, and that one is lost.
#[test]
fn a_mark_never_lands_on_the_packet_that_took_the_slot() {
    let (mut stays, mut went) = (0, 0);
    for seed in 0..8_000 {
        let machine = Machine::new(1, 2, TIMEOUT_NS, seed);
        let mut ledger = Ledger::default();
        walk(machine.alone(), &mut ledger, key(1), 0, &[0, 1]);
        let tracked = found(&machine, key(1));
        let hooks = program(|processor, ledger| {
            walk(processor, ledger, key(1), 0, &[2, 3]);
            // As far as the first one was when its copy died.
            walk(processor, ledger, key(2), 0, &[0, 1]);
        });
        let drops = program(|processor, ledger| {
            // Lets the hooks come some way before.
            for _ in 0..seed % 16 {
                find(processor, key(3));
            }
            free_found(processor, ledger, tracked, SITE);
        });
        for part in machine.side_by_side(vec![hooks, drops]) {
            ledger += part;
        }
        let slot = machine.alone().slot(tracked.index).unwrap();
        if slot.mark() == Mark::NONE {
            went += 1;
        } else {
            stays += 1;
        }
        let ends = finish(&machine, &mut ledger, 2 * TIMEOUT_NS);
        assert_eq!(ends, [(key(2), None)], "seed {seed}: {ledger:?}");
    }
    assert!(stays > 300 && went > 300, "met too seldom: {stays} {went}");
}

/// Both packets in the slot are freed, by two processors.
#[test]
fn each_packet_keeps_its_own_mark() {
    let (mut own, mut taken_away) = (0, 0);
    for seed in 0..8_000 {
        let machine = Machine::new(1, 2, TIMEOUT_NS, seed);
        let mut ledger = Ledger::default();
        walk(machine.alone(), &mut ledger, key(1), 0, &[0, 1, 2]);
        let tracked = found(&machine, key(1));
        let second = program(|processor, ledger| {
            walk(processor, ledger, key(1), 0, &[3]);
            walk(processor, ledger, key(2), 0, &[0]);
            free(processor, ledger, key(2), OTHER_SITE);
        });
        let first = program(|processor, ledger| {
            for _ in 0..seed % 16 {
                find(processor, key(3));
            }
            free_found(processor, ledger, tracked, SITE);
        });
        for part in machine.side_by_side(vec![second, first]) {
            ledger += part;
        }
        assert_eq!(ledger.freed, 2, "seed {seed}");
        // A mark of the first packet that comes late may take the second's away, which is then lost, not misnamed.
        match finish(&machine, &mut ledger, 2 * TIMEOUT_NS)[..] {
            [(second, Some(OTHER_SITE))] if second == key(2) => own += 1,
            [(second, None)] if second == key(2) => taken_away += 1,
            ref ends => panic!("seed {seed}: {ends:?}"),
        }
    }
    assert!(own > 4_000 && taken_away > 10, "{own} {taken_away}");
}

/// Two copies of a packet behind its last hook, freed at once, while another packet may take the slot.
#[test]
fn a_done_packet_is_dropped_once() {
    let (mut twice, mut undisturbed) = (0, 0);
    for seed in 0..8_000 {
        let machine = Machine::new(1, 3, TIMEOUT_NS, seed);
        let mut ledger = Ledger::default();
        walk(machine.alone(), &mut ledger, key(1), 0, &[0, 1, 2, 3]);
        let tracked = found(&machine, key(1));
        let successor = seed % 2 == 0;
        let mut programs: Vec<_> = [SITE, OTHER_SITE]
            .map(|site| program(move |processor, ledger| free_found(processor, ledger, tracked, site)))
            .into();
        if successor {
            programs.push(program(|processor, ledger| walk(processor, ledger, key(2), 0, &[0, 1, 2, 3])));
        }
        for part in machine.side_by_side(programs) {
            ledger += part;
        }
        assert!(finish(&machine, &mut ledger, 2 * TIMEOUT_NS).is_empty());
        if successor {
            twice += ledger.dropped - 1;
        } else {
            undisturbed += ledger.dropped;
        }
    }
    // Both copies have to be freed in the moment in which the slot is taken: then nobody can tell them apart.
    assert_eq!(undisturbed, 4_000);
    assert!((0..600).contains(&twice), "{twice}");
}

/// A packet dies while the sweeper settles it: dropped or lost, once.
#[test]
fn the_sweeper_and_the_drop_program_do_not_both_count_a_packet() {
    let mut named = 0;
    for seed in 0..4_000 {
        let machine = Machine::new(1, 2, TIMEOUT_NS, seed);
        let mut ledger = Ledger::default();
        walk(machine.alone(), &mut ledger, key(1), 0, &[0, 1]);
        let sweeper = program(|processor, ledger| ledger.settle(settle(processor, 5, 2 * TIMEOUT_NS)));
        let drops = program(|processor, ledger| free(processor, ledger, key(1), SITE));
        for part in machine.side_by_side(vec![sweeper, drops]) {
            ledger += part;
        }
        assert_eq!(ledger.dropped + ledger.lost, 1, "seed {seed}: {ledger:?}");
        named += ledger.dropped;
        finish(&machine, &mut ledger, 4 * TIMEOUT_NS);
    }
    assert!(named > 100 && named < 3_900, "{named}");
}
