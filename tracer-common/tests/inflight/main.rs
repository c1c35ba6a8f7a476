//! The rules of the in-flight table: one by one, and under threads.

#![cfg(test)]

mod beside;
mod ledger;
mod machine;
mod rules;
mod stress;
mod table;
mod traced;
mod twins;
