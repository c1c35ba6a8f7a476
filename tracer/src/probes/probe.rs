//! What every probe is asked.

use std::{pin::Pin, time::Duration};

use aya::Ebpf;
use btf_rs::Btf;
use hoptrace_common::config::HookConfig;

use crate::{
    attach::{AttachError, Attachable, PlanOptions},
    collect::{CollectError, Maps, Reading, Share},
    model::{HookPlan, Mechanism, Path, Plan, Snapshot, XdpMode},
};

/// What is known before anything is planned: this host, and what is wanted.
#[derive(Clone, Copy, Default)]
pub struct Host<'h> {
    /// What the kernel says of its structures; `None`: nothing, so that what reads them is not available.
    pub btf: Option<&'h Btf>,
    /// What is around the hooks, for each port; none: nothing that is known, as where programs are loaded to be measured.
    pub paths: &'h [&'h Path],
    /// Whether packets are to be followed to the NIC's driver.
    pub wire: bool,
    /// Where XDP is to be hooked, if it is.
    pub xdp: Option<XdpMode>,
    /// Whether packets are to be explained.
    pub explain: bool,
}

/// The trace of one port that is to begin.
#[derive(Debug, Clone, Copy)]
pub struct Trace<'t> {
    /// Its hooks and segments.
    pub plan: &'t Plan,
    /// What is around them; `None`: nothing that is known.
    pub path: Option<&'t Path>,
    /// Which port it is, and of how many.
    pub share: Share,
    /// Where the hooks are.
    pub mechanism: Mechanism,
    /// How long a packet may stay away.
    pub timeout: Duration,
}

impl Trace<'_> {
    pub(super) fn timeout_ns(&self) -> u64 {
        u64::try_from(self.timeout.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The name of the guest's tap.
    pub(super) fn tap(&self) -> String {
        let is_at_guest = |hook: &&HookPlan| hook.config.flags & HookConfig::GUEST != 0;
        let hook = self.plan.hooks.iter().find(is_at_guest);
        hook.and_then(|hook| hook.interfaces.first()).map_or_else(String::new, |tap| tap.ifname.clone())
    }
}

/// An answer that may take a while.
pub(super) type Checked<'c> = Pin<Box<dyn Future<Output = Result<(), AttachError>> + 'c>>;

/// One source. What it has no use for, it leaves out.
pub trait Probe: Attachable {
    /// Why it is not available though it was wanted, and what that means, in a line.
    fn why_not(&self) -> Option<String> {
        None
    }

    /// What it wants of the plan.
    fn wish<'p>(&'p self, _options: &mut PlanOptions<'p>) {}

    /// Another port is to be traced, whose path this is: before it is planned.
    fn meet(&mut self, _path: &Path) {}

    /// A port's trace is planned: the next thing is to load the programs, or, where they run, to tell them.
    fn planned(&mut self, _trace: &Trace<'_>) {}

    /// Whether it can be attached, before anything is loaded.
    ///
    /// # Errors
    /// When another program is in its place already, or the kernel is too old.
    fn check<'c>(&'c self, _plan: &'c Plan) -> Checked<'c> {
        Box::pin(async { Ok(()) })
    }

    /// Reads from now on what its maps have of a port; `None`: they have nothing.
    ///
    /// # Errors
    /// When a map can not be mapped.
    fn read(
        &self,
        _object: &Ebpf,
        _maps: &Maps,
        _trace: &Trace<'_>,
    ) -> Result<Option<Box<dyn Reading>>, CollectError> {
        Ok(None)
    }

    /// What attaching it has changed on the host, a line each.
    fn changes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What makes the figures of `snapshot` doubtful, in a line.
    fn doubt(&self, _object: &Ebpf, _snapshot: &Snapshot) -> Option<String> {
        None
    }
}
