//! What is done with a packet at a hook whose head was copied: each rule once, wherever the program runs.
//!
//! [`identify`], then the table's rules ([`crate::thorough`]), then [`settle`].

use hoptrace_common::{
    config::HookConfig,
    inflight::Kind,
    packet::{ETHERTYPE_ARP, Packet, ParseError, Reader},
};

use crate::{
    address::{
        ADDRESS_CLAIM, ADDRESS_FOLLOWED, ADDRESS_GROUP, ADDRESS_HAS_NO_ROOM, ADDRESS_LEARN, ADDRESS_SIGHTED,
        hop_address,
    },
    admit, answers,
    claim::{self, CLAIM_GROUP, CLAIM_NONE, CLAIM_OWN, CLAIM_SIGHTED, concerns_guest},
    emit::emit_if_wanted,
    guest::{self, hop_at_guest, packed},
    left::{DONE, EXCHANGE, PARTS},
    maps::{
        config, control, counters, heads,
        hooks::{self, HookFacts},
        rare::{self, Note},
    },
    neighbour::{self, SIGHT_LAST, SIGHT_OF_NOTHING, SIGHT_ON_PATH},
    place::At,
    reader::{Copied, SkbReader as _},
    tally, thorough,
};

/// A packet at a hook, and the copy of its head.
pub(crate) trait Seen {
    /// The copy.
    fn head(&self) -> Copied;
    /// Length of the whole frame, in bytes.
    fn len_bytes(&self) -> u32;
    /// Beside the path: at which port ([`crate::maps::neighbours::key`]).
    fn port(&self) -> u64;
    /// Whether the hook before has told already what this error means.
    fn is_told(&self, error: ParseError) -> bool;
    /// Whether another program of this hook has decided about the packet, and counted its addresses.
    fn is_decided(&self) -> bool;
    /// Whether the hook behind can not read what makes up the packet's identity.
    fn is_hidden(&self, hook: HookFacts, packet: &Packet) -> bool;
    /// Whether other packets are part of it, or will be: as [`crate::merged::has_parts`].
    fn has_parts(&self, number: u32, protocol: u8, outcome: u32) -> bool;
    /// Whether it is the piece that was expected at hook `number`.
    fn is_piece(&self, packet: &Packet, number: u32) -> bool;
    /// Pieces of it may come to hook `number`.
    fn expect_pieces(&self, packet: &Packet, number: u32);
    /// Keeps its head.
    fn keep_head(&self, key: u64, number: u32);
}

/// A packet of the VM that is wanted.
pub(crate) struct Identified {
    pub(crate) packet: Packet,
    /// What the sight means: a constant of [`neighbour`].
    pub(crate) sight: u32,
    /// As [`admit::is_admissible`].
    pub(crate) is_admissible: bool,
}

/// Whether the packet, whose frame belongs to the VM of `port` by `claim`, is to be followed.
#[inline(always)]
pub(crate) fn is_wanted<R: Reader>(reader: &R, packet: &Packet, claim: u32, port: u32) -> bool {
    (claim != CLAIM_GROUP || concerns_guest(reader, packet, port))
        && (!config::is_filtering() || config::filter().matches(reader, packet))
}

/// A frame for a group that is not followed: counted where it goes to the guest, and at every hook of the path where the filter asks for one's.
#[inline(always)]
fn group_passes<S: Seen>(seen: &S, at: At, hook: HookFacts) {
    if config::counts_groups()
        && !hook.has(HookConfig::NEIGHBOUR)
        && let Some(counted) = counters::of(counters::cpu(), at.number())
    {
        counted.groups += 1;
    }
    if hook.has(HookConfig::GUEST) && !seen.is_decided() {
        hop_address(at.0, ADDRESS_GROUP);
    }
}

