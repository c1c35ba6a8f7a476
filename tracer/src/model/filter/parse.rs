//! From words to conditions joined with `and`, and to a filter.

use std::{fmt, iter::Copied, net::IpAddr, slice};

use super::{FilterError, FilterProtocol, MAX_ENDS, PacketFilter};
use crate::model::Printable;

/// Words of tcpdump that are no mistake, and what there is instead.
const NOT_YET: [(&[&str], &str); 5] = [
    (&["or", "||", "not", "!", "(", ")"], "conditions can only be joined with `and`"),
    (&["src", "dst"], "`host ADDR` and `port N` match either end"),
    (&["net", "mask", "gateway"], "name single addresses with `host ADDR`"),
    (&["portrange"], "name single ports with `port N`"),
    (
        &[
            "ip",
            "ip6",
            "ether",
            "vlan",
            "mpls",
            "protochain",
            "less",
            "greater",
            "len",
            "broadcast",
            "multicast",
            "inbound",
            "outbound",
        ],
        "there are icmp, icmp6, tcp, udp, sctp, igmp, vrrp, arp, rarp, `proto N`, `host ADDR` and `port N`",
    ),
];

/// The words behind the one that is read.
pub(super) type Words<'a> = Copied<slice::Iter<'a, &'a str>>;

/// One condition of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Protocol(FilterProtocol),
    Host(IpAddr),
    Port(u16),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(protocol) => protocol.fmt(f),
            Self::Host(address) => write!(f, "host {address}"),
            Self::Port(port) => write!(f, "port {port}"),
        }
    }
}

/// Reads the words of a whole filter; none are the filter that lets everything through.
pub(super) fn parse(words: &[&str]) -> Result<PacketFilter, FilterError> {
    let conditions = joined(words, condition, is_short_form)?;
    conditions.into_iter().try_fold(PacketFilter::default(), PacketFilter::with)
}

/// Conditions that are joined with `and`. `read` reads one, given its first word; `is_short_form` says whether `and` may be missing between a
/// condition and a word.
pub(super) fn joined<'a, C: Copy + fmt::Display>(
    words: &'a [&'a str],
    read: impl Fn(&'a str, &mut Words<'a>) -> Result<C, FilterError>,
    is_short_form: impl Fn(C, &str) -> bool,
) -> Result<Vec<C>, FilterError> {
    let mut conditions: Vec<C> = Vec::new();
    let mut words: Words<'a> = words.iter().copied();
    let mut next = words.next();
    while let Some(word) = next {
        if word == "and" {
            return Err(FilterError::LonelyAnd(if conditions.is_empty() { "before" } else { "behind" }));
        }
        let condition = read(word, &mut words)?;
        conditions.push(condition);
        next = match words.next() {
            None => None,
            Some("and") => Some(words.next().ok_or(FilterError::LonelyAnd("behind"))?),
            Some(word) if is_short_form(condition, word) => Some(word),
            Some(word) => {
                let behind = read(word, &mut words)?;
                let (before, behind) = (condition.to_string(), behind.to_string());
                return Err(FilterError::MissingAnd { before, behind });
            }
        };
    }
    Ok(conditions)
}

/// One condition, given its first word.
pub(super) fn condition(word: &str, words: &mut Words<'_>) -> Result<Condition, FilterError> {
    match word {
        "host" => {
            let missing =
                FilterError::MissingValue { word: "host", what: "an address", example: "host 10.0.0.1" };
            host(words.next().filter(|word| *word != "and").ok_or(missing)?).map(Condition::Host)
        }
        "port" => {
            let missing = FilterError::MissingValue { word: "port", what: "a number", example: "port 53" };
            port(words.next().filter(|word| *word != "and").ok_or(missing)?).map(Condition::Port)
        }
        "proto" => {
            let missing = FilterError::MissingValue {
                word: "proto",
                what: "a number or a name",
                example: "proto 47, proto gre",
            };
            let word = words.next().filter(|word| *word != "and").ok_or(missing)?;
            // tcpdump wants a backslash before names that are words of its language, too.
            let protocol = FilterProtocol::from_number_or_name(word.trim_start_matches('\\'));
            protocol.map(Condition::Protocol).ok_or_else(|| FilterError::Protocol(shown(word)))
        }
        _ => FilterProtocol::from_word(word).map(Condition::Protocol).ok_or_else(|| misread(word)),
    }
}

fn host(word: &str) -> Result<IpAddr, FilterError> {
    if let Some((address, _)) = word.split_once('/')
        && address.parse::<IpAddr>().is_ok()
    {
        return Err(FilterError::NotYet {
            word: shown(word),
            instead: "name single addresses with `host ADDR`",
        });
    }
    word.parse().map_err(|_| FilterError::Address(shown(word)))
}

fn port(word: &str) -> Result<u16, FilterError> {
    // Rust's numbers may begin with a plus sign.
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| digits).ok_or_else(|| FilterError::Port(shown(word)))
}

/// The error for a word that begins no condition.
fn misread(word: &str) -> FilterError {
    if let Some(error) = not_yet(word) {
        return error;
    }
    let lower = word.to_ascii_lowercase();
    let right = if word == "&&" || lower == "and" {
        "and".to_owned()
    } else if word.parse::<IpAddr>().is_ok() {
        format!("host {word}")
    } else if port(word).is_ok() {
        format!("port {word}")
    } else if matches!(lower.as_str(), "host" | "port" | "proto")
        || FilterProtocol::from_word(&lower).is_some()
    {
        lower
    } else {
        return FilterError::Unknown(shown(word));
    };
    FilterError::Write { word: shown(word), right }
}

