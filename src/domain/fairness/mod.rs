//! Who gets what of a host's CPU: what each is due, what each used, and how fair that was.

pub mod judge;
pub mod shares;
pub mod usage;
