//! What the product is, as pure values and functions: no I/O, no clock, no randomness. Everything above imports from here,
//! and nothing here imports from above.

pub mod attachment;
pub mod bug;
pub mod evacuation;
pub mod fairness;
pub mod fitting;
pub mod graduation;
pub mod ids;
#[cfg(feature = "portal")]
pub mod local_time;
pub mod migration;
#[cfg(feature = "portal")]
pub mod move_times;
pub mod names;
pub mod notices;
pub mod ownership;
pub mod placement;
pub mod programme;
pub mod readiness;
pub mod readiness_bugs;
pub mod registration;
#[cfg(feature = "portal")]
pub mod search;
pub mod shares;
pub mod text;
pub mod time;
pub mod translate;
pub mod usage;
pub mod watch;
pub mod words;
pub mod writing;
