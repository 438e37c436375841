//! What guests used, taken in and rolled up, and the weights that divide a host's CPU.

pub mod ingest;
pub mod rollup;
pub mod weights;
