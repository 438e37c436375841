//! The host's daemon: polls the portal for orders, carries them out step by step, and remembers in a ledger on disk
//! what it was granted and what it sealed.

pub mod client;
pub mod command;
pub mod config;
pub mod disk;
pub mod driver;
pub mod ledger;
pub mod process;
pub mod transfer;
