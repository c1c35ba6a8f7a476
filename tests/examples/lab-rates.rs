//! What the lab's path carries: UDP to and from the first guest at several paces, with exact counts.
//!
//! `cargo build -p hoptrace-tests --example lab-rates`, then run it with `cargo xtask lab run --`.
#![allow(clippy::print_stdout, reason = "an example prints its findings")]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hoptrace_tests::lab::Lab;

const COUNT: u64 = 20_000;
const SIZE_BYTES: usize = 100;
const SETTLE_LIMIT: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("the lab has no guest")?;
    println!("datagrams of {SIZE_BYTES} bytes: direction, pace, sent per second, received of {COUNT}");
    for pace in [0, 50, 200].map(Duration::from_micros) {
        guest.sink_reset()?;
        let flood = lab.wire_udp_flood((guest.ipv4, 9).into(), COUNT, SIZE_BYTES, pace)?;
        let counts = guest.sink_wait(COUNT, SETTLE_LIMIT)?;
        println!("wire -> guest {pace:>6?} {:>8.0} {:>6}", rate(flood.elapsed), counts.datagrams);

        let sink = lab.wire_udp_sink(5009)?;
        let sent = guest.send_udp((lab.wire.ipv4.into(), 5009), COUNT, SIZE_BYTES, pace)?;
        let report = sink.finish(COUNT, SETTLE_LIMIT)?;
        println!(
            "guest -> wire {pace:>6?} {:>8.0} {:>6}",
            rate(Duration::from_micros(sent.elapsed_us)),
            report.datagrams
        );
    }
    let flood = lab.wire_udp_exact(guest, COUNT, SIZE_BYTES)?;
    println!("wire -> guest, sender waits: {:>8.0} per second", rate(flood.elapsed));
    let started = Instant::now();
    lab.guest_udp_exact(guest, 5009, COUNT, SIZE_BYTES)?;
    println!("guest -> wire, sender waits: {:>8.0} per second", rate(started.elapsed()));
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn rate(elapsed: Duration) -> f64 {
    COUNT as f64 / elapsed.as_secs_f64()
}
