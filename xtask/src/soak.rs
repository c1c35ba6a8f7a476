//! `cargo xtask soak`: much traffic past a tracer, longer than a test may take.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use hoptrace_tests::BINARY_ENV;
use hoptrace_tests::lab::sandbox::exit_code;
use hoptrace_tests::lab::{Folders, Lab, Runner};
use hoptrace_tests::soak::{ledger_flood, mixed, waterfalls};
use serde_json::json;

use crate::progress::{heading, result_line, step};

/// Hidden subcommand: the part that runs in the lab.
pub(crate) const INSIDE_COMMAND: &str = "soak-inside";

/// The rate up to which no record may be missing.
const WATERFALLS_PER_SECOND: u64 = 150_000;

#[derive(Args)]
pub(crate) struct SoakArgs {
    /// Minutes of traffic of all sorts; 0 leaves it out.
    #[arg(long, value_name = "MINUTES", default_value_t = 10)]
    minutes: u64,
    /// Packets of the flood, all of which must be in the ledger; 0 leaves it out.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000_000)]
    packets: u64,
    /// Packets of the floods of which every one is printed; 0 leaves them out.
    #[arg(long, value_name = "COUNT", default_value_t = 1_500_000)]
    waterfalls: u64,
    /// In the traffic of all sorts: with XDP at the NIC, in this mode.
    #[arg(long, value_name = "MODE")]
    xdp: Option<String>,
    /// Write what was found to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &SoakArgs) -> Result<ExitCode> {
    let folders = Folders::find()?;
    let hoptrace = crate::build::release(&folders)?;
    let mut command = vec![
        "env".to_owned(),
        format!("{BINARY_ENV}={}", hoptrace.display()),
        std::env::current_exe()?.to_string_lossy().into_owned(),
        INSIDE_COMMAND.to_owned(),
    ];
    for (word, number) in
        [("--minutes", args.minutes), ("--packets", args.packets), ("--waterfalls", args.waterfalls)]
    {
        command.extend([word.to_owned(), number.to_string()]);
    }
    if let Some(mode) = &args.xdp {
        command.extend(["--xdp".to_owned(), mode.clone()]);
    }
    if let Some(path) = &args.json {
        let path = std::path::absolute(path).with_context(|| format!("find {}", path.display()))?;
        command.extend(["--json".to_owned(), path.to_string_lossy().into_owned()]);
    }
    Ok(exit_code(Runner::kernel_path(folders)?.run(&command, &step)?))
}

/// Stops at the first part whose packets are not all accounted for.
pub(crate) fn run_inside(args: &SoakArgs) -> Result<ExitCode> {
    let lab = Lab::from_env()?;
    let mut found = serde_json::Map::new();
    let mut note = |name: &str, value: serde_json::Value| {
        result_line(&format!("{name}: {value}"));
        found.insert(name.to_owned(), value);
    };
    note("kernel", json!(rustix::system::uname().release().to_string_lossy()));
    if args.packets > 0 {
        heading("flood");
        let flood = ledger_flood(&lab, args.packets)?;
        ensure!(flood.not_in_ledger == 0, "{flood:?}");
        note("flood", json!(flood));
    }
    if args.waterfalls > 0 {
        heading("every packet printed");
        note("waterfalls", json!(waterfalls(&lab, args.waterfalls, Some(WATERFALLS_PER_SECOND))?));
        note("waterfalls_at_full_rate", json!(waterfalls(&lab, args.waterfalls, None)?));
    }
    if args.minutes > 0 {
        heading("traffic of all sorts");
        let options: Vec<&str> = args.xdp.iter().flat_map(|mode| ["--xdp", mode]).collect();
        note("mixed", json!(mixed(&lab, Duration::from_secs(args.minutes * 60), &options)?));
    }
    args.json.as_deref().map_or(Ok(()), |path| write(path, &found))?;
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, found: &serde_json::Map<String, serde_json::Value>) -> Result<()> {
    let text = serde_json::to_string_pretty(found)? + "\n";
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
