//! What the product is, as pure values and functions: no I/O, no clock, no randomness. Everything above imports from here,
//! and nothing here imports from above.

pub mod fairness;
pub mod graduation;
pub mod ids;
pub mod migration;
pub mod names;
pub mod placement;
pub mod programme;
pub mod readiness;
pub mod registration;
pub mod shares;
pub mod text;
pub mod time;
pub mod translate;
pub mod usage;
pub mod words;
pub mod writing;
