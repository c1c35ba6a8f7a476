//! One trace.

use std::time::{Duration, Instant};

use tokio::time::Interval;

use super::{
    TraceError, TraceOptions,
    ending::{Ending, Endings},
    host::{FirstLook, HostWatch},
    session::Session,
    survey::survey,
    targets::{self, Targets},
};
use crate::{
    collect::Records,
    diagnose::diagnosed,
    explain,
    model::{HostFacts, Path, Plan, Report, Settings},
};

/// How often the kernel's table is swept.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// Programs attached, packets admitted. Dropping it takes everything off.
pub struct Tracer {
    path: Path,
    facts: HostFacts,
    settings: Settings,
    /// Large, and handed on.
    session: Box<Session>,
    host: HostWatch,
    endings: Endings,
    sweeps: Interval,
    ready: Duration,
}

/// What happens while packets are traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Lost packets were settled: there are new figures ([`Tracer::snapshot`]).
    Swept,
    /// The trace is over: [`Tracer::finish`] gives the report.
    Ended(Ending),
}

impl Tracer {
    /// Finds the paths of the ports that `targets` mean (a VM's name, UUID, MAC, IP, port or interface; several; all of the host),
    /// attaches, and admits packets. Must be called in a runtime of one thread.
    ///
    /// # Errors
    /// When there is no such path, it cannot be traced, or the kernel refuses.
    pub async fn start(targets: impl Into<Targets>, options: TraceOptions) -> Result<Self, TraceError> {
        let began = Instant::now();
        let note = options.note;
        let first_look = FirstLook::begin();
        let topology = survey(&options.sources, note).await?;
        let path = targets::only(targets.into().paths(&topology, &options)?)?;
        // At once: what changes while the programs are loaded counts, too.
        let mut host = HostWatch::begin(options.sources.clone(), &path, &topology, first_look, note);
        let mut session = Box::new(Box::pin(Session::start(&path, &options)).await?);
        let mut endings = Endings::watch(session.plan(), session.filters(), note);
        host.wait_for_filters().await;
        if options.explain {
            host.count_rules(&path).await;
        }
        session.open(&path).await;
        endings.begin(options.duration);
        Ok(Self {
            path,
            facts: host_facts(),
            settings: options.settings(),
            session,
            host,
            endings,
            sweeps: tokio::time::interval(SWEEP_EVERY),
            ready: began.elapsed(),
        })
    }

    /// Waits for what happens next. Its future can be dropped: nothing is lost by that.
    pub async fn next(&mut self) -> Event {
        tokio::select! {
            ending = self.endings.next() => Event::Ended(ending),
            _ = self.sweeps.tick() => {
                if self.session.sweep().used_up { Event::Ended(Ending::Count) } else { Event::Swept }
            }
        }
    }

    /// The paths that are traced, one of each port.
    #[must_use]
    pub const fn paths(&self) -> &[Path] {
        std::slice::from_ref(&self.path)
    }

    /// The filter, as it was understood; empty: all packets.
    #[must_use]
    pub fn filter(&self) -> &str {
        &self.settings.filter
    }

    /// The hooks.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        self.session.plan()
    }

    /// How long it took until packets were admitted.
    #[must_use]
    pub const fn ready(&self) -> Duration {
        self.ready
    }

    /// The packets that are told one by one; can be taken once.
    pub fn take_records(&mut self) -> Option<Records> {
        self.session.take_records()
    }

    /// The figures so far, with what is to know first.
    pub fn snapshot(&mut self) -> Report {
        let snapshot = self.session.snapshot();
        let watched = self.host.so_far().clone();
        let (path, facts, settings) = (self.path.clone(), self.facts.clone(), self.settings.clone());
        diagnosed(Report { live: true, ..Report::new(path, snapshot, watched, facts, settings) })
    }

    /// Admits nothing new, waits for the last packets, looks at the host once more, and gives the report; nothing is attached any more
    /// then. Each wait ends early when `hurry` does.
    pub async fn finish(mut self, ending: &Ending, mut hurry: impl AsyncFnMut()) -> Report {
        tokio::join!(self.session.drain(ending, &mut hurry), self.host.look_again(&self.path));
        let mut snapshot = self.session.finish();
        drop(self.session);
        tokio::select! {
            () = self.host.read_filters(&self.path, &snapshot) => {}
            () = hurry() => {}
        }
        if self.settings.explain {
            tokio::select! {
                () = explain::explain(&self.path, &mut snapshot, self.host.rules()) => {}
                () = hurry() => {}
            }
        }
        let watched = self.host.so_far().clone();
        diagnosed(Report::new(self.path, snapshot, watched, self.facts, self.settings))
    }
}

/// What the kernel says about the host, and this program about itself.
fn host_facts() -> HostFacts {
    let said = rustix::system::uname();
    let text = |words: &std::ffi::CStr| words.to_string_lossy().into_owned();
    HostFacts {
        name: text(said.nodename()),
        kernel: text(said.release()),
        machine: text(said.machine()),
        hoptrace: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
