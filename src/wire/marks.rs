//! What portal and agents know each other's memories by.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{DiskId, LinodeId};

/// What a ledger is known by; `domain::ownership` has what follows from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerMark {
    /// 128 random bits in lower-case hex, made with the ledger.
    pub id: String,
    /// Counts the ledger's records and the agent's starts; never goes down.
    pub serial: i64,
    /// The machine, 64 hex digits: a hash of its machine-id.
    pub machine: String,
    /// The folder on this machine since its boot, 64 hex digits.
    pub place: String,
}

/// How far the portal's memory reaches: which of its lives this is, and a number that only grows with what it committed
/// about ownership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalMark {
    pub incarnation: String,
    pub revision: i64,
}

/// What the ledger alone says of a Linode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    pub linode: LinodeId,
    pub granted: i64,
    pub sealed: i64,
    #[serde(default)]
    pub generation: Option<i64>,
}

/// One disk, looked at where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskProof {
    pub disk: DiskId,
    pub size_bytes: u64,
    /// The root it was published with here, if it came by a move.
    #[serde(default)]
    pub root: Option<String>,
}
