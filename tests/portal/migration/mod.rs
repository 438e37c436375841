//! Migrations: the order of their steps, their times, and what is done at once.

pub mod contest;
mod engine;
mod holding;
mod places;
mod schedule;
