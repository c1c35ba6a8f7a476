//! Ports that come while others are traced, and ports that go.

use std::time::Instant;

use super::{DRAIN_EVERY, Session, introduce_strangers};
use crate::{
    collect::Share,
    model::{OtherPort, Path, PortId, PortKind, Snapshot},
    trace::{
        TraceError,
        beside::Beside,
        prepare::remove_leftovers,
        traced::{Placing, TracedPort, plan, trace_of},
    },
};

/// Where the port's own path comes to the switch: that is beside the others' paths.
fn own_place(path: &Path) -> Option<OtherPort> {
    let hop = path.hops().rfind(|hop| !hop.facts.shared)?;
    let is_switch_s = path.is_in_switch(hop);
    is_switch_s.then(|| OtherPort {
        ifname: hop.ifname.clone(),
        ifindex: hop.ifindex,
        kind: PortKind::Vm,
        macs: vec![path.instance.mac],
        bridge: hop.bridge.clone(),
        ..OtherPort::default()
    })
}

impl Session {
    /// Traces another port, too, from now on.
    pub(in crate::trace) async fn add(&mut self, path: Path) -> Result<PortId, TraceError> {
        let port = self.next;
        if self.room.is_for_one() || port.0 >= self.room.ports() {
            return Err(TraceError::Full { room: self.room.ports() });
        }
        let note = self.options.note;
        let mut paths = [path];
        let beside = Beside::of(&mut paths, true, self.options.path_only, self.described).await;
        let [path] = paths;
        self.probes.meet(&path);
        let placing = Placing { mechanism: self.mechanism, several: true, hooks: self.options.hooks };
        let plan = plan(&path, &beside.of_path(0), placing, &self.probes, note)?;
        if plan.segment_count > self.room.port_segments() {
            let why = "its path has more segments than there is room for in this trace".to_owned();
            return Err(TraceError::Untraceable(why));
        }
        self.probes.check(&plan).await?;
        let plans = [plan];
        remove_leftovers(&plans, beside.all(), note)?;
        let [plan] = plans;
        let traced = TracedPort { path, plan };
        let share = Share { room: self.room, port };
        self.probes.planned(&trace_of(&traced, share, self.mechanism, self.options.timeout));
        let mut planned = traced.planned();
        planned.plan.neighbours = beside.all().iter().cloned().chain(own_place(&traced.path)).collect();
        // Never given to another one: what was counted of it stays where it is.
        self.next = PortId(port.0 + 1);
        self.attached.add(port, &planned, &mut self.probes.attachable())?;
        self.ports.insert(port, traced);
        let read = introduce_strangers(&mut self.attached, &self.ports, &beside, &self.options);
        if let Err(error) = read.and_then(|()| Ok(self.read(port, &beside)?)) {
            self.take_off(port);
            return Err(error);
        }
        self.watch_members();
        if let (Some(witness), Some(traced)) = (&mut self.witness, self.ports.get(&port)) {
            witness.add(&traced.path).await;
        }
        self.collector.open_port(port, self.options.count);
        Ok(port)
    }

    /// Admits no new packets of a port; those on their way are waited for. [`Session::left`] says when it has none any more.
    pub(in crate::trace) fn leave(&mut self, port: PortId) {
        if self.ports.contains_key(&port) {
            self.collector.drain_port(port);
            let until = Instant::now() + self.options.timeout + 2 * DRAIN_EVERY;
            self.leaving.entry(port).or_insert(until);
        }
    }

    /// Ports that are leaving, and have no packets on their way as of the last sweep, or had time enough.
    pub(in crate::trace) fn left(&self) -> Vec<PortId> {
        let is_over = |(port, until): &(&PortId, &Instant)| {
            self.collector.in_flight_of(**port) == 0 || Instant::now() >= **until
        };
        self.leaving.iter().filter(is_over).map(|(port, _)| *port).collect()
    }

    /// Takes a port off that has left, and gives its path and its last figures.
    pub(in crate::trace) fn take(&mut self, port: PortId) -> Option<(Path, Snapshot)> {
        self.collector.close_port(port);
        self.collector.sweep();
        let snapshot = self.snapshot(port)?;
        Some((self.take_off(port)?, snapshot))
    }

    fn take_off(&mut self, port: PortId) -> Option<Path> {
        self.attached.remove(port, &mut self.probes.attachable());
        self.collector.remove(port);
        self.leaving.remove(&port);
        self.ports.remove(&port).map(|traced| traced.path)
    }
}
