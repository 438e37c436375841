//! Jobs: the orders made of them, what their ends do, and those that are lost.

mod fitting;
pub mod lease;
pub(super) mod loss;
pub mod order;
pub(super) mod outcome;
mod pause;
pub mod progress;
pub(super) mod retry;
mod spec;
