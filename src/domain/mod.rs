//! What the product is, as pure values and functions: no I/O, no clock, no randomness. Everything above imports from here,
//! and nothing here imports from above.

pub mod account;
pub mod audit;
pub mod batch;
pub mod bug;
pub mod evacuation;
pub mod fairness;
pub mod graduation;
pub mod host;
pub mod ids;
pub mod job;
pub mod linode;
pub mod mail;
pub mod markdown;
pub mod migration;
pub mod network;
pub mod ownership;
#[cfg(feature = "portal")]
pub mod password;
pub mod placement;
pub mod platform;
pub mod programme;
pub mod readiness;
#[cfg(feature = "portal")]
pub mod receipt;
pub mod registration;
#[cfg(feature = "portal")]
pub mod search;
#[cfg(feature = "portal")]
pub mod second_factor;
pub mod string_enum;
pub mod text;
pub mod time;
pub mod trial;
pub mod values;
