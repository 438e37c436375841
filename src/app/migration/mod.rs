//! Migrations: offered, put off or begun, carried out step by step, taken back, tidied up.

pub mod actions;
pub mod call_off;
pub(super) mod check;
pub(super) mod chosen;
pub(super) mod cleanup;
pub mod engine;
mod entered;
pub mod event_details;
pub mod guard;
pub(super) mod holding;
pub(super) mod leftovers;
pub(super) mod log_text;
pub mod offer;
pub mod offer_again;
pub mod pause;
pub(super) mod reported;
pub(super) mod retry;
pub mod schedule;
pub(super) mod timing;
