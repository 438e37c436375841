//! The readiness figures, and their weeks.

pub mod show;
pub mod weeks;
