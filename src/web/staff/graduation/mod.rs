//! The second move: the plan, and offers made of it.

pub mod offer;
pub mod plan;
