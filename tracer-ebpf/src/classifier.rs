//! The TC programs. Each is the same code compiled for another hook number, so that everything known about the hook
//! is a constant to the verifier, and the kernel counts runs and time of each hook apart.

use aya_ebpf::{
    bindings::{__sk_buff, tcx_action_base::TCX_NEXT},
    macros::classifier,
    programs::TcContext,
};

use crate::{hop, merged};

/// Lets the packet go on to whatever else is attached: `TC_ACT_UNSPEC` and TCX's "next" are the same number.
const GO_ON: i32 = TCX_NEXT;

macro_rules! hooks {
    ($($name:ident $number:literal)*) => {$(
        #[classifier]
        #[inline(always)]
        pub(crate) fn $name(ctx: TcContext) -> i32 {
            let skb: *mut __sk_buff = ctx.skb.skb;
            hop::hop(skb, $number);
            GO_ON
        }
    )*};
}

hooks! {
    hop_0 0 hop_1 1 hop_2 2 hop_3 3 hop_4 4 hop_5 5 hop_6 6 hop_7 7
    hop_8 8 hop_9 9 hop_10 10 hop_11 11 hop_12 12 hop_13 13 hop_14 14 hop_15 15
}

/// The program that all hooks share.
#[classifier]
#[inline(always)]
pub(crate) fn hop_rarely(ctx: TcContext) -> i32 {
    hop::rarely(ctx.skb.skb);
    GO_ON
}

/// Another one: for packets that were merged into another one.
#[classifier]
#[inline(always)]
pub(crate) fn hop_merged(ctx: TcContext) -> i32 {
    merged::merged(ctx.skb.skb);
    GO_ON
}
