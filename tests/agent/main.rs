//! The agent from outside: real processes, real files, real guests where the machine has them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "tests"
)]

#[cfg(feature = "agent")]
mod agents;
#[cfg(feature = "agent")]
mod boot;
#[cfg(feature = "agent")]
mod daemon;
#[cfg(feature = "agent")]
mod disk;
#[cfg(feature = "agent")]
mod fakes;
#[cfg(feature = "agent")]
mod ground;
#[cfg(feature = "agent")]
mod lvm;
#[cfg(feature = "agent")]
mod lvm_fake;
#[cfg(feature = "agent")]
mod mover;
#[cfg(feature = "agent")]
mod mover_store;
#[cfg(feature = "agent")]
mod moves;
#[cfg(feature = "agent")]
mod orders;
#[cfg(feature = "agent")]
#[path = "../support/port.rs"]
#[allow(
    clippy::duplicate_mod,
    reason = "`support` has it too, which an agent alone has not"
)]
mod port;
#[cfg(feature = "agent")]
mod portal;
#[cfg(feature = "agent")]
#[path = "../support/rng.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod rng;
#[cfg(feature = "agent")]
mod room;
#[cfg(feature = "agent")]
mod samples;
#[cfg(feature = "agent")]
mod simulated;
#[cfg(feature = "agent")]
mod stores;
#[cfg(all(feature = "agent", feature = "portal"))]
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_macros, reason = "shared with the portal's tests")]
mod support;
#[cfg(feature = "agent")]
mod transfer;
#[cfg(feature = "agent")]
mod trials;
#[cfg(feature = "agent")]
mod uml;
#[cfg(feature = "agent")]
mod units;
#[cfg(all(feature = "agent", feature = "portal"))]
mod whole;
#[cfg(feature = "agent")]
#[path = "../support/witness.rs"]
#[allow(
    clippy::duplicate_mod,
    reason = "`support` has it too, which an agent alone has not"
)]
mod witness;
#[cfg(feature = "agent")]
mod workers;
#[cfg(feature = "agent")]
mod xen;
