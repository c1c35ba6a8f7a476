//! The stack of the programs, as the strictest verifier counts it; and where their functions end.

use std::collections::{BTreeMap, BTreeSet};

use aya_obj::{Object, generated::bpf_insn};

use super::load::OBJECT;

/// All frames of a chain of calls together.
const LIMIT_BYTES: u32 = 512;
/// Each is rounded up to this; from kernel 6.7 on to half of it.
const FRAME_BYTES: u32 = 32;

const R10: u8 = 10;
const CALL: u8 = 0x85;
const PSEUDO_CALL: u8 = 1;
const MOVE: u8 = 0xbf;
const ADD: u8 = 0x07;

/// A function within a program: its frame, and the functions it calls, by the place of their first instruction.
#[derive(Debug, Default)]
struct Frame {
    bytes: u32,
    calls: BTreeSet<usize>,
}

/// The functions of a program that is linked with all it calls.
fn frames(program: &[bpf_insn]) -> BTreeMap<usize, Frame> {
    let target = |(at, insn): (usize, &bpf_insn)| {
        let is_call = insn.code == CALL && insn.src_reg() == PSEUDO_CALL;
        is_call.then(|| at.strict_add_signed(insn.imm as isize) + 1)
    };
    let mut starts: BTreeSet<usize> = program.iter().enumerate().filter_map(target).collect();
    starts.insert(0);
    let mut frames: BTreeMap<usize, Frame> = starts.iter().map(|at| (*at, Frame::default())).collect();
    let mut of_stack = [false; 11];
    for (at, insn) in program.iter().enumerate() {
        if starts.contains(&at) {
            of_stack = [false; 11];
        }
        let frame = frames.range_mut(..=at).next_back().unwrap().1;
        frame.calls.extend(target((at, insn)));
        let (to, from) = (usize::from(insn.dst_reg()), insn.src_reg());
        let below = match insn.code & 7 {
            // Loads; stores.
            1 if from == R10 => i32::from(insn.off),
            2 | 3 if insn.dst_reg() == R10 => i32::from(insn.off),
            7 if insn.code == ADD && of_stack[to] => insn.imm,
            _ => 0,
        };
        frame.bytes = frame.bytes.max(below.min(0).unsigned_abs());
        if insn.code & 7 == 7 {
            // An address on the stack is a copy of r10, with a number added right behind.
            of_stack[to] = insn.code == MOVE && from == R10;
        }
    }
    frames
}

/// The deepest chain of calls from the function at `start`.
fn depth_bytes(frames: &BTreeMap<usize, Frame>, start: usize) -> u32 {
    let frame = &frames[&start];
    let below = frame.calls.iter().map(|callee| depth_bytes(frames, *callee)).max().unwrap_or(0);
    frame.bytes.max(1).next_multiple_of(FRAME_BYTES) + below
}

/// The object, each of its programs linked with all it calls.
fn linked() -> Object {
    let mut object = Object::parse(OBJECT).unwrap();
    let sections = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_calls(&sections).unwrap();
    object
}

#[test]
fn every_function_ends_where_older_kernels_let_it() {
    const EXIT: u8 = 0x95;
    const JUMP: u8 = 0x05;
    let object = linked();
    for (name, program) in &object.programs {
        let instructions = &object.functions[&program.function_key()].instructions;
        let starts = frames(instructions).into_keys().skip(1);
        for end in starts.chain([instructions.len()]) {
            // A function that panics ends with a call.
            assert!([EXIT, JUMP].contains(&instructions[end - 1].code), "{name}: before {end}");
        }
    }
}

#[test]
fn every_chain_of_calls_fits_the_stack() {
    let object = linked();
    let depth = |name: &str| {
        let function = &object.functions[&object.programs[name].function_key()];
        let frames = frames(&function.instructions);
        let sizes: Vec<u32> = frames.values().map(|frame| frame.bytes).collect();
        (depth_bytes(&frames, 0), sizes)
    };
    let programs: BTreeMap<&str, _> =
        object.programs.keys().map(|name| (name.as_str(), depth(name))).collect();
    assert!(programs["hop_rarely"].0 > 256, "chains of calls are not followed: {programs:?}");
    let too_deep: Vec<_> = programs.iter().filter(|(_, (bytes, _))| *bytes > LIMIT_BYTES).collect();
    assert!(too_deep.is_empty(), "more than {LIMIT_BYTES} bytes of stack (frames): {too_deep:?}");
}
