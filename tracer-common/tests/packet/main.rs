//! Packets: parsing, identity, and what is decided on a packet's headers.

#![cfg(test)]

mod answer;
mod bytes;
mod checksum;
mod collisions;
mod conversation;
mod exchange;
mod filter;
mod frames;
mod identity;
mod malformed;
mod merged;
mod strict;
mod usual;
