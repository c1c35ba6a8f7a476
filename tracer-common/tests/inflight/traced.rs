//! A table with its books, on a path of four hooks each way.

use hoptrace_common::inflight::{
    Aside, Clock, Hook, Kind, Marked, Outcome, Reach, Settled, State, Table as _, Visit, WAYS, find, mark,
    merge, settle, visit,
};

use crate::{ledger::Ledger, table::HostTable};

pub(crate) const TIMEOUT_NS: u64 = 1_000_000_000;

/// The hooks of the provider path: tap, qvb, qvo, NIC; 0 to 3 on the way out, 4 to 7 on the way in.
pub(crate) fn hook(id: u8) -> Hook {
    let (direction, position) = (id / 4, id % 4);
    let later = (position + 1..4).map(|later| 1 << (direction * 4 + later)).sum();
    Hook { id, direction, entry: position == 0, terminal: position == 3, later, beside: 0 }
}

/// A packet like any other at a hook.
pub(crate) const fn seen_at(hook: Hook, key: u64, now_ns: u64) -> Visit {
    Visit { hook, key, now_ns, clock: Clock::Exact, admit: true, aside: Aside::No, large: false }
}

/// A table with its books.
pub(crate) struct Traced {
    pub(crate) table: HostTable,
    pub(crate) ledger: Ledger,
}

impl Traced {
    pub(crate) fn new(sets: u32) -> Self {
        Self { table: HostTable::new(sets, TIMEOUT_NS), ledger: Ledger::default() }
    }

    pub(crate) fn sight(&mut self, sight: Visit) -> Outcome {
        let outcome = visit(&self.table, &sight);
        self.ledger.count(sight.hook, &outcome);
        outcome
    }

    pub(crate) fn at_hook(&mut self, hook: Hook, key: u64, now_ns: u64) -> Outcome {
        self.sight(seen_at(hook, key, now_ns))
    }

    pub(crate) fn at(&mut self, id: u8, key: u64, now_ns: u64) -> Outcome {
        self.at_hook(hook(id), key, now_ns)
    }

    pub(crate) fn kind(&mut self, id: u8, key: u64, now_ns: u64) -> Kind {
        self.at(id, key, now_ns).kind
    }

    /// The kernel frees a packet at `site`, on an interface with that reach. `None`: it is not in the table.
    pub(crate) fn freed(&mut self, key: u64, site: u32, reach: Reach) -> Option<Marked> {
        let tracked = find(&self.table, key)?;
        let marked = mark(&self.table, tracked, reach, site);
        self.ledger.free(marked);
        Some(marked)
    }

    /// The packet became part of another one that hook `id` sees. Whether it did.
    pub(crate) fn merged(&mut self, id: u8, key: u64) -> bool {
        let merged = merge(&self.table, key, &hook(id)).is_some();
        self.ledger.merged += i64::from(merged);
        merged
    }

    pub(crate) fn sweep(&mut self, now_ns: u64) -> Vec<Settled> {
        let settled: Vec<Settled> =
            (0..self.table.len()).map(|index| settle(&self.table, index, now_ns)).collect();
        for &settled in &settled {
            self.ledger.settle(settled);
        }
        let is_told = |settled: &Settled| !matches!(settled, Settled::Idle | Settled::Joined(_));
        settled.into_iter().filter(is_told).collect()
    }

    /// What sweeps at `now_ns` leave: nothing in flight, nothing counted twice.
    pub(crate) fn finish(mut self, now_ns: u64) -> Ledger {
        // What the first one finds dead stays for the second.
        for _ in 0..2 {
            self.sweep(now_ns + 2 * TIMEOUT_NS);
        }
        self.ledger.assert_balanced();
        assert_eq!(self.ledger.in_flight, 0);
        assert_eq!(self.table.count(State::Free), self.table.len() as usize);
        assert!(self.table.spilled_of_all_sets().iter().all(|&spilled| spilled == 0));
        self.ledger
    }

    pub(crate) fn slot(&self, key: u64) -> u32 {
        (&self.table).home(key)
    }
}

/// A key in `set` of a table of 16 sets, at home in `way`; `number` tells it from others there.
pub(crate) fn key(set: u64, way: u64, number: u64) -> u64 {
    assert!(set < 16 && way < u64::from(WAYS));
    set | way << 32 | number << 40
}

pub(crate) const KEY: u64 = 0x1234_5678_9abc_def1;
