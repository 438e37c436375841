//! Acts on a host that take two staff.

use crate::string_enum;

string_enum! {
    /// What takes two staff.
    pub enum JointKind {
        /// A host is dead for good: its Linodes are granted elsewhere, and it may never come back.
        Takeover = "takeover",
        /// A host is off: the recovery does not wait for its report.
        Waive = "waive",
        /// A host's ledger was not trusted, and is the right one after all.
        TrustLedger = "trust_ledger",
    }
}
string_enum! {
    pub enum JointState { Asked = "asked", Done = "done", Withdrawn = "withdrawn" }
}
