//! The portal, tested on both databases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "tests"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with the agent's tests and the benches")]
mod support;

mod account;
mod announcement;
mod audit;
mod batch;
mod browser;
mod bug;
mod clock;
mod commands;
mod config;
mod demo;
mod doors;
mod evacuation;
mod fairness;
mod faq;
mod graduation;
mod host;
mod house;
mod import;
mod job;
mod linode;
mod mail;
mod migration;

mod ownership;
mod packaging;
mod pages;
mod placement;
mod programme;
mod races;
mod readiness;
mod registration;
mod served;
mod steps;
mod store;
mod trial;
mod v4;
mod wave;
