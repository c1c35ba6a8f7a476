//! All probes there are.

use std::fmt;

use aya::Ebpf;

use super::{
    Host, Probe, Trace, answers::Answers, checksums::Checksums, frees::Frees, heads::Heads,
    questions::Questions, sightings::Sightings, upcalls::Upcalls, wire::Wire, xdp::XdpHooks,
};
use crate::{
    attach::{AttachError, Attachable, PlanOptions},
    collect::{CollectError, Maps, Reading},
    model::{Path, Plan, Snapshot},
};

/// The probes of one trace, in the order in which they are attached and have their say.
pub struct Probes(Vec<Box<dyn Probe>>);

impl Probes {
    /// Every probe; those that this host has nothing for say so.
    #[must_use]
    pub fn of(host: &Host<'_>) -> Self {
        Self(vec![
            Box::new(Frees::of(host)),
            Box::new(Upcalls::of(host)),
            Box::new(Questions),
            Box::new(Checksums),
            Box::new(Sightings),
            Box::new(Answers::default()),
            Box::new(Heads::of(host)),
            Box::new(XdpHooks::of(host)),
            Box::new(Wire::of(host)),
        ])
    }

    /// Why some are not available, and what that means, a line each.
    pub fn why_not(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|probe| probe.why_not())
    }

    /// `options` and what the probes want of the plan.
    #[must_use]
    pub fn wishes<'p>(&'p self, mut options: PlanOptions<'p>) -> PlanOptions<'p> {
        for probe in &self.0 {
            probe.wish(&mut options);
        }
        options
    }

    /// Another port is to be traced: see [`Probe::meet`].
    pub fn meet(&mut self, path: &Path) {
        for probe in &mut self.0 {
            probe.meet(path);
        }
    }

    /// A port's trace is planned: see [`Probe::planned`].
    pub fn planned(&mut self, trace: &Trace<'_>) {
        for probe in &mut self.0 {
            probe.planned(trace);
        }
    }

    /// Whether they can be attached, before anything is loaded.
    ///
    /// # Errors
    /// When one can not.
    pub async fn check(&self, plan: &Plan) -> Result<(), AttachError> {
        for probe in &self.0 {
            probe.check(plan).await?;
        }
        Ok(())
    }

    /// For the loader.
    pub fn attachable(&mut self) -> Vec<&mut dyn Attachable> {
        self.0.iter_mut().map(|probe| &mut **probe as &mut dyn Attachable).collect()
    }

    /// For the collector, of one port.
    ///
    /// # Errors
    /// When a map can not be mapped.
    pub fn readings(
        &self,
        object: &Ebpf,
        maps: &Maps,
        trace: &Trace<'_>,
    ) -> Result<Vec<Box<dyn Reading>>, CollectError> {
        self.0.iter().filter_map(|probe| probe.read(object, maps, trace).transpose()).collect()
    }

    /// What attaching them has changed on the host, a line each.
    pub fn changes(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|probe| probe.changes())
    }

    /// What makes the figures of `snapshot` doubtful, a line each.
    pub fn doubts(&self, object: &Ebpf, snapshot: &Snapshot) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|probe| probe.doubt(object, snapshot))
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Side, XdpMode};

    #[test]
    fn what_is_not_wanted_or_not_possible_changes_nothing() {
        let wanted = [Host::default(), Host { wire: true, xdp: Some(XdpMode::Native), ..Host::default() }];
        let wishes = wanted.map(|host| {
            let probes = Probes::of(&host);
            assert_eq!(probes.why_not().count(), 0, "that the kernel says nothing of itself is said once");
            let options = probes.wishes(PlanOptions::default());
            (options.xdp, options.wire, options.slow_at.len())
        });
        // A wire hook has to know where packets have their fields.
        assert_eq!(wishes, [(None, false, 0), (Some(XdpMode::Native), false, 0)]);
    }

    #[test]
    fn each_side_that_is_not_tc_s_has_the_program_of_one_probe() {
        let mut probes = Probes::of(&Host::default());
        let of = |side| probes.attachable().iter().filter_map(|it| it.hook_program(side)).collect::<Vec<_>>();
        let sides = [
            Side::Wire,
            Side::Xdp(XdpMode::Native),
            Side::Xdp(XdpMode::Generic),
            Side::Ingress,
            Side::Egress,
        ];
        assert_eq!(
            sides.map(of),
            [vec!["hop_wire"], vec!["hop_xdp_native"], vec!["hop_xdp_generic"], vec![], vec![]]
        );
    }
}
