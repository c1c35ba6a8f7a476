//! What is left to do with a packet when a hook's program is through with it.

/// Nothing.
pub(crate) const DONE: u32 = 0;
/// This is one for the program that knows all rules; a note is left for it, and says what was decided.
pub(crate) const RARE: u32 = 1;
/// This is one for the program that looks at checksums.
pub(crate) const CHECK: u32 = 2;
/// This is one for the program that knows what a packet is made of; a note is left for it.
pub(crate) const PARTS: u32 = 3;
/// This is one for the program that knows what the switch answers; a note is left for it.
pub(crate) const EXCHANGE: u32 = 4;
/// This is one for the program that takes frames of other addresses of the VM; a note is left for it.
pub(crate) const OTHERS: u32 = 5;
