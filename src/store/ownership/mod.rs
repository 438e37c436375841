//! Who owns which Linode, as rows: what the portal knows of its own memory, what hosts' ledgers are known by, Linodes of which the two
//! differ, proofs, and what takes two staff.

pub mod hold;
pub mod joint;
pub mod ledger;
pub mod mark_file;
pub mod memory;
pub mod proof;
