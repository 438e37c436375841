//! A member's migration: the one click, its page, and what can still be done to it.

pub mod actions;
mod figures;
pub mod receipt;
pub mod shared;
pub mod show;
pub mod start;
pub mod start_form;
