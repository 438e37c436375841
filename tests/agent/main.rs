//! The agent from outside: real processes, real files, real guests where the machine has them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[cfg(feature = "agent")]
mod mover;
#[cfg(feature = "agent")]
mod transfer;
#[cfg(feature = "agent")]
mod uml;
