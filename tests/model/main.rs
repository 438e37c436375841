//! The ownership of a Linode, searched exhaustively within bounds: the product's own rules (`domain::migration`,
//! `domain::ownership`, `domain::handover`, `agent::ledger::rules`) in a world in which messages are lost, repeated and
//! reordered, agents crash, hosts die, and the portal's memory goes back. `make model` runs the long bounds.

mod agent;
mod guards;
mod portal;
mod table;
mod universe;
mod world;
