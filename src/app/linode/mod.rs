//! What a member does with a Linode, wherever it is.

pub mod check;
pub mod power;
pub mod profile;
pub mod rename;
pub(super) mod shared;
