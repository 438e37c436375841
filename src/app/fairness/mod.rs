//! What guests used, taken in and rolled up, and the weights that divide a host's CPU.

#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod ingest;
pub mod rollup;
pub mod weights;
