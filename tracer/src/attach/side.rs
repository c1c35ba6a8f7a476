//! The sides of an interface that TC has.

use aya::programs::TcAttachType;

use crate::model::Side;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TcSide {
    /// Frames the host receives from the interface.
    Ingress,
    /// Frames the host sends to the interface.
    Egress,
}

impl TcSide {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// `None` where it is not TC's.
    pub(super) const fn of(side: Side) -> Option<Self> {
        match side {
            Side::Ingress => Some(Self::Ingress),
            Side::Egress => Some(Self::Egress),
            Side::Xdp(_) | Side::Wire => None,
        }
    }

    /// The same among all sides.
    pub(super) const fn side(self) -> Side {
        match self {
            Self::Ingress => Side::Ingress,
            Self::Egress => Side::Egress,
        }
    }

    pub(super) const fn attach_type(self) -> TcAttachType {
        match self {
            Self::Ingress => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }
}
