//! Accounts: what their users choose, and what staff do with them.

mod own;
mod users;
