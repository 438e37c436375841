//! Registrations: the list to review, and what is done with many at once.

pub mod bulk;
pub mod bulk_preview;
pub mod list;
pub mod shared;
