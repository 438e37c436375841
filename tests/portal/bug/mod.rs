//! The bug board.

mod moderation;
pub mod thread;
