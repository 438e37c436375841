//! A migration while it runs, for members' and staff's pages alike.

pub mod check;
pub mod live;
pub mod receipt;
pub mod stream;
pub mod timeline;
pub mod trial;
