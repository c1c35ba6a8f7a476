//! What the caller should know, besides the report.

use std::fmt;

use crate::model::{MacAddr, Printable, SourceName};

/// Whom notes are told.
pub type NoteTo = fn(&Note);

/// One thing. Its text is a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Something odd in a source's answer, which was used all the same.
    Odd(SourceName, String),
    /// A source did not answer, and what follows from that.
    Missing(String, &'static str),
    /// The path can be hooked in part only.
    Part(String),
    /// A port that was not named is left out.
    Skipped {
        /// Which.
        port: String,
        /// Why.
        why: String,
    },
    /// A port is no longer traced, because an interface of its path is gone.
    Gone {
        /// Which.
        port: String,
        /// The interface.
        ifname: String,
    },
    /// The kernel does not describe its structures.
    Undescribed(String),
    /// A probe is not available: why, and what that means.
    Without(String),
    /// Another hoptrace traces the same interfaces, or the host.
    OtherTracer {
        /// Whether it is the whole host.
        host: bool,
    },
    /// A further address is another port's.
    AnothersAddress(MacAddr, String),
    /// A killed hoptrace had left filters, so many, at these interfaces.
    Removed(usize, Vec<String>),
    /// An interface merges datagrams by a feature; hooks at tracepoints can not take them apart. `wanted`: that is where they are to be.
    Merges {
        /// The interface.
        ifname: String,
        /// The feature, as ethtool names it.
        feature: &'static str,
        /// Whether they were asked for all the same.
        wanted: bool,
    },
    /// There are too many hooks to be attached one by one.
    ManyHooks {
        /// At so many sides of interfaces.
        hooks: usize,
    },
    /// Hooks are filters at clsact, on a kernel where that costs.
    Clsact,
    /// Interfaces that go down go unnoticed.
    LinksUnwatched(String),
    /// An interface that vanishes goes unnoticed.
    InterfacesUnwatched(String),
    /// A filter that is taken away goes unnoticed.
    FiltersUnwatched(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Odd(name, what) => write!(f, "{}: {what}", name.as_str()),
            Self::Missing(what, consequence) => write!(f, "{what}; {consequence}"),
            Self::Part(why) => write!(f, "tracing a part of the path only: {why}"),
            Self::Skipped { port, why } => write!(f, "{} is not traced: {why}", Printable(port)),
            Self::Gone { port, ifname } => write!(
                f,
                "{} is not traced any more: its interface {} is gone",
                Printable(port),
                Printable(ifname)
            ),
            Self::Undescribed(error) => {
                write!(f, "no kernel BTF, so no wire hook, and losses will have no reason: {error}")
            }
            Self::Without(why) => f.write_str(why),
            Self::OtherTracer { host } => {
                let here = if *host { "this host" } else { "these interfaces" };
                write!(
                    f,
                    "another hoptrace traces {here}: both go on, and each one's figures contain the other's cost"
                )
            }
            Self::AnothersAddress(mac, place) => write!(
                f,
                "--mac {mac} is the address of who is at {}: what goes there is followed as this port's, and looks lost",
                Printable(place)
            ),
            Self::Removed(count, places) => {
                let places: Vec<_> = places.iter().map(|place| Printable(place).to_string()).collect();
                write!(f, "removed {count} filters that a killed hoptrace had left at {}", places.join(", "))
            }
            Self::Merges { ifname, feature, wanted: true } => write!(
                f,
                "{} merges datagrams ({feature}), which hooks at tracepoints can not take apart: they look lost; \
                 --attach clsact follows them",
                Printable(ifname)
            ),
            Self::Merges { ifname, feature, wanted: false } => write!(
                f,
                "{} merges datagrams ({feature}), which hooks at tracepoints could not take apart",
                Printable(ifname)
            ),
            Self::ManyHooks { hooks } => write!(
                f,
                "{hooks} hooks are more than can be attached in a moment: they are at the kernel's tracepoints instead (--attach tcx \
                 puts them at the interfaces)"
            ),
            Self::Clsact => f.write_str(
                "so the hooks are filters at clsact: on this kernel attaching and removing them costs packets, and others can \
                 not limit bandwidth meanwhile",
            ),
            Self::LinksUnwatched(error) => {
                write!(f, "interfaces that go down meanwhile go unnoticed: {error}")
            }
            Self::InterfacesUnwatched(error) => {
                write!(f, "cannot watch the interfaces, one that vanishes goes unnoticed: {error}")
            }
            Self::FiltersUnwatched(error) => {
                write!(f, "cannot watch the filters, one that is taken away goes unnoticed: {error}")
            }
        }
    }
}
