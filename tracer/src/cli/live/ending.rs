//! What ends a trace from outside: signals, and a command that was to run meanwhile.

use std::{
    future::{Future, pending},
    pin::Pin,
    process::Stdio,
};

use tokio::{
    process::Command,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::cli::{CliError, output};

/// Both of them.
pub(in crate::cli) struct Endings {
    signals: [Signal; 3],
    command: Pin<Box<dyn Future<Output = ()>>>,
}

impl Endings {
    /// From here on signals end the trace, not the process.
    pub(in crate::cli) fn new() -> Result<Self, CliError> {
        let catch =
            |kind| signal(kind).map_err(|error| CliError::new(format!("cannot catch signals: {error}")));
        Ok(Self {
            signals: [
                catch(SignalKind::interrupt())?,
                catch(SignalKind::terminate())?,
                catch(SignalKind::hangup())?,
            ],
            command: Box::pin(pending()),
        })
    }

    /// Runs `command`; the trace ends with it.
    pub(in crate::cli) fn run(&mut self, command: &str) -> Result<(), CliError> {
        let stderr = rustix::io::dup(rustix::stdio::stderr()).map_err(std::io::Error::from)?;
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdout(Stdio::from(stderr))
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| CliError::new(format!("cannot run --cmd: {error}")))?;
        self.command = Box::pin(async move {
            match child.wait().await {
                Ok(status) if !status.success() => output::note(&format!("--cmd: {status}")),
                Ok(_) => {}
                Err(error) => output::note(&format!("--cmd: {error}")),
            }
        });
        Ok(())
    }

    /// Waits for the first of them.
    pub(in crate::cli) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = &mut self.command => {}
        }
    }

    /// Waits for a signal: one more while a trace drains ends that, too.
    pub(in crate::cli) async fn signal(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
