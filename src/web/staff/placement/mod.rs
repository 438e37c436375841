//! The plan for those who wait for a place: looked at, tried with other hosts and limits, and made into offers.

pub mod offer;
pub mod plan;
pub mod room;
pub(super) mod shared;
mod what_if;
