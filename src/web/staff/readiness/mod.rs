//! The readiness figures, and their weeks.

pub mod limits;
pub(super) mod shared;
pub mod show;
pub mod verdicts;
pub mod weeks;
