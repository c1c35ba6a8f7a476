//! Prints packets on a thread of its own, so that a slow reader of stdout holds up nothing else.
//!
//! The ring buffer is the only queue: what does not fit into it, the programs count as lost.

use std::{
    io::{self, Write as _},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::Duration,
};

use tokio::task::{JoinHandle, spawn_blocking};

use super::Endings;
use crate::{
    collect::Records,
    model::{PacketWay, Plan},
};

/// How often the ring is looked at; the programs never wake us.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Text that is written at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Appends a packet to a text, without a line break.
pub(in crate::cli) type Format = fn(&PacketWay<'_>, &mut Vec<u8>);

/// The thread. It prints what comes until it is finished.
pub(in crate::cli) struct Printer {
    /// Dropped to tell it that nothing more will come.
    more: Sender<()>,
    thread: JoinHandle<io::Result<u64>>,
}

impl Printer {
    /// Starts printing.
    pub(in crate::cli) fn start(records: Records, plan: Plan, format: Format) -> Self {
        let (more, ended) = channel();
        Self { more, thread: spawn_blocking(move || print(records, &plan, format, &ended)) }
    }

    /// Waits until it can not go on; it never ends well before it is told to.
    pub(in crate::cli) async fn failed(&mut self) -> io::Error {
        match (&mut self.thread).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) => io::Error::other("the printer ended too early"),
            Err(error) => io::Error::other(error),
        }
    }

    /// Prints what is in the ring still; nothing more must come. Gives how many packets were printed in all, `None` if a
    /// signal ended it before they were.
    pub(in crate::cli) async fn finish(self, endings: &mut Endings) -> io::Result<Option<u64>> {
        drop(self.more);
        tokio::select! {
            printed = self.thread => Ok(Some(printed.map_err(io::Error::other)??)),
            () = endings.signal() => Ok(None),
        }
    }
}

fn print(mut records: Records, plan: &Plan, format: Format, ended: &Receiver<()>) -> io::Result<u64> {
    let mut stdout = io::stdout().lock();
    let mut text = Vec::with_capacity(CHUNK_BYTES * 2);
    let mut printed = 0;
    loop {
        let last = !matches!(ended.recv_timeout(LOOK_EVERY), Err(RecvTimeoutError::Timeout));
        while let Some(way) = records.next(plan) {
            format(&way, &mut text);
            text.push(b'\n');
            printed += 1;
            if text.len() >= CHUNK_BYTES {
                stdout.write_all(&text)?;
                text.clear();
            }
        }
        stdout.write_all(&text)?;
        stdout.flush()?;
        text.clear();
        if last {
            return Ok(printed);
        }
    }
}
