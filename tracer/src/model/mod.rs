//! What flows between the stages: the words of the design as types, without any I/O.

mod ids;
mod instance;
mod link;
mod listing;
mod ovs;
mod path;
mod port;
mod printable;
mod source;
mod topology;

pub use ids::{IfIndex, MacAddr, ParseMacError};
pub use instance::{Instance, InstanceId, InstanceInterface, InstanceState};
pub use link::{BridgePortState, Link, LinkKind, VethPeer};
pub use listing::ListRow;
pub use ovs::{NeutronKeys, NeutronNetwork, OvsBridge, OvsInterface, OvsPort};
pub use path::{
    BridgeKind, Hop, InterfaceState, Node, OtherPort, Path, PathKind, PathSummary, Problem, Role,
    Traceability,
};
pub use port::VmPort;
pub use printable::Printable;
pub use source::{SourceName, SourceStatus};
pub use topology::{OvsPlace, Topology};
