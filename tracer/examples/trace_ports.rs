//! Traces ports by the library while they come and go, as root on their host: `trace_ports VM [FILTER…]`, then a line `add VM` or
//! `remove NUMBER` each; the report, as JSON, when there are no more lines.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its results and what it does")]

use std::{env::args, future::pending};

use anyhow::{Context as _, Result};
use hoptrace::{
    model::{PacketFilter, PortId},
    report::trace_json,
    trace::{Ending, Event, TraceOptions, Tracer},
};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut words = args().skip(1);
    let vm = words.next().context("say which VM")?;
    let filter = PacketFilter::from_words(&words.collect::<Vec<_>>())?;
    let note = |note: &_| eprintln!("{note}");
    let mut tracer =
        Tracer::start(&vm, TraceOptions { room: Some(8), filter, note, ..TraceOptions::default() }).await?;
    eprintln!("port 0 is traced");
    let mut lines = BufReader::new(stdin()).lines();
    let ending = loop {
        tokio::select! {
            event = tracer.next() => if let Event::Ended(ending) = event { break ending },
            line = lines.next_line() => match line? {
                Some(line) => obey(&mut tracer, &line).await?,
                None => break Ending::Wanted,
            },
        }
    };
    println!("{}", trace_json(&tracer.finish(&ending, pending).await));
    Ok(())
}

async fn obey(tracer: &mut Tracer, line: &str) -> Result<()> {
    match line.split_once(' ').context("say `add VM` or `remove NUMBER`")? {
        ("add", vm) => eprintln!("port {} is traced", tracer.add(vm).await?),
        (_, number) => {
            let port = PortId(number.parse()?);
            tracer.remove(port).await?;
            eprintln!("port {port} is no longer traced");
        }
    }
    Ok(())
}
