//! What anybody may see: the announcement, and the static files.

pub mod announcement;
pub mod assets;
