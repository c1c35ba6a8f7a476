//! Every packet of a flood printed by itself.

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde::Serialize;

use super::process::ProcessUse;
use crate::Tracer;
use crate::lab::Lab;

/// A flood with a record of each packet.
#[derive(Debug, Clone, Serialize)]
pub struct Waterfalls {
    /// The rate that was aimed at; none: as many as go.
    pub wanted_per_second: Option<u64>,
    /// The rate that it was.
    pub per_second: f64,
    /// Datagrams sent.
    pub sent: u64,
    /// Packets that came to the last hook, as `hoptrace` says.
    pub completed: u64,
    /// Lines that `hoptrace` printed.
    pub printed: u64,
    /// Records for which there was no room in the ring, as `hoptrace` says.
    pub ring_lost: u64,
    /// CPU that hoptrace got while it flooded, in percent of one core: where it is little, others had it.
    pub cpu_pct: f64,
}

/// Floods `packets` datagrams, `per_second` of them, past `hoptrace packets`, which prints every one.
///
/// # Errors
/// Where tracing fails, or a packet is neither printed nor counted as missing.
pub fn waterfalls(lab: &Lab, packets: u64, per_second: Option<u64>) -> Result<Waterfalls> {
    let guest = lab.guests.first().context("the lab has no guest")?;
    let tracer = Tracer::start_counting(&["packets", &guest.port_id, "--jsonl"])?;
    let cpu_before = ProcessUse::of(tracer.pid())?.cpu;
    let flood = lab.flood(guest, packets, per_second)?;
    let cpu = ProcessUse::of(tracer.pid())?.cpu.saturating_sub(cpu_before);
    tracer.signal(Signal::INT)?;
    let ended = tracer.wait()?;
    ensure!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
    let words = &ended.stderr;
    let completed = number_before(words, " packets that completed their way").context("no summary")?;
    let ring_lost = number_before(words, " packets are missing here").unwrap_or(0);
    let outcome = Waterfalls {
        wanted_per_second: per_second,
        per_second: flood.sent_per_second().round(),
        sent: flood.sent,
        completed,
        printed: ended.lines,
        ring_lost,
        cpu_pct: (1000.0 * cpu.as_secs_f64() / flood.elapsed.as_secs_f64()).round() / 10.0,
    };
    ensure!(completed == packets, "not every packet completed its way: {outcome:?} {words}");
    ensure!(outcome.printed + ring_lost == completed, "packets are unaccounted for: {outcome:?} {words}");
    Ok(outcome)
}

/// The number that stands directly before `words` in `text`.
fn number_before(text: &str, words: &str) -> Option<u64> {
    text.split_once(words)?.0.rsplit(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number_before;

    #[test]
    fn the_numbers_of_the_summary_are_read() {
        let text = "hoptrace: printed 20 of the 2000 packets that completed their way\nhoptrace: 3 packets are missing here: the ring buffer was full\n";
        assert_eq!(number_before(text, " packets that completed their way"), Some(2000));
        assert_eq!(number_before(text, " packets are missing here"), Some(3));
        assert_eq!(number_before(text, " packets flew"), None);
    }
}
