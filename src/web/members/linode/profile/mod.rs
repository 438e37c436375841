//! Config profiles: changed, added, deleted.

pub mod add_remove;
pub mod edit;
