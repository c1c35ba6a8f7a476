//! What the loader has told of the hooks.

use hoptrace_common::{
    config::{HookConfig, MAX_HOOKS, PLACES, place_of},
    inflight::Hook,
    ports::{NUMBER_MASK, key_at, port_of},
};

use super::{config, several};

/// Facts about the hooks.
#[unsafe(no_mangle)]
static HOOKS: [HookConfig; MAX_HOOKS] = [HookConfig::NONE; MAX_HOOKS];

/// The hooks of the path's TC programs, spread over places by their interfaces: ingress side, egress side.
#[unsafe(no_mangle)]
static PLACED: [[HookConfig; PLACES]; 2] = [[HookConfig::NONE; PLACES]; 2];

/// What a program knows of that without a question, because it is one for the one case only.
#[derive(Clone, Copy)]
pub(crate) enum Scope {
    One,
    Several,
    /// It is for both.
    Asked,
}

impl Scope {
    /// As [`config::is_of_several`].
    #[inline(always)]
    pub(crate) fn is_of_several(self) -> bool {
        match self {
            Self::One => false,
            Self::Several => true,
            Self::Asked => config::is_of_several(),
        }
    }
}

/// A hook's facts: the first word of them, and where the others are.
#[derive(Clone, Copy)]
pub(crate) struct HookFacts {
    word: u64,
    at: *const HookConfig,
    scope: Scope,
}

/// The facts of hook `number`: constants to the verifier where the number is one.
#[inline(always)]
pub(crate) fn hook(number: u32) -> HookFacts {
    let at = if config::is_of_several() {
        several::hook(number)
    } else {
        let hooks: *const HookConfig = (&raw const HOOKS).cast();
        // SAFETY: there are 16 of them.
        unsafe { hooks.add((number & 0xf) as usize) }
    };
    // SAFETY: in a static, and aligned to eight bytes; volatile because user space writes it.
    HookFacts { word: unsafe { at.cast::<u64>().read_volatile() }, at, scope: Scope::Asked }
}

/// The facts of the hook on the path that is on `side` of interface `ifindex`, in a trace of one port.
#[inline(always)]
pub(crate) fn hook_on(side: usize, ifindex: u32) -> Option<HookFacts> {
    let placed: *const HookConfig = (&raw const PLACED).cast();
    // SAFETY: each side has so many places; volatile because the loader patches them after compilation.
    let (at, found) = unsafe {
        let at = placed.add(side * PLACES + place_of(ifindex, config::spread()));
        (at, (&raw const (*at).ifindex).read_volatile())
    };
    if found != ifindex {
        return None;
    }
    // SAFETY: likewise.
    let word = unsafe { at.cast::<u64>().read_volatile() };
    Some(HookFacts { word, at, scope: Scope::One }.on_path())
}

