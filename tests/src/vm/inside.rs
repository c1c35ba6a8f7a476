//! The part that runs in the VM.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::contract::PAYLOAD_DIR;
use crate::exec;
use crate::lab::sandbox::exit_code;
use crate::lab::{AGENT, Guests, LAB_ENV, Progress, bringup};

/// First argument of the hidden entry point; [`run_stage`] takes what follows.
pub const STAGE_COMMAND: &str = "vm-stage";

/// First word of the arguments where guests are to be namespaces behind veth pairs.
pub const VETHS: &str = "--veths";

/// Brings up the lab, its guests as namespaces, and runs the command that follows in it.
///
/// # Errors
/// Where the lab does not come up or the command cannot be run.
pub fn run_stage(args: &[String], progress: Progress<'_>) -> Result<ExitCode> {
    let by_veths = args.first().is_some_and(|word| word == VETHS);
    let args = args.get(usize::from(by_veths)..).unwrap_or_default();
    let Some((program, args)) = args.split_first() else { bail!("usage: {STAGE_COMMAND} COMMAND…") };
    let started = Instant::now();
    let timed = |text: &str| progress(&format!("[{:5.1} s] {text}", started.elapsed().as_secs_f32()));
    let agent = Path::new(PAYLOAD_DIR).join(AGENT);
    let guests = if by_veths { Guests::Veths } else { Guests::Namespaces { agent: &agent } };
    let description = bringup::bring_up_for_good(guests, &timed)?;
    timed("the lab is ready");
    let status = exec::command(program)
        .args(args)
        .env(LAB_ENV, &description)
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    Ok(exit_code(status))
}
