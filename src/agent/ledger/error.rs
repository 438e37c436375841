//! What can go wrong with the ledger.

use std::io;
use std::path::PathBuf;

use super::rules::Marks;
use crate::domain::ids::LinodeId;

/// What comes of anything that is asked of the ledger.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("the ledger's record {path} cannot be trusted: {reason}")]
    Damaged { path: PathBuf, reason: String },
    #[error("the ledger's record {path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("the ledger in {path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// The count in the records began under an identity that is gone: part of the ledger is missing, or from elsewhere.
    #[error(
        "the ledger in {path} has lost its identity ({name}), and its records were counted under one: it is damaged, or put \
         together from parts. Put the whole folder back as it was, or, if that cannot be, run `xenbeta-agent renew-ledger` \
         and let staff judge this host (docs/AGENT.md, \"When the ledger is refused\")"
    )]
    NoIdentity { path: PathBuf, name: &'static str },
    #[error("{linode}: the marks would go down, from {from:?} to {to:?}")]
    Backwards {
        linode: LinodeId,
        from: Marks,
        to: Marks,
    },
}
