//! `/staff/members`: who can sign in. The list, one with what is theirs, and what owners do with one: access taken away and
//! given back, a link for a new password, a role among the staff.

pub mod access;
pub mod list;
pub(super) mod shared;
pub mod show;
