//! What ends a trace by itself.

use std::{
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};

use tokio::time::Instant;

use super::note::{Note, NoteTo};
use crate::{
    attach::{self, Filters},
    model::{Plan, Taken},
};

/// Why a trace ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The time is over.
    Duration,
    /// Enough packets have entered.
    Count,
    /// The caller wanted it to end.
    Wanted,
    /// An interface of the path is gone.
    Vanished(String),
    /// Hooks of the path are gone.
    Taken(Taken),
}

type Waiting<T> = Pin<Box<dyn Future<Output = T>>>;

/// Everything that may end a trace by itself.
pub(super) struct Endings {
    deadline: Option<Instant>,
    vanished: Waiting<String>,
    taken: Waiting<Taken>,
}

impl Endings {
    /// Waits for interfaces of `plan` to go, and for the `filters` at them.
    pub(super) fn watch(plan: &Plan, filters: Option<Filters>, note: NoteTo) -> Self {
        let (of_filters, of_interfaces) = (plan.clone(), plan.clone());
        let taken: Waiting<Taken> = match filters {
            Some(filters) => Box::pin(async move {
                match filters.taken(&of_filters).await {
                    Ok(taken) => taken,
                    Err(error) => {
                        note(&Note::FiltersUnwatched(error.to_string()));
                        pending().await
                    }
                }
            }),
            None => Box::pin(pending()),
        };
        let vanished = Box::pin(async move {
            match attach::watch(&of_interfaces).await {
                Ok(vanished) => vanished.ifname,
                Err(error) => {
                    note(&Note::InterfacesUnwatched(error.to_string()));
                    pending().await
                }
            }
        });
        Self { deadline: None, vanished, taken }
    }

    /// The trace begins: the clock runs.
    pub(super) fn begin(&mut self, duration: Option<Duration>) {
        self.deadline = duration.and_then(|duration| Instant::now().checked_add(duration));
    }

    /// Waits for the first of them.
    pub(super) async fn next(&mut self) -> Ending {
        let deadline = self.deadline;
        let timer = async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::select! {
            ifname = &mut self.vanished => Ending::Vanished(ifname),
            taken = &mut self.taken => Ending::Taken(taken),
            () = timer => Ending::Duration,
        }
    }
}
