//! The TC programs: one for each side of the path's interfaces, and one for each side of neighbours' ports. Hooks share them,
//! so that packets on their way find them in the instruction cache. A trace of several ports has its own, so that one of one port does not pay
//! for what there is to ask.

use aya_ebpf::{
    bindings::{__sk_buff, tcx_action_base::TCX_NEXT},
    macros::classifier,
    programs::TcContext,
};

use crate::{
    answers, checksum, hop,
    maps::{config, rare},
    merged,
};

/// Lets the packet go on to whatever else is attached: `TC_ACT_UNSPEC` and TCX's "next" are the same number.
const GO_ON: i32 = TCX_NEXT;

macro_rules! hooks {
    ($($name:ident $body:ident $side:literal)*) => {$(
        #[classifier]
        #[inline(always)]
        pub(crate) fn $name(ctx: TcContext) -> i32 {
            let skb: *mut __sk_buff = ctx.skb.skb;
            hop::$body(skb, $side);
            GO_ON
        }
    )*};
}

hooks! {
    hop_in hop 0
    hop_out hop 1
    hop_in_beside hop_beside 0
    hop_out_beside hop_beside 1
    several_in hop_of_several 0
    several_out hop_of_several 1
    several_in_beside hop_beside_of_several 0
    several_out_beside hop_beside_of_several 1
}

/// Does nothing: it stands where a program of the path is to be.
#[classifier]
pub(crate) fn hop_nothing(_ctx: TcContext) -> i32 {
    GO_ON
}

/// Likewise where one beside the path is to be. (The kernel knows programs apart, not what they do.)
#[classifier]
pub(crate) fn hop_nothing_beside(_ctx: TcContext) -> i32 {
    GO_ON
}

/// The one for frames with other addresses of the VM than its own, at all hooks on the path.
#[classifier]
#[inline(always)]
pub(crate) fn hop_others(ctx: TcContext) -> i32 {
    hop::others(ctx.skb.skb);
    GO_ON
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

/// One for questions that the switch may answer, and their answers.
#[classifier]
#[inline(always)]
pub(crate) fn hop_answers(ctx: TcContext) -> i32 {
    if let Some(note) = rare::note() {
        answers::exchange(ctx.skb.skb, note);
    }
    GO_ON
}

/// And one for packets of which the checksum is looked at.
#[classifier]
#[inline(always)]
pub(crate) fn hop_checksum(ctx: TcContext) -> i32 {
    if let Some(note) = rare::note() {
        checksum::check(ctx.skb.skb, config::port(note.hook));
    }
    GO_ON
}
