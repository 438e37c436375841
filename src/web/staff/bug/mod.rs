//! The bug board as staff see it: triage, one thread, moderation.

pub mod list;
pub mod moderation;
pub mod thread;
