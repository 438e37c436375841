//! What accounts and their tokens may do.

use crate::string_enum;

string_enum! {
    pub enum UserRole { Member = "member", Staff = "staff" }
}
string_enum! {
    /// What an API token is good for.
    pub enum TokenScope { ReadOnly = "read_only", ReadWrite = "read_write" }
}
