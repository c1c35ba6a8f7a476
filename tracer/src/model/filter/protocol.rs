//! Protocols in the words of a filter.

use std::fmt;

use hoptrace_common::{
    filter::Filter,
    packet::{
        PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_IGMP, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP,
        PROTOCOL_VRRP,
    },
};

/// Names behind `proto` beside the words of filters: as Linux hosts have them, and as reports say them.
const NAMES: [(&[&str], u8); 9] = [
    (&["ipip", "ipencap", "ip-in-ip"], 4),
    (&["ipv6", "ipv6-in-ip"], 41),
    (&["gre"], 47),
    (&["esp"], 50),
    (&["ah"], 51),
    (&["ospf"], 89),
    (&["pim"], 103),
    (&["l2tp"], 115),
    (&["ipv6-icmp", "icmpv6"], 58),
];

/// A protocol a filter can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterProtocol {
    /// ICMP, which is of IPv4.
    Icmp,
    /// ICMP over IPv6, neighbour discovery included.
    Icmp6,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// IGMP, which is of IPv4.
    Igmp,
    /// VRRP.
    Vrrp,
    /// ARP.
    Arp,
    /// RARP: what a hypervisor says for a VM that has been migrated.
    Rarp,
    /// Any other of IP, by its number.
    Ip(u8),
}

impl FilterProtocol {
    /// All that have a word of their own.
    pub const ALL: [Self; 9] = [
        Self::Icmp,
        Self::Icmp6,
        Self::Tcp,
        Self::Udp,
        Self::Sctp,
        Self::Igmp,
        Self::Vrrp,
        Self::Arp,
        Self::Rarp,
    ];

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.word() == word)
    }

    /// What `proto` is followed by: a number, or one of the names known here.
    pub(super) fn from_number_or_name(word: &str) -> Option<Self> {
        let word = &*word.to_ascii_lowercase();
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { word.parse().ok() } else { None };
        let named = NAMES.iter().find(|(names, _)| names.contains(&word)).map(|(_, number)| *number);
        number.or(named).map(Self::of_number).or_else(|| Self::from_word(word).filter(|it| it.is_ip()))
    }

    const fn of_number(number: u8) -> Self {
        match number {
            PROTOCOL_ICMP => Self::Icmp,
            PROTOCOL_IGMP => Self::Igmp,
            PROTOCOL_TCP => Self::Tcp,
            PROTOCOL_UDP => Self::Udp,
            PROTOCOL_ICMPV6 => Self::Icmp6,
            PROTOCOL_VRRP => Self::Vrrp,
            PROTOCOL_SCTP => Self::Sctp,
            other => Self::Ip(other),
        }
    }

    /// Whether IPv6 has it as a header before the protocol.
    pub(super) const fn is_header_of_v6(self) -> bool {
        matches!(self, Self::Ip(0 | 43 | 44 | 51 | 60 | 135))
    }

    const fn is_ip(self) -> bool {
        !matches!(self, Self::Arp | Self::Rarp)
    }

    /// The word that names it, or that its number stands behind.
    const fn word(self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Icmp6 => "icmp6",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Igmp => "igmp",
            Self::Vrrp => "vrrp",
            Self::Arp => "arp",
            Self::Rarp => "rarp",
            Self::Ip(_) => "proto",
        }
    }

    /// Whether its packets have ports.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Sctp)
    }

    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Icmp => Filter::PROTOCOL_ICMP,
            Self::Icmp6 => Filter::PROTOCOL_ICMP6,
            Self::Tcp => Filter::PROTOCOL_TCP,
            Self::Udp => Filter::PROTOCOL_UDP,
            Self::Sctp => Filter::PROTOCOL_SCTP,
            Self::Igmp => Filter::PROTOCOL_IGMP,
            Self::Vrrp => Filter::PROTOCOL_VRRP,
            Self::Arp => Filter::PROTOCOL_ARP,
            Self::Rarp => Filter::PROTOCOL_RARP,
            Self::Ip(number) => Filter::protocol_of_ip(number),
        }
    }
}

/// As in a filter: `tcp`, `proto 47`.
impl fmt::Display for FilterProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(number) => write!(f, "{} {number}", self.word()),
            named => f.write_str(named.word()),
        }
    }
}
