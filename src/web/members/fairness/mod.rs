//! What a member's Linodes got of their hosts, and what was due to them.

pub mod choose;
pub mod compared;
mod shared;
pub mod show;
