//! The rules of the in-flight table: one by one, and under threads.

#![cfg(test)]

mod ledger;
mod machine;
mod rules;
mod stress;
mod table;
mod twins;
