//! What Linodes used, and how fairly.

mod edges;
mod scale;
pub mod usage;
