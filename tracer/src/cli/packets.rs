//! `hoptrace packets`

use std::time::Duration;

use super::{
    CliError, CommonArgs, Exit,
    live::{LiveArgs, Prepared, Session},
    output,
    trace::conclude,
};
use crate::{model::PacketWay, report};

/// Room for records between two looks: 131,072 packets.
const RING_BYTES: u32 = 16 << 20;
/// How often the ring is looked at; the programs never wake us.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Looks per sweep of the table.
const LOOKS_PER_SWEEP: u32 = 5;

/// Options of `packets`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    live: LiveArgs,
    /// Print one JSON object per line and packet
    #[arg(long)]
    jsonl: bool,
}

/// Prints packets as they complete their way, until something ends the trace.
///
/// # Errors
/// As `trace`.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let Prepared { mut session, mut endings, .. } = args.live.begin(common, RING_BYTES).await?;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut looked: u32 = 0;
    let ending = loop {
        tokio::select! {
            ending = endings.next() => break ending,
            _ = looks.tick() => {
                print_all(&mut session, args.jsonl)?;
                looked = looked.wrapping_add(1);
                if looked.is_multiple_of(LOOKS_PER_SWEEP) && session.sweep().used_up {
                    break super::live::Ending::Count;
                }
            }
        }
    };
    session.drain(&mut endings).await;
    print_all(&mut session, args.jsonl)?;
    let snapshot = session.finish();
    let lost: u64 = [&snapshot.directions.egress, &snapshot.directions.ingress]
        .iter()
        .map(|it| it.ledger.ring_lost)
        .sum();
    if lost > 0 {
        output::note(&format!("{lost} packets are missing here: the ring buffer was full"));
    }
    conclude(&ending, &snapshot)
}

/// Prints what is in the ring.
fn print_all(session: &mut Session, jsonl: bool) -> Result<(), CliError> {
    let line = |way: &PacketWay| if jsonl { report::packet_json(way) } else { report::packet_text(way) };
    let mut text = String::new();
    while let Some(way) = session.next_record() {
        text.push_str(&line(&way));
        text.push('\n');
    }
    Ok(output::result(&text)?)
}
