//! The readiness figures, and their weeks.

pub(super) mod shared;
pub mod show;
pub mod weeks;
