//! A small machine on which processors take turns at every access to memory, at random but repeatably, each with a
//! store buffer as on x86-64: a store may become visible after later loads of the same processor, in order with its
//! other stores; a compare-exchange empties the buffer first. It meets in seconds what real threads meet in years.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

use hoptrace_common::inflight::{Control, Mark, Search, SlotCell, State, Table, WAYS};

use crate::table::{lower, plain_home, upper};

/// Words of one slot: control, key, first time, hooks with the mark in the upper half, and eight deltas.
const SLOT_WORDS: usize = 12;

struct Inside {
    memory: Vec<u64>,
    /// Stores that are not visible yet, per processor.
    buffers: Vec<VecDeque<(usize, u64)>>,
    running: Vec<bool>,
    turn: usize,
    random: u64,
}

impl Inside {
    /// A number below `bound` (xorshift).
    fn random(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from((self.random >> 20) % bound as u64).unwrap()
    }

    fn show_one(&mut self, processor: usize) {
        if let Some((word, value)) = self.buffers[processor].pop_front() {
            self.memory[word] = value;
        }
    }

    fn show_all(&mut self, processor: usize) {
        while !self.buffers[processor].is_empty() {
            self.show_one(processor);
        }
    }

    /// Lets some stores become visible, and perhaps another processor run.
    fn go_on(&mut self, switch: bool) {
        for processor in 0..self.buffers.len() {
            if self.random(4) == 0 {
                self.show_one(processor);
            }
        }
        let running: Vec<usize> =
            (0..self.running.len()).filter(|&processor| self.running[processor]).collect();
        if !running.is_empty() && (switch || self.random(3) == 0) {
            self.turn = running[self.random(running.len())];
        }
    }
}

/// The memory and its processors, with a table of `sets`.
pub(crate) struct Machine {
    inside: Mutex<Inside>,
    changed: Condvar,
    sets: u32,
    timeout_ns: u64,
}

