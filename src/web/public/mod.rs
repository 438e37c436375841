//! What anybody may see: the announcement, the static files, and the keys of receipts.

pub mod announcement;
pub mod assets;
pub mod receipt_keys;
