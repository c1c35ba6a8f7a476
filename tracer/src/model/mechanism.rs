//! How programs get to the packets of the path's interfaces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the programs are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// At the interfaces, as TCX links, from kernel 6.6 on: the kernel removes them with the process.
    #[default]
    Tcx,
    /// At the interfaces, as filters at a `clsact` queueing discipline: they stay until they are removed. Making and
    /// removing it costs packets on kernels before 6.6, and leaves no room for an `ingress` one.
    Clsact,
    /// At the tracepoints `netif_receive_skb` and `net_dev_queue`: nothing is attached to any interface, and the programs run
    /// for each packet of the host.
    Tracepoints,
}

impl Mechanism {
    /// As `tc` and the kernel's documentation name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "TCX",
            Self::Clsact => "clsact",
            Self::Tracepoints => "tracepoints",
        }
    }
}
