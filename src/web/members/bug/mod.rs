//! The bug board as members see it: the list, a new thread, one thread.

pub mod list;
pub mod new;
pub mod thread;
