//! A host that is emptied: the plan, and how far it is.

pub mod plan;
pub mod progress;