/// `tcp port 80` and the like: what tcpdump lets stand without `and`.
pub(super) fn is_short_form(before: Condition, word: &str) -> bool {
    match before {
        Condition::Protocol(protocol) if protocol.has_ports() => word == "port",
        Condition::Protocol(FilterProtocol::Arp) => word == "host",
        _ => false,
    }
}

fn not_yet(word: &str) -> Option<FilterError> {
    // tcpdump takes parentheses and `!` without a blank behind them.
    let bare = word.trim_matches(['(', ')', '!']);
    let (_, instead) = NOT_YET.iter().find(|(words, _)| words.contains(&word)).or_else(|| {
        (bare.len() < word.len()).then(|| NOT_YET.iter().find(|(words, _)| words.contains(&"("))).flatten()
    })?;
    Some(FilterError::NotYet { word: shown(word), instead })
}

/// Whether a condition begins with the word.
pub(super) fn begins(word: &str) -> bool {
    matches!(word, "host" | "port" | "proto") || FilterProtocol::from_word(word).is_some()
}

/// Whether tcpdump knows the word.
pub(super) fn is_word(word: &str) -> bool {
    let is_known = NOT_YET.iter().any(|(words, _)| words.contains(&word));
    begins(word) || matches!(word, "and" | "&&") || word.starts_with(['(', '!']) || is_known
}

pub(super) fn shown(word: &str) -> String {
    Printable(word).to_string()
}

impl PacketFilter {
    /// The filter with one more condition; one it has already changes nothing.
    pub(super) fn with(mut self, condition: Condition) -> Result<Self, FilterError> {
        if let Some((other, why)) =
            self.conditions().find_map(|other| Some((other, clash(other, condition)?)))
        {
            return Err(FilterError::Contradiction {
                one: other.to_string(),
                other: condition.to_string(),
                why,
            });
        }
        match condition {
            Condition::Protocol(protocol) => self.protocol = Some(protocol),
            Condition::Host(address) => add_end(&mut self.hosts, address, condition)?,
            Condition::Port(port) => add_end(&mut self.ports, port, condition)?,
        }
        Ok(self)
    }

    fn conditions(&self) -> impl Iterator<Item = Condition> {
        let hosts = self.hosts.iter().copied().map(Condition::Host);
        let ports = self.ports.iter().copied().map(Condition::Port);
        self.protocol.into_iter().map(Condition::Protocol).chain(hosts).chain(ports)
    }
}

fn add_end<T: PartialEq>(ends: &mut Vec<T>, end: T, condition: Condition) -> Result<(), FilterError> {
    if ends.contains(&end) {
        return Ok(());
    }
    if ends.len() >= MAX_ENDS {
        return Err(FilterError::TooMany(condition.to_string()));
    }
    ends.push(end);
    Ok(())
}

/// Why no packet can meet both conditions, if so.
fn clash(one: Condition, other: Condition) -> Option<&'static str> {
    use Condition::{Host, Port, Protocol};
    match (one, other) {
        (Protocol(one), Protocol(other)) if one != other => Some("a packet has one protocol"),
        (Protocol(FilterProtocol::Igmp | FilterProtocol::Vrrp | FilterProtocol::Ip(_)), Port(_))
        | (Port(_), Protocol(FilterProtocol::Igmp | FilterProtocol::Vrrp | FilterProtocol::Ip(_))) => {
            Some("it has no ports")
        }
        (Protocol(FilterProtocol::Rarp), Port(_) | Host(_))
        | (Port(_) | Host(_), Protocol(FilterProtocol::Rarp)) => {
            Some("RARP has no ports, and no addresses of IP yet")
        }
        (Protocol(FilterProtocol::Igmp), Host(IpAddr::V6(_)))
        | (Host(IpAddr::V6(_)), Protocol(FilterProtocol::Igmp)) => {
            Some("IGMP is of IPv4; IPv6 has groups by ICMP")
        }
        (Protocol(FilterProtocol::Icmp | FilterProtocol::Icmp6), Port(_))
        | (Port(_), Protocol(FilterProtocol::Icmp | FilterProtocol::Icmp6)) => Some("ICMP has no ports"),
        (Protocol(FilterProtocol::Icmp), Host(IpAddr::V6(_)))
        | (Host(IpAddr::V6(_)), Protocol(FilterProtocol::Icmp)) => {
            Some("`icmp` is of IPv4; that of IPv6 is `icmp6`")
        }
        (Protocol(FilterProtocol::Icmp6), Host(IpAddr::V4(_)))
        | (Host(IpAddr::V4(_)), Protocol(FilterProtocol::Icmp6)) => {
            Some("`icmp6` is of IPv6; that of IPv4 is `icmp`")
        }
        (Protocol(FilterProtocol::Arp), Port(_)) | (Port(_), Protocol(FilterProtocol::Arp)) => {
            Some("ARP has no ports")
        }
        (Protocol(FilterProtocol::Arp), Host(IpAddr::V6(_)))
        | (Host(IpAddr::V6(_)), Protocol(FilterProtocol::Arp)) => {
            Some("ARP is of IPv4; IPv6 finds its neighbours with ICMP")
        }
        (Protocol(protocol), Host(IpAddr::V6(_))) | (Host(IpAddr::V6(_)), Protocol(protocol))
            if protocol.is_header_of_v6() =>
        {
            Some("in IPv6 it is a header before the protocol")
        }
        (Host(one), Host(other)) if one.is_ipv4() != other.is_ipv4() => {
            Some("both ends of a packet have the same IP version")
        }
        _ => None,
    }
}
