//! The programs that tell what they find in a frame.

use anyhow::{Context as _, Result, bail, ensure};
use aya::{
    Ebpf, Pod,
    maps::{Array, MapData},
    programs::{TestRun as _, TestRunOptions},
};

use crate::object;

const USUAL: &str = "identity_usual";
const THOROUGH: &str = "identity_thorough";

/// As `Found` in `tracer-ebpf/src/bench/identity.rs`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct Answer {
    status: u64,
    identity: u64,
}

// SAFETY: numbers without padding between them.
unsafe impl Pod for Answer {}

/// What is in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Identity(u64),
    Foreign,
    /// Or, where only usual shapes are known, any other shape.
    Truncated,
    Malformed,
}

/// The programs, loaded.
pub(crate) struct Kernel {
    ebpf: Ebpf,
    answer: Array<MapData, Answer>,
}

impl Kernel {
    pub(crate) fn load() -> Result<Self> {
        let mut ebpf = object::load(0, &[USUAL, THOROUGH])?;
        let answer = Array::try_from(ebpf.take_map("FOUND").context("no map FOUND")?)?;
        Ok(Self { ebpf, answer })
    }

    /// What the program that knows the usual shapes finds.
    pub(crate) fn usual(&mut self, frame: &[u8]) -> Result<Found> {
        self.run(USUAL, frame)
    }

    /// What the program that knows all shapes finds.
    pub(crate) fn thorough(&mut self, frame: &[u8]) -> Result<Found> {
        self.run(THOROUGH, frame)
    }

    fn run(&mut self, program: &str, frame: &[u8]) -> Result<Found> {
        self.answer.set(0, Answer::default(), 0)?;
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        let ran = object::classifier(&self.ebpf, program)?.test_run(options);
        ran.with_context(|| format!("run {program} on {} bytes", frame.len()))?;
        let answer = self.answer.get(&0, 0)?;
        ensure!(answer.status != 5, "{program} could not read the frame {frame:02x?}");
        Ok(match answer.status {
            1 => Found::Identity(answer.identity),
            2 => Found::Foreign,
            3 => Found::Truncated,
            4 => Found::Malformed,
            other => bail!("{program} says {other}"),
        })
    }
}