impl HookFacts {
    /// The hook's number.
    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        // SAFETY: points into a static.
        u32::from(unsafe { (&raw const (*self.at).number).read_volatile() }) & NUMBER_MASK
    }

    /// The port on whose path it is.
    #[inline(always)]
    pub(crate) fn port(self) -> u32 {
        if self.scope.is_of_several() { port_of(self.number()) } else { 0 }
    }

    /// The MAC address of that port.
    #[inline(always)]
    pub(crate) fn mac(self) -> u64 {
        if self.scope.is_of_several() { several::mac(self.port()) } else { config::only_mac() }
    }

    /// What a packet with this identity is called in the table, on the path of that port.
    #[inline(always)]
    pub(crate) fn key(self, identity: u64) -> u64 {
        if self.scope.is_of_several() { key_at(identity, self.port()) } else { identity }
    }

    /// What the program that asks knows.
    #[inline(always)]
    pub(crate) const fn scope(self) -> Scope {
        self.scope
    }

    /// The same facts, in a program that is for `scope` only.
    #[inline(always)]
    pub(crate) const fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// The same facts of a hook that is on the path, which the compiler then knows.
    #[inline(always)]
    pub(crate) fn on_path(self) -> Self {
        Self { word: self.word & !(u64::from(HookConfig::NEIGHBOUR) << 8), ..self }
    }

    /// The same facts, all that the verifier has learned of them forgotten. The kind of hook stays known.
    #[inline(always)]
    pub(crate) fn again(self) -> Self {
        let neighbour = u64::from(HookConfig::NEIGHBOUR) << 8;
        // SAFETY: points into a static, aligned to eight bytes.
        let word = unsafe { self.at.cast::<u64>().read_volatile() };
        Self { word: (word & !neighbour) | (self.word & neighbour), ..self }
    }

    /// 0 egress, 1 ingress.
    #[inline(always)]
    pub(crate) const fn direction(self) -> u8 {
        self.word as u8
    }

    /// Whether `flag` is set.
    #[inline(always)]
    pub(crate) const fn has(self, flag: u8) -> bool {
        self.word & ((flag as u64) << 8) != 0
    }

    /// Whether it has a trait: [`HookConfig::LEARNS`].
    #[inline(always)]
    pub(crate) const fn has_trait(self, of: u16) -> bool {
        self.word & ((of as u64) << 48) != 0
    }

    /// The hooks behind this one, a bit each.
    #[inline(always)]
    const fn later(self) -> u16 {
        (self.word >> 16) as u16
    }

    /// The hooks beside the path behind this one, a bit each.
    #[inline(always)]
    const fn beside(self) -> u16 {
        (self.word >> 32) as u16
    }

    /// What the rules of the table need to know. `number` is this hook's; `ends_here` says that the packet's way does.
    #[inline(always)]
    pub(crate) fn for_rules(self, number: u32, ends_here: bool) -> Hook {
        Hook {
            id: (number & 0xf) as u8,
            direction: self.direction(),
            entry: self.has(HookConfig::ENTRY),
            terminal: ends_here || self.has(HookConfig::TERMINAL),
            later: self.later(),
            beside: self.beside(),
        }
    }

    /// The segment from hook `from` to this one.
    #[inline(always)]
    pub(crate) fn segment_from(self, from: u8) -> u32 {
        // SAFETY: points into a static; only the address is taken.
        let segments: *const u8 = unsafe { (&raw const (*self.at).segment_from).cast() };
        // SAFETY: the index is below 16; volatile because the loader patches it after compilation.
        let segment = u32::from(unsafe { segments.add((from & 0xf) as usize).read_volatile() });
        self.of_all(segment)
    }

    /// The number of the port's `segment` among those of all ports.
    #[inline(always)]
    fn of_all(self, segment: u32) -> u32 {
        if self.scope.is_of_several() { self.port() * config::port_segments() + segment } else { segment }
    }

    /// The hooks that packets from neighbours enter by on the path of its port, a bit each.
    #[inline(always)]
    fn neighbour_entries(self) -> u16 {
        if self.scope.is_of_several() {
            several::neighbour_entries(self.port())
        } else {
            config::only_neighbour_entries()
        }
    }

    /// The segment of the whole way of a packet that passed the hooks `passed`.
    #[inline(always)]
    pub(crate) fn total_segment(self, passed: u16) -> u32 {
        // SAFETY: points into a static.
        let segment = u32::from(unsafe {
            if passed & self.neighbour_entries() == 0 {
                (&raw const (*self.at).total_segment).read_volatile()
            } else {
                (&raw const (*self.at).total_from_neighbour).read_volatile()
            }
        });
        self.of_all(segment)
    }
}

const _: () = assert!(
    core::mem::offset_of!(HookConfig, direction) == 0
        && core::mem::offset_of!(HookConfig, flags) == 1
        && core::mem::offset_of!(HookConfig, later) == 2
        && core::mem::offset_of!(HookConfig, beside) == 4
        && core::mem::offset_of!(HookConfig, traits) == 6
);
