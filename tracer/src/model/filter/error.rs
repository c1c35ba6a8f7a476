//! Why words are no filter.

/// Why words are no filter: one line that names the word and what would be right. Words are kept escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No word of the language.
    #[error(
        "filter: `{0}` is not understood; use icmp, icmp6, tcp, udp, sctp, igmp, vrrp, arp, rarp, `proto N`, `host ADDR` or `port N`, joined with `and`"
    )]
    Unknown(String),
    /// A word with a missing partner before it, or in another notation.
    #[error("filter: `{word}`: write `{right}`")]
    Write {
        /// The word.
        word: String,
        /// What would be right.
        right: String,
    },
    /// tcpdump knows it.
    #[error("filter: not supported yet: `{word}`; {instead}")]
    NotYet {
        /// The word.
        word: String,
        /// What there is.
        instead: &'static str,
    },
    /// Two conditions without `and` between them.
    #[error("filter: `and` is missing between `{before}` and `{behind}`: write `{before} and {behind}`")]
    MissingAnd {
        /// The condition before.
        before: String,
        /// The condition behind.
        behind: String,
    },
    /// `and` without a condition on one of its sides.
    #[error(
        "filter: `and` has nothing {0} it; write a condition on both sides, as in `icmp and host 10.0.0.1`"
    )]
    LonelyAnd(&'static str),
    /// Behind `proto` there is nothing that is known as a protocol of IP.
    #[error(
        "filter: `{0}` is not known here as a protocol of IP; write its number, as in `proto 47`, or a name, as in `proto gre`"
    )]
    Protocol(String),
    /// `host` or `port` with nothing behind it.
    #[error("filter: `{word}` needs {what} behind it, as in `{example}`")]
    MissingValue {
        /// The word.
        word: &'static str,
        /// What is missing.
        what: &'static str,
        /// How it looks.
        example: &'static str,
    },
    /// Not an address.
    #[error("filter: `{0}` is not an IPv4 or IPv6 address; names are not looked up")]
    Address(String),
    /// Not a port.
    #[error("filter: `{0}` is not a port number; use 0 to 65535")]
    Port(String),
    /// Not a MAC address.
    #[error("filter: `{0}` is not a MAC address: six bytes in hexadecimal, as in 52:54:00:12:34:56")]
    Mac(String),
    /// No packet could match.
    #[error("filter: no packet could match `{one} and {other}`: {why}")]
    Contradiction {
        /// A condition.
        one: String,
        /// One that excludes it.
        other: String,
        /// Why it does.
        why: &'static str,
    },
    /// More hosts or ports than a packet has.
    #[error("filter: `{0}` is one too many: a packet has two ends, so name two hosts and two ports at most")]
    TooMany(String),
}
