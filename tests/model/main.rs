//! The ownership of a Linode, searched exhaustively within bounds: the product's own rules (`domain::migration`,
//! `domain::ownership`, `domain::ownership::handover`, `agent::ledger::rules`) in a world in which messages are lost, repeated and
//! reordered, agents crash, hosts die, and the portal's memory goes back. `make model` runs the long bounds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "tests"
)]

mod agent;
mod guards;
mod portal;
mod table;
mod universe;
mod world;
