//! Migrations: the list, one of them, what staff do with it, and what it waits for.

pub mod actions;
pub mod list;
pub mod pause;
pub mod receipt;
pub mod rows;
pub mod shared;
pub mod show;
pub mod waits;
