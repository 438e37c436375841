//! Migrations: the order of their steps, their times, and what is done at once.

mod after;
mod call_off;
mod check;
pub mod contest;
mod cut_short;
mod engine;
pub mod holding;
mod limit;
mod pause;
mod places;
mod progress;
mod receipt;
mod schedule;
mod timeline;
mod verify;
