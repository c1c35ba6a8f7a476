//! The simple packet filter: a protocol (`icmp`, `tcp`, `proto 47`, …), `host ADDR` and `port N`, joined with `and`; and in the same words one packet
//! (`words`). Pure.

mod error;
mod parse;
mod protocol;
#[cfg(test)]
mod tests;
mod words;

use std::{fmt, net::IpAddr, str::FromStr};

use hoptrace_common::{
    filter::{Filter, Host, MAX_ENDS},
    packet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6},
};

pub use error::FilterError;
pub use protocol::FilterProtocol;
pub use words::{Ends, PacketWords};

/// Which packets are traced. Its text is the normalised filter: protocol, hosts, ports; empty when every packet is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PacketFilter {
    protocol: Option<FilterProtocol>,
    /// [`MAX_ENDS`] at most, all different and of one family.
    hosts: Vec<IpAddr>,
    /// [`MAX_ENDS`] at most, all different.
    ports: Vec<u16>,
}

impl PacketFilter {
    /// From the words of a command line: one by one, or several in one quoted argument.
    ///
    /// # Errors
    /// When the words are no filter, or no packet could match it.
    pub fn from_words(words: &[impl AsRef<str>]) -> Result<Self, FilterError> {
        let words: Vec<&str> = words.iter().flat_map(|word| word.as_ref().split_whitespace()).collect();
        parse::parse(&words)
    }

    /// Whether a filter can begin with this word, or with the first of a quoted text: `tcp`, `host`.
    #[must_use]
    pub fn can_begin_with(text: &str) -> bool {
        text.split_whitespace().next().is_some_and(parse::begins)
    }

    /// Whether it belongs to tcpdump's language, be it understood here or not: `not`.
    #[must_use]
    pub fn has_word(text: &str) -> bool {
        text.split_whitespace().next().is_some_and(parse::is_word)
    }

    /// What the programs in the kernel compare packets with.
    #[must_use]
    pub fn to_kernel(&self) -> Filter {
        let mut filter = Filter {
            protocol: self.protocol.map_or(Filter::PROTOCOL_ANY, FilterProtocol::number),
            ..Filter::default()
        };
        for (place, address) in filter.hosts.iter_mut().zip(&self.hosts) {
            *place = host(*address);
            filter.host_count += 1;
        }
        for (place, port) in filter.ports.iter_mut().zip(&self.ports) {
            *place = *port;
            filter.port_count += 1;
        }
        filter
    }
}

/// The programs read an address from the packet as it stands there, as little-endian numbers.
fn host(address: IpAddr) -> Host {
    let (address, ether_type) = match address {
        IpAddr::V4(address) => ([u64::from(u32::from_le_bytes(address.octets())), 0], ETHERTYPE_IPV4),
        IpAddr::V6(address) => {
            let whole = u128::from_le_bytes(address.octets());
            #[allow(clippy::cast_possible_truncation, reason = "the lower half, then the upper")]
            let halves = [whole as u64, (whole >> 64) as u64];
            (halves, ETHERTYPE_IPV6)
        }
    };
    Host { address, ether_type, ..Host::default() }
}

impl FromStr for PacketFilter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::from_words(&[text])
    }
}

impl fmt::Display for PacketFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol.iter().map(ToString::to_string);
        let hosts = self.hosts.iter().map(|address| format!("host {address}"));
        let ports = self.ports.iter().map(|port| format!("port {port}"));
        f.write_str(&protocol.chain(hosts).chain(ports).collect::<Vec<_>>().join(" and "))
    }
}
