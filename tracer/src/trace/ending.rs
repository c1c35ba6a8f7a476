//! What ends a trace by itself.

use std::{
    collections::BTreeMap,
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};

use tokio::time::Instant;

use super::note::{Note, NoteTo};
use crate::{
    attach::{self, Filters, Vanished},
    model::{IfIndex, Interface, Plan, Taken},
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

/// What may end a trace by itself, or take a port of several away.
#[derive(Debug)]
pub(super) enum Happening {
    /// It ends.
    Ends(Ending),
    /// An interface is gone.
    Vanished(Vanished),
}

/// Everything that may end a trace by itself.
pub(super) struct Endings {
    deadline: Option<Instant>,
    filters: Option<Filters>,
    note: NoteTo,
    vanished: Waiting<Vanished>,
    taken: Waiting<Taken>,
}

impl Endings {
    /// Waits for interfaces of `plans` to go, and for the `filters` at them.
    pub(super) fn watch(plans: Vec<Plan>, filters: Option<Filters>, note: NoteTo) -> Self {
        let (vanished, taken) = waiting(plans, filters, note);
        Self { deadline: None, filters, note, vanished, taken }
    }

    /// Waits for those of other ports from now on.
    pub(super) fn watch_others(&mut self, plans: Vec<Plan>) {
        (self.vanished, self.taken) = waiting(plans, self.filters, self.note);
    }

    /// The trace begins: the clock runs.
    pub(super) fn begin(&mut self, duration: Option<Duration>) {
        self.deadline = duration.and_then(|duration| Instant::now().checked_add(duration));
    }

    /// Waits for the first of them.
    pub(super) async fn next(&mut self) -> Happening {
        let deadline = self.deadline;
        let timer = async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::select! {
            vanished = &mut self.vanished => Happening::Vanished(vanished),
            taken = &mut self.taken => Happening::Ends(Ending::Taken(taken)),
            () = timer => Happening::Ends(Ending::Duration),
        }
    }
}

fn waiting(plans: Vec<Plan>, filters: Option<Filters>, note: NoteTo) -> (Waiting<Vanished>, Waiting<Taken>) {
    let interfaces = plans.iter().flat_map(Plan::path_interfaces);
    let interfaces: BTreeMap<IfIndex, Interface> =
        interfaces.map(|interface| (interface.ifindex, interface.clone())).collect();
    let interfaces: Vec<Interface> = interfaces.into_values().collect();
    let taken: Waiting<Taken> = match filters {
        Some(filters) => Box::pin(async move {
            match filters.taken(&plans).await {
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
        match attach::watch(&interfaces).await {
            Ok(vanished) => vanished,
            Err(error) => {
                note(&Note::InterfacesUnwatched(error.to_string()));
                pending().await
            }
        }
    });
    (vanished, taken)
}
