//! xenbeta: members register Linodes for a Xen beta, staff configure migrations, one click moves them.
//!
//! Imports point down only: `bin → web, work → app → store, mail → domain`; `bin → agent → wire → domain`.

#![cfg_attr(not(test), warn(unreachable_pub))]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::disallowed_methods,
        clippy::pedantic,
        reason = "in tests a panic is the answer, and they look at clocks and processes from outside; what is not a \
                  test is checked when the library is built for itself"
    )
)]

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "portal")]
pub mod app;
pub mod command;
#[cfg(feature = "portal")]
pub mod config;
pub mod domain;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod log;
#[cfg(feature = "portal")]
pub mod mail;
#[cfg(feature = "portal")]
pub mod store;
#[cfg(feature = "portal")]
pub mod web;
pub mod wire;
#[cfg(feature = "portal")]
pub mod work;
