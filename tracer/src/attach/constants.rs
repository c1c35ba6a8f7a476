//! What becomes part of the object before the verifier sees it.

use hoptrace_common::{
    config::{HookConfig, MAX_HOOKS, NEAR_WORDS, PLACES, TraceConfig},
    filter::Filter,
    ports::PortConfig,
};

use super::{AttachError, Attachable, LoadOptions, Plans, PortPlan, below, host_wide, nic, placed};
use crate::model::{Plan, PortId, Side};

/// Constants of the programs. In a trace of several ports only what holds for all of them.
#[derive(Debug)]
pub(super) struct Constants {
    pub(super) trace: TraceConfig,
    pub(super) hooks: [HookConfig; MAX_HOOKS],
    pub(super) placed: [[HookConfig; PLACES]; 2],
    pub(super) near: [[u64; NEAR_WORDS]; 2],
}

impl Constants {
    pub(super) fn of(
        plans: &Plans,
        options: &LoadOptions,
        probes: &[&mut dyn Attachable],
    ) -> Result<Self, AttachError> {
        let room = plans.room();
        let mut trace = TraceConfig {
            seed: options.trace.seed | 1,
            filtering: filtering(&options.trace.filter),
            ports: room.told_ports(),
            segments: room.segments(),
            port_segments: room.port_segments(),
            ..options.trace
        };
        for probe in probes {
            probe.tell(&mut trace);
        }
        match plans.first().filter(|_| room.is_for_one()) {
            Some(port) => Self::of_one(port, options, probes, trace),
            None => Ok(Self {
                trace,
                hooks: [HookConfig::default(); MAX_HOOKS],
                placed: [[HookConfig::default(); PLACES]; 2],
                near: [[u64::MAX; NEAR_WORDS]; 2],
            }),
        }
    }

    fn of_one(
        port: &PortPlan,
        options: &LoadOptions,
        probes: &[&mut dyn Attachable],
        trace: TraceConfig,
    ) -> Result<Self, AttachError> {
        let plan = &port.plan;
        let found_at = host_wide::with_lower(plan, options.mechanism, below::lower);
        let spread = placed::spread(&found_at).ok_or(AttachError::NoPlaces)?;
        let mut hooks = own_hooks(plan);
        for probe in probes {
            probe.tell_port(PortId::FIRST, &mut hooks, &mut PortConfig::default());
        }
        Ok(Self {
            trace: TraceConfig {
                mac: port.mac,
                ipv4: port.ipv4,
                spread,
                beside: placed::beside(plan),
                guest_segment: plan.guest.0.into(),
                entries: plan.entries.map(|hook| hook.0).array(),
                neighbour_entries: plan.neighbour_entries.bits(),
                ..trace
            },
            placed: placed::placed(&found_at, &hooks, spread),
            near: host_wide::near(&found_at),
            hooks,
        })
    }
}

fn filtering(filter: &Filter) -> u16 {
    if filter.asks_for_group() { TraceConfig::FOR_GROUP } else { u16::from(*filter != Filter::default()) }
}

/// What programs are told of the hooks of a plan, and of the interfaces they are at.
pub(super) fn own_hooks(plan: &Plan) -> [HookConfig; MAX_HOOKS] {
    let mut hooks = [HookConfig::default(); MAX_HOOKS];
    for (place, hook) in hooks.iter_mut().zip(&plan.hooks) {
        *place = hook.config;
        // What the first hook sees was merged before the path began.
        if hook.side == Side::Ingress && hook.config.flags & HookConfig::ENTRY == 0 {
            place.flags |= if nic::merges(hook, plan) { HookConfig::MERGES } else { 0 };
        }
    }
    hooks
}
