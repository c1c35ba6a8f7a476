//! The rules of the in-flight table: one by one, and under threads.

#![cfg(test)]

mod beside;
mod drops;
mod drops_at_once;
mod home;
mod ledger;
mod machine;
mod merge;
mod rules;
mod shares;
mod stress;
mod table;
mod traced;
mod twins;
mod upcalls;
