//! Receipts of moves: made once, when a move finishes, and signed with the portal's key.

pub mod issue;
pub mod keys;
