//! One trace.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::time::Interval;

use super::{
    Note, Targets, TraceError, TraceOptions,
    ending::{Ending, Endings, Happening},
    host::{FirstLook, HostWatch},
    session::Session,
    survey::survey,
    targets,
};
use crate::{
    attach::Vanished,
    collect::Records,
    diagnose::diagnosed,
    discover::discover,
    explain,
    model::{HostFacts, Path, Plan, PortFigures, PortId, Report, Settings, TraceFigures},
    path,
};

/// How often the kernel's table is swept.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// How often it is looked at while a port's last packets come in.
const LEAVE_EVERY: Duration = Duration::from_millis(20);

/// Programs attached, packets admitted. Dropping it takes everything off.
pub struct Tracer {
    facts: HostFacts,
    options: TraceOptions,
    settings: Settings,
    /// Large, and handed on.
    session: Box<Session>,
    /// Ports that were traced, and are no more.
    gone: BTreeMap<PortId, PortFigures>,
    /// The first port's path and plan: those of a trace of one.
    first: (Path, Plan),
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
    /// Finds the paths of the ports that `targets` mean (of each a VM's name, UUID, MAC, IP, port or interface), attaches, and admits packets.
    /// Must be called in a runtime of one thread.
    ///
    /// # Errors
    /// When there is no such path, it cannot be traced, or the kernel refuses.
    pub async fn start(targets: impl Into<Targets>, options: TraceOptions) -> Result<Self, TraceError> {
        let (began, targets) = (Instant::now(), targets.into());
        let note = options.note;
        let first_look = FirstLook::begin();
        let topology = survey(&options.sources, note).await?;
        let paths = targets.paths(&topology, &options)?;
        // At once: what changes while the programs are loaded counts, too.
        let mut host = HostWatch::begin(options.sources.clone(), &paths, &topology, first_look, note);
        drop(topology);
        let leaves_out = targets.leaves_out();
        let mut session = Box::new(Box::pin(Session::start(paths, leaves_out, &options)).await?);
        let mut endings = Endings::watch(plans(&session), session.filters(), note);
        host.wait_for_filters().await;
        if options.explain {
            for (port, traced) in session.ports() {
                host.count_rules(*port, &traced.path).await;
            }
        }
        session.open().await;
        endings.begin(options.duration);
        let first = session.ports().values().next().ok_or(TraceError::NothingToTrace)?;
        Ok(Self {
            first: (first.path.clone(), first.plan.clone()),
            facts: host_facts(),
            settings: options.settings(),
            options,
            session,
            gone: BTreeMap::new(),
            host,
            endings,
            sweeps: tokio::time::interval(SWEEP_EVERY),
            ready: began.elapsed(),
        })
    }

    /// Waits for what happens next. Its future can be dropped: nothing is lost by that.
    pub async fn next(&mut self) -> Event {
        loop {
            tokio::select! {
                happening = self.endings.next() => match happening {
                    Happening::Ends(ending) => return Event::Ended(ending),
                    Happening::Vanished(vanished) => {
                        if let Some(ending) = self.vanished(vanished) {
                            return Event::Ended(ending);
                        }
                    }
                },
                _ = self.sweeps.tick() => {
                    let progress = self.session.sweep();
                    self.take_those_that_left();
                    return if progress.used_up { Event::Ended(Ending::Count) } else { Event::Swept };
                }
            }
        }
    }

    /// An interface is gone, and with it the ports whose paths have it. Without them there is perhaps nothing left.
    fn vanished(&mut self, vanished: Vanished) -> Option<Ending> {
        let without = self.session.ports_at(vanished.ifindex);
        if !self.session.is_of_several() || without.len() == self.session.ports().len() {
            return Some(Ending::Vanished(vanished.ifname));
        }
        for port in &without {
            if let Some(traced) = self.session.ports().get(port) {
                let (port, ifname) = (traced.path.instance.title(), vanished.ifname.clone());
                (self.options.note)(&Note::Gone { port, ifname });
            }
            self.session.leave(*port);
        }
        let others = self.session.ports().iter().filter(|(port, _)| !without.contains(port));
        let others = others.map(|(_, traced)| traced.plan.clone()).collect();
        self.endings.watch_others(others);
        None
    }

