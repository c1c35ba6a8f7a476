//! What one tracer puts on interfaces, and how it is removed: by the tracer itself, by its guardian, or by the hoptrace that finds it
//! later.

use std::{collections::BTreeMap, fmt, io, str::FromStr};

use super::{Filter, OwnerId, Qdisc, Tag, TrafficControl};
use crate::{attach::side::TcSide, model::IfIndex};

/// Where a tracer has filters, or is about to put them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::attach) struct Footprint {
    owner: OwnerId,
    /// Whether the `clsact` there is a hoptrace's.
    interfaces: BTreeMap<IfIndex, bool>,
}

/// One fact about a footprint; a line of text on its way to the guardian. A later one about the same interface counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::attach) struct Step {
    pub(in crate::attach) interface: IfIndex,
    pub(in crate::attach) made_clsact: bool,
}

impl Footprint {
    pub(in crate::attach) const fn new(owner: OwnerId) -> Self {
        Self { owner, interfaces: BTreeMap::new() }
    }

    pub(in crate::attach) fn add(&mut self, step: Step) {
        self.interfaces.insert(step.interface, step.made_clsact);
    }

    /// Removes all of it, and only that. Goes on after an error, and gives the first.
    pub(in crate::attach) fn remove(&self) -> io::Result<()> {
        let control = TrafficControl::open()?;
        let mut outcome = Ok(());
        for (interface, made_clsact) in &self.interfaces {
            let is_ours = |filter: &Filter| tag_of(filter).is_some_and(|tag| tag.owner == self.owner);
            outcome = outcome.and(remove_filters(&control, *interface, *made_clsact, is_ours));
        }
        outcome
    }
}

/// What a filter of a hoptrace says of itself; `None` for any other.
pub(in crate::attach) fn tag_of(filter: &Filter) -> Option<Tag> {
    Tag::of(filter.handle, filter.name.as_deref()?)
}

/// Removes the filters that `is_ours`, and then the `clsact` if it is a hoptrace's and there is no other filter.
pub(in crate::attach) fn remove_filters(
    control: &TrafficControl,
    interface: IfIndex,
    made_clsact: bool,
    is_ours: impl Fn(&Filter) -> bool,
) -> io::Result<()> {
    for side in TcSide::ALL {
        for filter in control.filters(interface, side)?.iter().filter(|filter| is_ours(filter)) {
            control.remove_filter(filter)?;
        }
    }
    if made_clsact && control.qdisc(interface)? == Some(Qdisc::Clsact) && is_unused(control, interface)? {
        control.remove_clsact(interface)?;
    }
    Ok(())
}

fn is_unused(control: &TrafficControl, interface: IfIndex) -> io::Result<bool> {
    for side in TcSide::ALL {
        if !control.filters(interface, side)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

impl fmt::Display for Footprint {
    /// The owner's number; the interfaces follow as [`Step`]s.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "owner {}", self.owner.number())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.made_clsact { "made" } else { "found" };
        writeln!(f, "{word} {}", self.interface)
    }
}

impl FromStr for Footprint {
    type Err = ();

    /// A last line without an end is not read: its writer died.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let owner = lines.next().and_then(|line| line.strip_prefix("owner ")?.parse().ok()).ok_or(())?;
        let mut footprint = Self::new(OwnerId::new(owner));
        for line in lines {
            footprint.add(line.parse()?);
        }
        Ok(footprint)
    }
}

impl FromStr for Step {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (word, number) = line.split_once(' ').ok_or(())?;
        let made_clsact = match word {
            "made" => true,
            "found" => false,
            _ => return Err(()),
        };
        Ok(Self { interface: IfIndex(number.parse().map_err(drop)?), made_clsact })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guardian_reads_what_the_tracer_writes() {
        let mut written = Footprint::new(OwnerId::new(77));
        let mut text = written.to_string();
        let step = |interface, made_clsact| Step { interface: IfIndex(interface), made_clsact };
        for step in [step(4, true), step(5, false), step(4, false)] {
            written.add(step);
            text += &step.to_string();
        }
        assert_eq!(text.parse(), Ok(written.clone()));
        // Killed in the middle of a line.
        assert_eq!((text + "made 1").parse(), Ok(written));
        for bad in ["", "owner x\n", "owner 1\nkept 4\n", "owner 1\nmade x\n", "made 4\n"] {
            assert_eq!(bad.parse::<Footprint>(), Err(()), "{bad:?}");
        }
    }
}
