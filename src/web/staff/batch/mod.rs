//! `/staff/batches`: what staff asked of many at once.

pub mod list;
pub mod show;
