//! A member's Linodes: the list, one of them, its config profiles, its names, its power, its jobs.

pub mod check;
pub mod job_queue;
pub mod list;
pub mod power;
pub mod profile;
pub mod rename;
pub mod shared;
pub mod show;