impl Machine {
    pub(crate) fn new(sets: u32, processors: usize, timeout_ns: u64, seed: u64) -> Self {
        let words = (sets * WAYS) as usize * SLOT_WORDS + sets as usize;
        let inside = Inside {
            memory: vec![0; words],
            buffers: vec![VecDeque::new(); processors],
            running: vec![false; processors],
            turn: 0,
            random: (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        Self { inside: inside.into(), changed: Condvar::new(), sets, timeout_ns }
    }

    /// The table as processor 0 sees it while no other runs.
    pub(crate) fn alone(&self) -> Processor<'_> {
        Processor { machine: self, number: 0 }
    }

    /// Runs one program on each processor, side by side, and gives their results.
    pub(crate) fn side_by_side<T: Send, P: FnOnce(Processor<'_>) -> T + Send>(
        &self,
        programs: Vec<P>,
    ) -> Vec<T> {
        {
            let mut inside = self.inside.lock().unwrap();
            inside.running = vec![true; programs.len()];
            inside.go_on(true);
        }
        let results = thread::scope(|scope| {
            let threads: Vec<_> = (0..)
                .zip(programs)
                .map(|(number, program)| {
                    scope.spawn(move || {
                        let _running = Running { machine: self, number };
                        program(Processor { machine: self, number })
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut inside = self.inside.lock().unwrap();
        for processor in 0..inside.buffers.len() {
            inside.show_all(processor);
        }
        results
    }

    pub(crate) fn slots(&self) -> u32 {
        self.sets * WAYS
    }

    pub(crate) fn states(&self) -> Vec<State> {
        (0..self.slots()).map(|index| self.alone().slot(index).unwrap().control().state()).collect()
    }

    pub(crate) fn spilled_of_all_sets(&self) -> Vec<u32> {
        (0..self.sets).map(|set| self.alone().spilled(set)).collect()
    }

    fn on_turn(&self, number: usize) -> MutexGuard<'_, Inside> {
        let inside = self.inside.lock().unwrap();
        self.changed.wait_while(inside, |inside| inside.running[number] && inside.turn != number).unwrap()
    }

    fn access<T>(&self, number: usize, access: impl FnOnce(&mut Inside) -> T) -> T {
        let mut inside = self.on_turn(number);
        let result = access(&mut inside);
        inside.go_on(false);
        let others = inside.turn != number;
        drop(inside);
        if others {
            self.changed.notify_all();
        }
        result
    }
}

/// Ends a processor's turn for good, also when its program panics.
struct Running<'a> {
    machine: &'a Machine,
    number: usize,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // In its turn too, or a run could not be repeated.
        let mut inside = self.machine.on_turn(self.number);
        inside.running[self.number] = false;
        inside.go_on(true);
        drop(inside);
        self.machine.changed.notify_all();
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Processor<'a> {
    machine: &'a Machine,
    number: usize,
}

impl Processor<'_> {
    fn load(self, word: usize) -> u64 {
        self.machine.access(self.number, |inside| {
            let own = inside.buffers[self.number].iter().rev().find(|(stored, _)| *stored == word);
            own.map_or(inside.memory[word], |&(_, value)| value)
        })
    }

    fn store(self, word: usize, value: u64) {
        self.machine.access(self.number, |inside| inside.buffers[self.number].push_back((word, value)));
    }

    /// Replaces what a word holds, given what it is to be, if anything; a full barrier.
    fn replace(self, word: usize, new: impl FnOnce(u64) -> Option<u64>) -> bool {
        self.machine.access(self.number, |inside| {
            inside.show_all(self.number);
            let new = new(inside.memory[word]);
            if let Some(new) = new {
                inside.memory[word] = new;
            }
            new.is_some()
        })
    }

    fn spilled_word(self, set: u32) -> usize {
        self.machine.slots() as usize * SLOT_WORDS + set as usize
    }
}

impl<'a> Table for Processor<'a> {
    type Slot = Cell<'a>;
    type Spills = u32;

    fn slot(self, index: u32) -> Option<Cell<'a>> {
        (index < self.machine.slots()).then_some(Cell { processor: self, word: index as usize * SLOT_WORDS })
    }

    fn home(self, key: u64) -> u32 {
        plain_home(key, self.machine.sets)
    }

    fn spills(self, set: u32) -> u32 {
        set
    }

    fn spilled_at(self, set: u32) -> u32 {
        u32::try_from(self.load(self.spilled_word(set))).unwrap()
    }

    fn add_spilled(self, set: u32, change: u32) {
        let add = |spilled| u32::try_from(spilled).unwrap().wrapping_add(change);
        self.replace(self.spilled_word(set), |spilled| Some(u64::from(add(spilled))));
    }

    fn timeout_ns(self) -> u64 {
        self.machine.timeout_ns
    }
}

impl Search for Processor<'_> {}

#[derive(Clone, Copy)]
pub(crate) struct Cell<'a> {
    processor: Processor<'a>,
    word: usize,
}

impl SlotCell for Cell<'_> {
    fn control(self) -> Control {
        Control(self.processor.load(self.word))
    }

    fn exchange(self, old: Control, new: Control) -> bool {
        self.processor.replace(self.word, |control| (control == old.0).then_some(new.0))
    }

    fn publish(self, control: Control) {
        self.processor.store(self.word, control.0);
    }

    fn key(self) -> u64 {
        self.processor.load(self.word + 1)
    }

    fn set_key(self, key: u64) {
        self.processor.store(self.word + 1, key);
    }

    fn first_ns(self) -> u64 {
        self.processor.load(self.word + 2)
    }

    fn set_first_ns(self, first_ns: u64) {
        self.processor.store(self.word + 2, first_ns);
    }

    fn hooks(self) -> u32 {
        lower(self.processor.load(self.word + 3))
    }

    fn set_hooks(self, hooks: u32) {
        self.processor.store(self.word + 3, u64::from(hooks));
    }

    fn mark(self) -> Mark {
        Mark(upper(self.processor.load(self.word + 3)))
    }

    fn exchange_mark(self, old: Mark, new: Mark) -> bool {
        self.processor.replace(self.word + 3, |word| {
            (upper(word) == old.0).then_some(u64::from(lower(word)) | u64::from(new.0) << 32)
        })
    }

    fn delta_ns(self, position: u32) -> u32 {
        u32::try_from(self.processor.load(self.word + 4 + position as usize)).unwrap()
    }

    fn set_delta_ns(self, position: u32, delta_ns: u32) {
        self.processor.store(self.word + 4 + position as usize, u64::from(delta_ns));
    }
}
