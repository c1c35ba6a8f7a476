//! The kernel's reasons for drops: numbers to names.

use std::{collections::HashMap, fs};

use btf_rs::{Btf, BtfType, Type};
use fallible_iterator::FallibleIterator as _;
use hoptrace_common::drops::{MEANINGS, Meaning};

use super::{
    BtfError, KERNEL_BTF,
    btf::{MODULE_BTF, module_btf},
    kernel_btf,
    meanings::of_reason,
};

const CORE_ENUM: &str = "skb_drop_reason";
const CORE_PREFIX: &str = "SKB_DROP_REASON_";
const SUBSYSTEM_ENUM: &str = "skb_drop_reason_subsys";
const SUBSYSTEM_PREFIX: &str = "SKB_DROP_REASON_SUBSYS_";
/// The upper half of a reason is the subsystem; 0 is the kernel's core.
const SUBSYSTEM_SHIFT: u32 = 16;
/// Every such enumeration is called like this.
const ENUM_SUFFIX: &str = "drop_reason";
/// What the enumerations of subsystems can be called whose name is not theirs.
const OTHER_ENUMS: [&str; 2] = ["ovs_drop_reason", "mac80211_drop_reason"];

/// A reason in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `NETFILTER_DROP`; a number where the kernel does not tell.
    pub name: String,
    /// `openvswitch`; none for the kernel's core.
    pub subsystem: Option<String>,
}

/// The reasons of the running kernel and of its modules. A subsystem's are read when one of them is asked for.
#[derive(Debug, Default)]
pub struct Reasons {
    names: HashMap<u32, String>,
    subsystems: HashMap<u32, String>,
    /// Subsystems that were looked for already.
    read: Vec<u32>,
}

impl Reasons {
    /// Reads those of the kernel's core.
    ///
    /// # Errors
    /// When the kernel does not describe itself.
    pub fn read() -> Result<Self, BtfError> {
        let btf = kernel_btf(KERNEL_BTF)?;
        let mut reasons = Self::default();
        for (name, value) in members(&btf, CORE_ENUM) {
            if let Some(name) = name.strip_prefix(CORE_PREFIX) {
                reasons.names.insert(value, name.to_owned());
            }
        }
        for (name, value) in members(&btf, SUBSYSTEM_ENUM) {
            if let Some(name) = name.strip_prefix(SUBSYSTEM_PREFIX) {
                reasons.subsystems.insert(value, name.to_lowercase());
            }
        }
        reasons.read.push(0);
        Ok(reasons)
    }

    /// A reason in words.
    pub fn of(&mut self, number: u32) -> Reason {
        let subsystem = number >> SUBSYSTEM_SHIFT;
        if !self.read.contains(&subsystem) {
            self.read.push(subsystem);
            self.read_subsystem(subsystem);
        }
        let name = self.names.get(&number).cloned();
        Reason {
            name: name.unwrap_or_else(|| format!("reason {}", number & ((1 << SUBSYSTEM_SHIFT) - 1))),
            subsystem: (subsystem != 0).then(|| {
                self.subsystems.get(&subsystem).cloned().unwrap_or_else(|| format!("subsystem {subsystem}"))
            }),
        }
    }

    /// From the module of the subsystem's name, else from the kernel itself, else from whatever module has them.
    fn read_subsystem(&mut self, subsystem: u32) {
        let Ok(kernel) = kernel_btf(KERNEL_BTF) else { return };
        let name = self.subsystems.get(&subsystem).cloned().unwrap_or_default();
        let own = [format!("{name}_{ENUM_SUFFIX}")];
        let candidates = own.iter().map(String::as_str).chain(OTHER_ENUMS);
        for candidate in candidates {
            if self.add(subsystem, members(&kernel, candidate)) {
                return;
            }
        }
        if self.read_module(subsystem, &kernel, &name) {
            return;
        }
        let modules = fs::read_dir(MODULE_BTF).into_iter().flatten().flatten();
        for module in modules.filter_map(|entry| entry.file_name().into_string().ok()) {
            if module != "vmlinux" && module != name && self.read_module(subsystem, &kernel, &module) {
                return;
            }
        }
    }

    fn read_module(&mut self, subsystem: u32, kernel: &Btf, module: &str) -> bool {
        let Ok(Some(btf)) = module_btf(module, kernel) else { return false };
        // The module's own types alone: it is small.
        let Some(own) = btf.split() else { return false };
        let found = own.type_iter().any(|kind| {
            let Type::Enum(kind) = kind else { return Ok(false) };
            let is_one = btf.resolve_name(&kind).is_ok_and(|name| name.ends_with(ENUM_SUFFIX));
            Ok(is_one && self.add(subsystem, enumerators(&btf, &kind)))
        });
        found.unwrap_or(false)
    }

