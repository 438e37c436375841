//! Real processes under faults: the portal's program, agents with simulated guests, proxies between them that cut and
//! delay, databases that go back to a backup. The witness that the guests write themselves is the judge. `make chaos`
//! for as many faults as one likes; a short run and each step's backup are among the tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "tests"
)]

#[path = "../portal/browser.rs"]
#[allow(dead_code, reason = "shared with the portal's tests")]
mod browser;
mod copies;
mod faults;
mod home;
mod judge;
mod long;
mod pg;
mod processes;
mod proxy;
mod random;
mod refusing;
mod soak;
mod staff;
mod steps;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_macros, reason = "shared with the portal's tests")]
mod support;
mod syscalls;
mod takeover;
mod tools;
mod traffic;
mod world;
