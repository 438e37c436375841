//! Hosts as their agents speak for them.

pub mod by_hand;
mod enrolment;
mod list;
mod report;
mod settings;
