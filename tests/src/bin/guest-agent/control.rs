//! The control port: one command per line, one JSON line per answer.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hoptrace_tests::frames::{from_word, send as send_frames};
use serde_json::{Value, json};

use crate::serve::Sink;
use crate::{ping, send};

/// Answers on a serial port, for ever.
pub(crate) fn serve(serial: &str, sink: &Sink) -> Result<()> {
    let output = File::options().write(true).open(serial).with_context(|| format!("open {serial}"))?;
    let input = File::open(serial).with_context(|| format!("open {serial}"))?;
    converse(input, output, sink)?;
    bail!("{serial} closed")
}

/// Answers one client after the other, for ever.
pub(crate) fn serve_inherited(sink: &Sink) -> Result<()> {
    let socket = rustix::stdio::stdin().try_clone_to_owned().context("take the listening socket")?;
    for client in UnixListener::from(socket).incoming() {
        let client = client.context("accept a client")?;
        // A client that goes away in the middle of an answer is no reason to end.
        if let Err(error) = converse(client.try_clone()?, client, sink) {
            crate::report(&format!("control: {error:#}"));
        }
    }
    Ok(())
}

/// Says READY, then answers commands until the other end closes.
fn converse(input: impl Read, mut output: impl Write, sink: &Sink) -> Result<()> {
    writeln!(output, "READY")?;
    for line in BufReader::new(input).lines() {
        // What is not text is noise on the line, not a reason to end: the guest would end with us.
        let Ok(line) = line else { continue };
        let mut words = line.split_whitespace();
        let Some(id) = words.next().and_then(|word| word.parse::<u64>().ok()) else { continue };
        let mut answer = match execute(words, sink) {
            Ok(value) => value,
            Err(error) => json!({ "ok": false, "error": format!("{error:#}") }),
        };
        if let Some(object) = answer.as_object_mut() {
            object.insert("id".into(), id.into());
        }
        writeln!(output, "{answer}")?;
    }
    Ok(())
}

fn execute(mut words: SplitWhitespace<'_>, sink: &Sink) -> Result<Value> {
    match words.next().unwrap_or_default() {
        "hello" => Ok(json!({ "ok": true })),
        "ping" => {
            let (address, count) = (next(&mut words, "ADDR")?, next(&mut words, "COUNT")?);
            let interval = Duration::from_micros(next(&mut words, "INTERVAL_US")?);
            let received = ping::ping(address, count, interval)?;
            Ok(json!({ "ok": true, "sent": count, "received": received }))
        }
        "udp" => {
            let to = (next(&mut words, "ADDR")?, next(&mut words, "PORT")?);
            let (count, size_bytes) = (next(&mut words, "COUNT")?, next(&mut words, "SIZE")?);
            let pace = Duration::from_micros(next(&mut words, "PACE_US")?);
            let elapsed = send::udp(to, count, size_bytes, pace)?;
            Ok(json!({ "ok": true, "sent": count, "elapsed_us": micros(elapsed) }))
        }
        "tcp" => {
            let to = (next(&mut words, "ADDR")?, next(&mut words, "PORT")?);
            let bytes = next(&mut words, "BYTES")?;
            let (received, elapsed) = send::tcp(to, bytes)?;
            Ok(json!({ "ok": true, "sent": bytes, "received": received, "elapsed_us": micros(elapsed) }))
        }
        "frames" => {
            let frames = words.map(from_word).collect::<Result<Vec<_>>>()?;
            send_frames("eth0", &frames)?;
            Ok(json!({ "ok": true, "sent": frames.len() }))
        }
        "sink-count" => Ok(sink_json(sink.counts())),
        "sink-wait" => {
            let count = next(&mut words, "COUNT")?;
            Ok(sink_json(sink.wait(count, Duration::from_millis(next(&mut words, "TIMEOUT_MS")?))))
        }
        "sink-reset" => {
            sink.reset();
            Ok(json!({ "ok": true }))
        }
        "neighbours-flush" => {
            neighbours_flush()?;
            Ok(json!({ "ok": true }))
        }
        "address" => {
            let mac: String = next(&mut words, "MAC")?;
            ip(&["link", "set", "dev", "eth0", "address", &mac])?;
            Ok(json!({ "ok": true }))
        }
        other => bail!("unknown command {other:?}"),
    }
}

/// Forgets all neighbours, so that none is probed any more and the next packet asks anew.
fn neighbours_flush() -> Result<()> {
    for family in ["-4", "-6"] {
        ip(&[family, "neigh", "flush", "dev", "eth0"])?;
    }
    Ok(())
}

fn ip(words: &[&str]) -> Result<()> {
    let ran = Command::new("/bin/busybox").arg("ip").args(words).output()?;
    anyhow::ensure!(ran.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&ran.stderr));
    Ok(())
}

fn sink_json(counts: crate::serve::Counts) -> Value {
    json!({ "ok": true, "datagrams": counts.datagrams, "bytes": counts.bytes })
}

fn next<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    words: &mut SplitWhitespace<'_>,
    name: &str,
) -> Result<T> {
    let word = words.next().with_context(|| format!("{name} is missing"))?;
    word.parse().with_context(|| format!("{name}: {word:?}"))
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}
