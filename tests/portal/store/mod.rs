//! The databases themselves: schema, statements, plans, and when they fail.

mod failover;
mod full;
mod names;
mod plans;
pub mod queries;
mod retention;
mod schema;
