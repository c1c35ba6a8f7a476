//! Traces several of a host's ports by the library, as root on that host: `trace_ports VM VM… ` for some seconds; the last of them comes
//! while the others are traced, and goes before they end.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its results and its notes")]

use std::{env::args, future::pending, time::Duration};

use anyhow::{Context as _, Result};
use hoptrace::{
    report::{Canvas, trace_text},
    trace::{Event, TraceOptions, Tracer},
};

/// Between what is done.
const PAUSE: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut vms: Vec<String> = args().skip(1).collect();
    let late = vms.pop().context("say which VMs")?;
    let room = u32::try_from(vms.len() + 1)?;
    let options =
        TraceOptions { room: Some(room), note: |note| eprintln!("{note}"), ..TraceOptions::default() };
    let mut tracer = Tracer::start(vms, options).await?;
    eprintln!("{} ports, ready after {} ms", tracer.ports().count(), tracer.ready().as_millis());
    trace(&mut tracer).await;
    let port = tracer.add(&late).await?;
    trace(&mut tracer).await;
    tracer.remove(port).await?;
    let ending = hoptrace::trace::Ending::Wanted;
    print!("{}", trace_text(&tracer.finish(&ending, pending).await, Canvas::PLAIN));
    Ok(())
}

/// Sweeps for a while.
async fn trace(tracer: &mut Tracer) {
    let sweeping = async { while tracer.next().await == Event::Swept {} };
    // When the time is over, the trace goes on.
    let _over = tokio::time::timeout(PAUSE, sweeping).await;
}
