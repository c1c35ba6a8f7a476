//! Traces a VM's port by the library for some seconds: `trace_port VM [SECONDS]`, as root on the VM's host.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its results and its notes")]

use std::{env::args, future::pending, time::Duration};

use anyhow::{Context as _, Result};
use hoptrace::{
    report::{Canvas, trace_text},
    trace::{Event, TraceOptions, Tracer},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut words = args().skip(1);
    let vm = words.next().context("say which VM, and for how many seconds")?;
    let seconds = words.next().map_or(Ok(5), |word| word.parse())?;
    let options = TraceOptions {
        duration: Some(Duration::from_secs(seconds)),
        note: |note| eprintln!("{note}"),
        ..TraceOptions::default()
    };
    let mut tracer = Tracer::start(&vm, options).await?;
    eprintln!("{} hooks", tracer.plan().hooks.len());
    let ending = loop {
        if let Event::Ended(ending) = tracer.next().await {
            break ending;
        }
    };
    let report = tracer.finish(&ending, pending).await;
    print!("{}", trace_text(&report, Canvas::PLAIN));
    Ok(())
}