    /// Traces another port, too, from now on: the programs that run learn of it. There must be room ([`TraceOptions::room`]).
    ///
    /// # Errors
    /// As of [`Tracer::start`], and when there is no room; the others are traced on.
    pub async fn add(&mut self, target: &str) -> Result<PortId, TraceError> {
        let topology = discover(&self.options.sources).await;
        let path = path::find(&topology, target)?;
        targets::check(&path, self.session.ports().values().map(|traced| &traced.path))?;
        self.host.add(&path);
        let port = self.session.add(path).await?;
        if let Some(traced) = self.session.ports().get(&port).filter(|_| self.settings.explain) {
            self.host.count_rules(port, &traced.path).await;
        }
        self.endings.watch_others(plans(&self.session));
        Ok(port)
    }

    /// Traces a port no more: waits until each of its packets on their way has come or timed out, and keeps its figures for the report. The
    /// others are traced meanwhile.
    ///
    /// # Errors
    /// When it is not traced.
    pub async fn remove(&mut self, port: PortId) -> Result<(), TraceError> {
        if !self.session.ports().contains_key(&port) {
            return Err(TraceError::NotTraced(port));
        }
        self.session.leave(port);
        while self.session.ports().contains_key(&port) {
            tokio::time::sleep(LEAVE_EVERY).await;
            self.session.sweep();
            self.take_those_that_left();
        }
        Ok(())
    }

    fn take_those_that_left(&mut self) {
        let left = self.session.left();
        for port in &left {
            if let Some((path, snapshot)) = self.session.take(*port) {
                let watched = self.host.of_port(*port, &path);
                self.gone.insert(*port, PortFigures { path, snapshot, watched });
            }
        }
        if !left.is_empty() {
            self.endings.watch_others(plans(&self.session));
        }
    }

    /// The ports that are traced at the moment, and their paths.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &Path)> {
        self.session.ports().iter().map(|(port, traced)| (*port, &traced.path))
    }

    /// The path of the first port that was traced.
    #[must_use]
    pub const fn path(&self) -> &Path {
        &self.first.0
    }

    /// The filter, as it was understood; empty: all packets.
    #[must_use]
    pub fn filter(&self) -> &str {
        &self.settings.filter
    }

    /// The hooks of the first port that was traced.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.first.1
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
        let (ports, mut figures) = (self.figures(), self.session.figures());
        self.host.tell(&mut figures);
        let mut all = self.gone.clone();
        all.extend(ports);
        let (facts, settings) = (self.facts.clone(), self.settings.clone());
        diagnosed(Report { live: true, ..report(all, figures, facts, settings) })
    }

    /// Of the ports that are traced at the moment.
    fn figures(&self) -> BTreeMap<PortId, PortFigures> {
        let of_port = |port: PortId, path: &Path| {
            let watched = self.host.of_port(port, path);
            Some((port, PortFigures { path: path.clone(), snapshot: self.session.snapshot(port)?, watched }))
        };
        self.ports().filter_map(|(port, path)| of_port(port, path)).collect()
    }

    /// Admits nothing new, waits for the last packets, looks at the host once more, and gives the report; nothing is attached any more
    /// then. Each wait ends early when `hurry` does.
    pub async fn finish(mut self, ending: &Ending, mut hurry: impl AsyncFnMut()) -> Report {
        let paths: BTreeMap<PortId, Path> = self.ports().map(|(port, path)| (port, path.clone())).collect();
        tokio::join!(self.session.drain(ending, &mut hurry), self.host.look_again(&paths));
        drop(paths);
        self.session.finish();
        let mut all = self.figures();
        all.append(&mut self.gone);
        let mut figures = self.session.figures();
        drop(self.session);
        tokio::select! {
            () = self.host.read_filters(all.values().map(|port| (&port.path, &port.snapshot))) => {}
            () = hurry() => {}
        }
        if self.settings.explain {
            for (port, found) in &mut all {
                let (rules, southbound) = (self.host.rules(*port), self.host.southbound());
                tokio::select! {
                    () = explain::explain(&found.path, &mut found.snapshot, rules, southbound) => {}
                    () = hurry() => {}
                }
            }
        }
        self.host.tell(&mut figures);
        diagnosed(report(all, figures, self.facts, self.settings))
    }
}

/// The plans of all ports that are traced.
fn plans(session: &Session) -> Vec<Plan> {
    session.ports().values().map(|traced| traced.plan.clone()).collect()
}

/// In the order in which the ports came.
fn report(
    ports: BTreeMap<PortId, PortFigures>,
    figures: TraceFigures,
    facts: HostFacts,
    settings: Settings,
) -> Report {
    Report::of_ports(ports.into_values().collect(), figures, facts, settings)
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
