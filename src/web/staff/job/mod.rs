//! `/staff/jobs`: the orders to hosts: the list, one of them, many tried again, and what staff hold back.

pub mod list;
pub mod pauses;
pub mod retry;
pub mod shared;
pub mod show;
