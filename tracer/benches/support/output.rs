//! The options of a benchmark, and where its results go.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// What every benchmark understands.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CommonOptions {
    /// Write the figures, with the machine described, to this file; `-`: to stdout, and the tables to stderr
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl CommonOptions {
    /// Shows a line of a table.
    #[allow(clippy::print_stdout, clippy::print_stderr, reason = "the benchmark's result")]
    pub(crate) fn show(&self, line: &str) {
        if self.json.as_deref() == Some(Path::new("-")) {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
    }

    /// Writes `results` as JSON where that is asked for.
    pub(crate) fn write(&self, results: &impl Serialize) -> Result<()> {
        self.json.as_deref().map_or(Ok(()), |path| write_json(path, results))
    }
}

#[allow(clippy::print_stdout, reason = "the benchmark's result")]
fn write_json(path: &Path, results: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(results)? + "\n";
    if path == Path::new("-") {
        print!("{text}");
        return Ok(());
    }
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// A figure as it stands in the JSON: more digits would say nothing.
pub(crate) fn rounded(figure: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (figure * scale).round() / scale
}
