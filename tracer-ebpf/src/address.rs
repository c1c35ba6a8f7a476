//! What is done about addresses that are not the VM's own, with a frame whose head was copied.

use crate::{
    claim::{self, CLAIM_GROUP, CLAIM_NONE, CLAIM_OWN, CLAIM_SIGHTED, claim},
    maps::{control, hooks},
    place::At,
};

/// What [`hop_address`] is to do: count a frame for another address that is not followed, or one that is, say whether the address
/// of a packet of the VM can not be learned, or learn it, tell how the frame belongs to the VM ([`claim()`]), or count one for a group.
pub(crate) const ADDRESS_SIGHTED: u32 = 0;
pub(crate) const ADDRESS_FOLLOWED: u32 = 1;
pub(crate) const ADDRESS_HAS_NO_ROOM: u32 = 2;
pub(crate) const ADDRESS_LEARN: u32 = 3;
pub(crate) const ADDRESS_CLAIM: u32 = 4;
pub(crate) const ADDRESS_GROUP: u32 = 5;
/// What is done with the frame whose head was copied last: `at` is an [`At`]. A global function: the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_address(at: u32, what: u32) -> u32 {
    let Some(frame) = At(at).frame() else { return 0 };
    let hook = hooks::hook(At(at).number());
    match what {
        ADDRESS_SIGHTED => claim::count(hook, &frame, CLAIM_SIGHTED),
        ADDRESS_FOLLOWED => claim::count(hook, &frame, CLAIM_OWN),
        ADDRESS_GROUP => claim::count(hook, &frame, CLAIM_GROUP),
        ADDRESS_HAS_NO_ROOM => return u32::from(claim::ends_unlearned(hook, &frame)),
        ADDRESS_CLAIM => {
            return control::gate(hook.port()).map_or(CLAIM_NONE, |gate| claim(hook, &frame, gate));
        }
        _ => claim::learn(hook, &frame),
    }
    0
}