/// Identifies the packet at `at`. `None`: it is not the VM's, or not wanted, or there is nothing more to do.
#[inline(always)]
pub(crate) fn identify<S: Seen>(seen: &S, at: At) -> Option<Identified> {
    let number = at.number();
    let hook = hooks::hook(number);
    let head = seen.head();
    let frame = head.frame()?;
    let claim =
        if claim::is_to_or_from_vm(hook, &frame) { CLAIM_OWN } else { hop_address(at.0, ADDRESS_CLAIM) };
    if claim == CLAIM_NONE {
        return None;
    }
    neighbour::learn_copied(hook, at, || seen.port());
    let word = counters::of(counters::cpu(), number)?.scratch.as_mut_ptr();
    let packet = match head.packet(&frame, word) {
        Ok(packet) => config::keyed(packet, config::port(number)),
        Err(error) => {
            if claim == CLAIM_GROUP {
                if !config::is_filtering() {
                    group_passes(seen, at, hook);
                }
            } else if !seen.is_told(error) {
                tally::unparsed(number, claim, frame.ether_type);
            }
            return None;
        }
    };
    // The verifier follows what comes next once for all ways to it.
    let claim = head.opaque(claim);
    if config::is_filtering() && !config::filter().matches(&head, &packet) {
        return None;
    }
    if claim == CLAIM_GROUP && !concerns_guest(&head, &packet, config::port(number)) {
        group_passes(seen, at, hook);
        return None;
    }
    if hook.has(HookConfig::GUEST) && !seen.is_decided() {
        hop_address(at.0, if claim == CLAIM_SIGHTED { ADDRESS_SIGHTED } else { ADDRESS_FOLLOWED });
    }
    if claim == CLAIM_SIGHTED {
        return None;
    }
    // The hooks behind would not know it.
    let is_hidden = seen.is_hidden(hook, &packet)
        || (claim != CLAIM_OWN
            && hook.has_trait(HookConfig::LEARNS)
            && hop_address(at.0, ADDRESS_HAS_NO_ROOM) != 0);
    let sight = if is_hidden { SIGHT_LAST } else { neighbour::sight_copied(hook, at, || seen.port()) };
    // Likewise once for all of them.
    let sight = head.opaque(sight);
    if sight == SIGHT_OF_NOTHING {
        return None;
    }
    // What says who has an address, a switch may say in the VM's name.
    let sight_here = if packet.ether_type == ETHERTYPE_ARP { SIGHT_ON_PATH } else { sight };
    Some(Identified { packet, sight, is_admissible: admit::is_admissible(hook, claim, sight_here) })
}

/// What is made of the packet at `at`, given what [`thorough::thoroughly`] gave: counts it, and everything that comes of it. Gives
/// [`PARTS`] or [`EXCHANGE`], for which a note is left, or [`DONE`].
#[inline(always)]
pub(crate) fn settle<S: Seen>(seen: &S, at: At, packet: &Packet, sight: u32, kind: u32) -> u32 {
    let number = at.number();
    // Facts are read again where they are needed, rather than kept on the stack.
    let hook = hooks::hook(number);
    if neighbour::is_way_in(sight) {
        neighbour::count_copied(hook, at, Kind::Copy, sight, || seen.port());
        return DONE;
    }
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number) else { return DONE };
    let head = seen.head();
    let outcome = thorough::outcome(kind, counted);
    if hook.has(HookConfig::GUEST) && guest::may_speak(packet) {
        // What comes next is there once, for the compiler and for the verifier.
        let followed = head.opaque(u32::from(matches!(outcome.kind, Kind::New | Kind::Passed)));
        let ends = u64::from(packet.l3_end) | u64::from(number | followed << 16 | at.place() << 24) << 32;
        guest::make_exact(counted);
        hop_at_guest(head.len(), packed(packet), ends);
    }
    if hook.has_trait(HookConfig::LEARNS) && matches!(outcome.kind, Kind::New | Kind::Passed) {
        hop_address(at.0, ADDRESS_LEARN);
    }
    if matches!(outcome.kind, Kind::Missing) {
        return DONE;
    }
    let grown = matches!(outcome.kind, Kind::Passed) && outcome.grown;
    let mut left = DONE;
    if seen.has_parts(number, packet.protocol, outcome.kind as u32 | u32::from(grown) << 8) {
        rare::leave(Note::merged(number, 0));
        left = PARTS;
    } else if let Some(note) = answers::note(hook, number, outcome.kind, packet) {
        rare::leave(note);
        left = EXCHANGE;
    }
    neighbour::count_copied(hook, at, outcome.kind, sight, || seen.port());
    if heads::are_kept(hook) && matches!(outcome.kind, Kind::New | Kind::Passed) {
        seen.keep_head(packet.identity, number);
    }
    let this = hook.for_rules(number, neighbour::ends_here(sight));
    let outcome = thorough::outcome(kind, counted);
    match outcome.kind {
        Kind::New => {
            tally::arrived(cpu, counted, &outcome, &this);
            if !this.entry && seen.is_piece(packet, number) {
                counted.split += 1;
            }
        }
        Kind::Passed => {
            if outcome.control.large() {
                seen.expect_pieces(packet, number);
            }
            let total_ns = tally::passed(cpu, counted, &outcome, &this, hook);
            if this.terminal
                && let Some(gate) = control::gate(config::port(number))
            {
                let what = (gate, this.direction, total_ns);
                emit_if_wanted(&head, packet, seen.len_bytes(), what, &outcome, counted);
            }
        }
        _ => {
            tally::hop_strange(outcome.kind as u32, number, packet.identity);
        }
    }
    left
}
