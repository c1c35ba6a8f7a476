//! What flows between the stages: the words of the design as types, without any I/O.

mod beside;
mod direction;
mod early;
mod evidence;
mod explain;
mod filter;
mod finding;
mod firewall;
mod guest;
mod hop;
mod host;
mod ids;
mod instance;
mod leftover;
mod link;
mod listing;
mod mechanism;
mod ovs;
mod packet;
mod path;
mod plan;
mod port;
mod printable;
mod snapshot;
mod source;
mod tail;
mod taken;
mod topology;
mod trace;

pub use beside::{Namespace, OtherPort, PortKind};
pub use direction::Direction;
pub use early::EarlyDrop;
pub use evidence::{Evidence, EvidenceSource};
pub use explain::{Explanation, OpenFlowRule, PacketHead};
pub use filter::{FilterError, FilterProtocol, PacketFilter};
pub use finding::{Finding, Severity};
pub use firewall::{Firewall, FirewallRule};
pub use guest::{Application, GuestTimes};
pub use hop::{Hop, HopFacts, OtherEnd, Role};
pub use host::{HostReport, LinkChange};
pub use ids::{IfIndex, MacAddr, ParseMacError};
pub use instance::{Instance, InstanceId, InstanceInterface, InstanceState};
pub use leftover::{Cleaning, Leftover};
pub use link::{BridgePortState, Link, LinkKind, VethPeer};
pub use listing::ListRow;
pub use mechanism::Mechanism;
pub use ovs::{NeutronKeys, NeutronNetwork, OvsBridge, OvsInterface, OvsPort};
pub use packet::{Flow, PacketWay, WayPoint};
pub use path::{BridgeKind, Path, PathKind, PathSummary, Problem, ProblemKind, Step, Traceability};
pub use plan::{HookPlan, Interface, Plan, SegmentPlan, Side, XdpMode};
pub use port::VmPort;
pub use printable::Printable;
pub use snapshot::{
    DirectionReport, Directions, Drop, DropExample, HookReport, Latencies, LatencyNs, Ledger, Neighbour,
    Segment, Snapshot, SwitchPaths, TracerCost, Upcalls,
};
pub use source::{SourceName, SourceStatus};
pub use tail::{PARTS_PER_MILLION, Tail};
pub use taken::Taken;
pub use topology::{LinkAway, OvsPlace, Topology};
pub use trace::TraceReport;