    /// Takes what belongs to `subsystem`; whether there was any.
    fn add(&mut self, subsystem: u32, found: Vec<(String, u32)>) -> bool {
        let own: Vec<_> =
            found.into_iter().filter(|(_, value)| value >> SUBSYSTEM_SHIFT == subsystem).collect();
        for (name, value) in &own {
            self.names.entry(*value).or_insert_with(|| bare(name).to_owned());
        }
        !own.is_empty()
    }
}

/// `OVS_DROP_LAST_ACTION` without what all of them begin with.
fn bare(name: &str) -> &str {
    name.split_once("_DROP_").map_or(name, |(_, bare)| bare)
}

/// Names and values of the enumeration `name`.
fn members(btf: &Btf, name: &str) -> Vec<(String, u32)> {
    let types = btf.resolve_types_by_name(name).unwrap_or_default();
    let kind = types.into_iter().find_map(|kind| if let Type::Enum(kind) = kind { Some(kind) } else { None });
    kind.map_or_else(Vec::new, |kind| enumerators(btf, &kind))
}

fn enumerators(btf: &Btf, kind: &btf_rs::Enum) -> Vec<(String, u32)> {
    let name = |member: &dyn BtfType| btf.resolve_name(member).ok();
    kind.members.iter().filter_map(|member| Some((name(member)?, member.val()))).collect()
}

/// What the core's reasons can mean, by their numbers. What a kernel without reasons gives, 0, means nothing.
pub(super) fn meanings(btf: &Btf) -> [u8; MEANINGS] {
    let mut meanings = [0; MEANINGS];
    let named = members(btf, CORE_ENUM).into_iter().filter_map(|(name, value)| {
        Some((usize::try_from(value).ok()?, of_reason(name.strip_prefix(CORE_PREFIX)?)))
    });
    for (number, meaning) in [(0, Meaning(Meaning::UNTOLD))].into_iter().chain(named) {
        if let Some(place) = meanings.get_mut(number) {
            *place = meaning.0;
        }
    }
    meanings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of the core's reason `name`.
    fn number(btf: &Btf, name: &str) -> Option<u32> {
        let found = |(full, _): &(String, u32)| full.strip_prefix(CORE_PREFIX) == Some(name);
        members(btf, CORE_ENUM).into_iter().find(found).map(|(_, value)| value)
    }

    #[test]
    fn the_running_kernel_s_reasons_mean_something() {
        let btf = kernel_btf(KERNEL_BTF).expect("this test needs a kernel with BTF");
        let meanings = meanings(&btf);
        let of = |name| meanings[number(&btf, name).unwrap() as usize];
        assert_eq!((meanings[0], of("NOT_SPECIFIED")), (Meaning::UNTOLD, Meaning::UNTOLD));
        assert_eq!((of("NETFILTER_DROP"), of("QDISC_DROP")), (Meaning::FIREWALL, Meaning::SENDING));
        assert_eq!((of("TC_INGRESS"), of("OTHERHOST")), (Meaning::TAPPED, 0));
    }

    #[test]
    fn the_running_kernel_s_reasons_have_names() {
        let btf = kernel_btf(KERNEL_BTF).expect("this test needs a kernel with BTF");
        let netfilter = number(&btf, "NETFILTER_DROP").unwrap();
        let mut reasons = Reasons::read().unwrap();
        let named = |name: &str| Reason { name: name.to_owned(), subsystem: None };
        assert_eq!(reasons.of(netfilter), named("NETFILTER_DROP"));
        assert_eq!(reasons.of(number(&btf, "FULL_RING").unwrap()), named("FULL_RING"));
        assert_eq!(reasons.of(0xfffe), named("reason 65534"), "one that there is not");
    }

    #[test]
    fn subsystems_are_named_and_their_prefixes_go() {
        assert_eq!(bare("OVS_DROP_LAST_ACTION"), "LAST_ACTION");
        assert_eq!(bare("RX_DROP_U_REPLAY"), "U_REPLAY");
        assert_eq!(bare("ODD"), "ODD");
        let mut reasons = Reasons::default();
        reasons.subsystems.insert(3, "openvswitch".to_owned());
        let found = [("__OVS_DROP_REASON", 3 << 16), ("OVS_DROP_LAST_ACTION", 3 << 16 | 1), ("OTHER", 7)];
        assert!(reasons.add(3, found.map(|(name, value)| (name.to_owned(), value)).to_vec()));
        reasons.read.push(3);
        let reason = reasons.of(3 << 16 | 1);
        assert_eq!((reason.name.as_str(), reason.subsystem.as_deref()), ("LAST_ACTION", Some("openvswitch")));
        assert!(!reasons.names.contains_key(&7));
        assert_eq!(reasons.of(9 << 16 | 5).subsystem.as_deref(), Some("subsystem 9"));
    }
}
