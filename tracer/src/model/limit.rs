//! Limits that somebody has set on what passes an interface.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Direction, Printable};

/// What becomes of packets beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Beyond {
    /// They wait in the interface's queueing discipline, and die when that is full.
    Wait,
    /// They are dropped.
    Die,
}

/// Who says that there is a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LimitSource {
    /// Open vSwitch's database: Neutron's bandwidth limits, for one.
    Ovsdb,
    /// The domain's XML: `<bandwidth>`, Nova's quotas.
    Libvirt,
    /// The kernel alone: nobody else knows of it.
    Kernel,
}

/// What an interface lets through of a port's packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// Which packets it is for.
    pub direction: Direction,
    /// What becomes of those beyond it.
    pub beyond: Beyond,
    /// How much passes; `None`: it is not known here.
    pub bits_per_second: Option<u64>,
    /// Whether the kernel holds it; `None`: that is not known.
    pub in_force: Option<bool>,
    /// Whether it is for all that passes, other VMs' packets among it.
    pub shared: bool,
    /// Who says so.
    pub set_by: LimitSource,
    /// What it is called there: a column, a type, an element, a queueing discipline.
    pub name: String,
}

impl Limit {
    /// `lets 1.02 Mbit/s through from the VM (Open vSwitch's ingress_policing_rate)`
    #[must_use]
    pub fn in_words(&self) -> String {
        let lets = if self.in_force == Some(false) { "is to let" } else { "lets" };
        let rate = self
            .rate()
            .map_or_else(|| "limits what passes".to_owned(), |rate| format!("{lets} {rate} through"));
        let course = self.direction.course();
        let all = if self.shared { ", other VMs' packets among it," } else { "" };
        format!("{rate} {course}{all} ({}'s {})", self.owner(), Printable(&self.name))
    }

    /// What has set it, in words.
    #[must_use]
    pub const fn owner(&self) -> &'static str {
        match self.set_by {
            LimitSource::Ovsdb => "Open vSwitch",
            LimitSource::Libvirt => "libvirt",
            LimitSource::Kernel => "tc",
        }
    }

    /// How much passes, in words: `1.02 Mbit/s`.
    #[must_use]
    pub fn rate(&self) -> Option<String> {
        self.bits_per_second.map(bit_rate)
    }
}

/// Bits per second in decimal multiples.
fn bit_rate(bits_per_second: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let bits = bits_per_second as f64;
    let (scale, unit) = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")]
        .into_iter()
        .find(|(scale, _)| bits >= *scale)
        .unwrap_or((1.0, "bit/s"));
    let digits = format!("{:.2}", bits / scale);
    format!("{} {unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_told_with_their_unit() {
        let told = [0, 12_000, 1_024_000, 102_400_000, 1_228_800_000].map(bit_rate);
        assert_eq!(told, ["0 bit/s", "12 kbit/s", "1.02 Mbit/s", "102.4 Mbit/s", "1.23 Gbit/s"]);
    }
}
