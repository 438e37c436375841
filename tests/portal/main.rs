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
mod alerts;
mod announcement;
mod attempts;
mod browser;
mod bugs;
mod calendar;
mod clock;
mod commands;
mod demo;
mod ending;
mod engine;
mod evacuation;
mod failover;
mod fairness;
mod fairness_edges;
mod fairness_scale;
mod faq;
mod full;
mod graduation;
mod house;
mod import;
mod leisure;
mod linode_parts;
mod mail;
mod moderation;
mod moving;
mod packaging;
mod pages;
mod plans;
mod polls;
mod profiles;
mod programme;
mod promise;
mod promise_pages;
mod queries;
mod racers;
mod races;
mod readiness;
mod reported;
mod retention;
mod schema;
mod staff_lists;
mod steps;
