//! One packet in the words of a filter, with tcpdump's `src`, `dst` and `ether` besides: a filter matches either end, of a packet it is to be
//! known which end is which. Pure.

use std::{fmt, net::IpAddr};

use super::{
    FilterError, FilterProtocol, MAX_ENDS, PacketFilter,
    parse::{self, Condition, Words},
};
use crate::model::MacAddr;

/// What is said of a packet's two ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends<T> {
    /// Of its source.
    pub source: Option<T>,
    /// Of its destination.
    pub destination: Option<T>,
    /// Of either end, in the order in which it was said.
    pub either: Vec<T>,
}

impl<T> Default for Ends<T> {
    fn default() -> Self {
        Self { source: None, destination: None, either: Vec::new() }
    }
}

impl<T: Copy + PartialEq> Ends<T> {
    /// Source and destination. What was said of either end is the destination's first, unless it `is_source`.
    #[must_use]
    pub fn both(&self, is_source: impl Fn(T) -> bool) -> (Option<T>, Option<T>) {
        let (mut source, mut destination) = (self.source, self.destination);
        let named = [self.source, self.destination];
        for it in self.either.iter().copied().filter(|it| !named.contains(&Some(*it))) {
            if destination.is_none() && (source.is_some() || !is_source(it)) {
                destination = Some(it);
            } else {
                source.get_or_insert(it);
            }
        }
        (source, destination)
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.source.is_none() && self.destination.is_none() && self.either.is_empty()
    }

    fn add(&mut self, end: Option<End>, it: T) {
        match end {
            Some(End::Source) => self.source = Some(it),
            Some(End::Destination) => self.destination = Some(it),
            None if self.either.contains(&it) => {}
            None => self.either.push(it),
        }
    }

    /// How many different ones are named.
    fn count(&self) -> usize {
        let all = self.source.into_iter().chain(self.destination).chain(self.either.iter().copied());
        let mut named: Vec<T> = Vec::new();
        for it in all {
            if !named.contains(&it) {
                named.push(it);
            }
        }
        named.len()
    }
}

/// What words say of one packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PacketWords {
    /// Its protocol.
    pub protocol: Option<FilterProtocol>,
    /// Its addresses, all of one family.
    pub addresses: Ends<IpAddr>,
    /// Its ports.
    pub ports: Ends<u16>,
    /// The addresses in its Ethernet header.
    pub macs: Ends<MacAddr>,
}

impl PacketWords {
    /// From the words of a command line: one by one, or several in one quoted argument.
    ///
    /// # Errors
    /// When the words are none of the language, or no packet could be so.
    pub fn from_words(words: &[impl AsRef<str>]) -> Result<Self, FilterError> {
        let words: Vec<&str> = words.iter().flat_map(|word| word.as_ref().split_whitespace()).collect();
        let mut said = Self::default();
        // What no packet could match as a filter is no packet either.
        let mut filter = PacketFilter::default();
        let mut before: Vec<Told> = Vec::new();
        for told in parse::joined(&words, read, is_short_form)? {
            if let Some((other, why)) = before.iter().find_map(|other| Some((other, clash(*other, told)?))) {
                let (one, other) = (other.to_string(), told.to_string());
                return Err(FilterError::Contradiction { one, other, why });
            }
            if let Told::Of(_, Condition::Protocol(FilterProtocol::Rarp)) = told {
                return Err(FilterError::NotYet {
                    word: told.to_string(),
                    instead: "one packet is made of the other protocols",
                });
            }
            if let Told::Of(_, condition) = told {
                filter = filter.with(condition)?;
            }
            said.add(told);
            if said.macs.count() > MAX_ENDS {
                return Err(FilterError::TooMany(told.to_string()));
            }
            before.push(told);
        }
        Ok(said)
    }

    fn add(&mut self, told: Told) {
        match told {
            Told::Of(_, Condition::Protocol(protocol)) => self.protocol = Some(protocol),
            Told::Of(end, Condition::Host(address)) => self.addresses.add(end, address),
            Told::Of(end, Condition::Port(port)) => self.ports.add(end, port),
            Told::Ether(end, mac) => self.macs.add(end, mac),
        }
    }
}

/// An end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

impl End {
    fn from_word(word: &str) -> Option<Self> {
        [Self::Source, Self::Destination].into_iter().find(|end| end.word() == word)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Source => "src",
            Self::Destination => "dst",
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Source => "src host 10.0.0.1",
            Self::Destination => "dst host 10.0.0.1",
        }
    }

    const fn is_one(self) -> &'static str {
        match self {
            Self::Source => "a packet has one source",
            Self::Destination => "a packet has one destination",
        }
    }
}

/// A condition, and which end it is about, if it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Of(Option<End>, Condition),
    Ether(Option<End>, MacAddr),
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(None, condition) => condition.fmt(f),
            Self::Of(Some(end), condition) => write!(f, "{} {condition}", end.word()),
            Self::Ether(end, mac) => write!(f, "ether {} {mac}", end.map_or("host", End::word)),
        }
    }
}

fn read(word: &str, words: &mut Words<'_>) -> Result<Told, FilterError> {
    match End::from_word(word) {
        Some(end) => of_end(end, words),
        None if word == "ether" => ether(words),
        None => parse::condition(word, words).map(|condition| Told::Of(None, condition)),
    }
}

/// Behind `src` or `dst`.
fn of_end(end: End, words: &mut Words<'_>) -> Result<Told, FilterError> {
    match words.next() {
        Some(word @ ("host" | "port")) => {
            parse::condition(word, words).map(|condition| Told::Of(Some(end), condition))
        }
        Some(word) if word.parse::<IpAddr>().is_ok() => {
            let (word, right) = (format!("{} {word}", end.word()), format!("{} host {word}", end.word()));
            Err(FilterError::Write { word, right })
        }
        _ => Err(FilterError::MissingValue {
            word: end.word(),
            what: "`host ADDR` or `port N`",
            example: end.example(),
        }),
    }
}

/// Behind `ether`.
fn ether(words: &mut Words<'_>) -> Result<Told, FilterError> {
    let missing = || FilterError::MissingValue {
        word: "ether",
        what: "`src`, `dst` or `host` and a MAC address",
        example: "ether dst 52:54:00:12:34:56",
    };
    let end = match words.next() {
        Some("host") => None,
        Some(word) => Some(End::from_word(word).ok_or_else(missing)?),
        None => return Err(missing()),
    };
    let word = words.next().filter(|word| *word != "and").ok_or_else(missing)?;
    let mac = word.parse().map_err(|_| FilterError::Mac(parse::shown(word)))?;
    Ok(Told::Ether(end, mac))
}

/// A filter's short forms, and `tcp dst port 80`.
fn is_short_form(before: Told, word: &str) -> bool {
    match before {
        Told::Of(None, condition @ Condition::Protocol(_)) => {
            End::from_word(word).is_some() || parse::is_short_form(condition, word)
        }
        _ => false,
    }
}

/// Why no packet has both, if so: the same end twice.
fn clash(one: Told, other: Told) -> Option<&'static str> {
    use Condition::{Host, Port};
    let (end, differ) = match (one, other) {
        (Told::Of(Some(one_end), Host(one)), Told::Of(Some(end), Host(other))) if one_end == end => {
            (end, one != other)
        }
        (Told::Of(Some(one_end), Port(one)), Told::Of(Some(end), Port(other))) if one_end == end => {
            (end, one != other)
        }
        (Told::Ether(Some(one_end), one), Told::Ether(Some(end), other)) if one_end == end => {
            (end, one != other)
        }
        _ => return None,
    };
    differ.then_some(end.is_one())
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
