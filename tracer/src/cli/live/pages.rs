//! Prints one text after the other on a thread of its own, so that a slow reader of stdout holds up nothing else.

use std::{
    io,
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
};

use tokio::task::{JoinHandle, spawn_blocking};

use super::Endings;
use crate::cli::output;

/// The thread. It prints what comes until it is finished.
pub(in crate::cli) struct Pages {
    next: SyncSender<String>,
    thread: JoinHandle<io::Result<()>>,
}

impl Pages {
    /// Waits for the first text.
    pub(in crate::cli) fn start() -> Self {
        let (next, texts) = sync_channel::<String>(1);
        let thread = spawn_blocking(move || texts.iter().try_for_each(|text| output::result(&text)));
        Self { next, thread }
    }

    /// Hands over a text, without waiting; `false`: there is one still that nobody has read.
    pub(in crate::cli) fn print(&self, text: String) -> bool {
        // One that cannot print any more says so when it is waited for.
        !matches!(self.next.try_send(text), Err(TrySendError::Full(_)))
    }

    /// Waits until it can not go on; it never ends well before it is told to.
    pub(in crate::cli) async fn failed(&mut self) -> io::Error {
        match (&mut self.thread).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => io::Error::other("the printer ended too early"),
            Err(error) => io::Error::other(error),
        }
    }

    /// Prints what was handed over. `false`: a signal ended that before it was read.
    pub(in crate::cli) async fn finish(self, endings: &mut Endings) -> io::Result<bool> {
        drop(self.next);
        tokio::select! {
            printed = self.thread => printed.map_err(io::Error::other)?.map(|()| true),
            () = endings.signal() => Ok(false),
        }
    }
}
