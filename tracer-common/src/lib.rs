//! What the eBPF programs and user space share: packet parsing and identity, the in-flight table's layout and
//! rules, histogram maths, counters and the configuration the loader patches in.
//!
//! `no_std`, no allocation. The same code is compiled for the host, where it is tested, and for eBPF.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![allow(clippy::inline_always, reason = "what is not inlined is a function of its own to the eBPF verifier")]
#![allow(clippy::doc_markdown, reason = "EtherType is a word, not code")]

pub mod address;
pub mod answer;
pub mod checksum;
pub mod config;
pub mod conversation;
pub mod counters;
pub mod drops;
pub mod exchange;
pub mod filter;
pub mod heads;
pub mod histogram;
pub mod inflight;
pub mod neighbour;
pub mod packet;
pub mod pieces;
pub mod ports;
pub mod record;
pub mod skb;
pub mod upcalls;
