//! Jobs: the orders made of them, what their ends do, and those that are lost.

pub(super) mod loss;
pub mod order;
pub(super) mod outcome;
