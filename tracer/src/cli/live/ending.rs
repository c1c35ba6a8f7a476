//! What ends a trace.

use std::{
    future::{Future, pending},
    pin::Pin,
    process::Stdio,
    time::Duration,
};

use tokio::{
    process::Command,
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

use crate::{
    attach::{self, Filters},
    cli::{CliError, output},
    model::{Plan, Taken},
};

/// Why a trace ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Ending {
    /// The time is over.
    Duration,
    /// Enough packets have entered.
    Count,
    /// The command ended.
    Command,
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
    /// An interface of the path is gone.
    Vanished(String),
    /// Hooks of the path are gone.
    Taken(Taken),
}

type Waiting<T> = Pin<Box<dyn Future<Output = T>>>;

/// Everything that may end a trace.
pub(in crate::cli) struct Endings {
    signals: [Signal; 3],
    deadline: Option<Instant>,
    command: Waiting<()>,
    vanished: Waiting<String>,
    taken: Waiting<Taken>,
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
            deadline: None,
            command: Box::pin(pending()),
            vanished: Box::pin(pending()),
            taken: Box::pin(pending()),
        })
    }

    /// Waits for interfaces of `plan` to go, too, and for the `filters` at them.
    pub(in crate::cli) fn watch(&mut self, plan: &Plan, filters: Option<Filters>) {
        if let Some(filters) = filters {
            let plan = plan.clone();
            self.taken = Box::pin(async move {
                match filters.taken(&plan).await {
                    Ok(taken) => taken,
                    Err(error) => {
                        output::note(&format!(
                            "cannot watch the filters, one that is taken away goes unnoticed: {error}"
                        ));
                        pending().await
                    }
                }
            });
        }
        let plan = plan.clone();
        self.vanished = Box::pin(async move {
            match attach::watch(&plan).await {
                Ok(vanished) => vanished.ifname,
                Err(error) => {
                    output::note(&format!(
                        "cannot watch the interfaces, one that vanishes goes unnoticed: {error}"
                    ));
                    pending().await
                }
            }
        });
    }

    /// The trace begins: the clock runs, and so does `command`.
    pub(in crate::cli) fn begin(
        &mut self,
        duration: Option<Duration>,
        command: Option<&str>,
    ) -> Result<(), CliError> {
        self.deadline = duration.and_then(|duration| Instant::now().checked_add(duration));
        if let Some(command) = command {
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
        }
        Ok(())
    }

    /// Waits for the first of them.
    pub(in crate::cli) async fn next(&mut self) -> Ending {
        let [interrupt, terminate, hangup] = &mut self.signals;
        let deadline = self.deadline;
        let timer = async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => Ending::Signal,
            _ = terminate.recv() => Ending::Signal,
            _ = hangup.recv() => Ending::Signal,
            ifname = &mut self.vanished => Ending::Vanished(ifname),
            taken = &mut self.taken => Ending::Taken(taken),
            () = &mut self.command => Ending::Command,
            () = timer => Ending::Duration,
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
