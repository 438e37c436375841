//! The host's daemon: polls the portal for orders, carries them out step by step, and remembers in a ledger on disk
//! what it was granted and what it sealed.

mod absent;
pub mod check;
pub mod client;
pub mod config;
pub mod control;
pub mod daemon;
pub mod disk;
pub mod driver;
pub mod enrol;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod host;
pub mod initramfs;
pub mod inventory;
pub mod ledger;
pub mod looks;
pub mod override_start;
mod probing;
pub mod process;
pub mod run;
pub mod sampler;
pub mod source;
pub mod status;
pub mod steps;
pub mod stop_guests;
mod store_mark;
pub mod transfer;
