//! The mover: one agent reads another's disks. Rule of the room: **what was not re-read from the device and compared with
//! the source's digest does not count as copied.**
//!
//! The destination pulls ([`Fetch`]), the source serves ([`Server`]). TLS 1.3 with both certificates pinned by their
//! SHA-256 ([`Identity`]); then a token that the portal made for this one migration and this one peer. "One-time" means:
//! good for any number of connections of that migration (a copy is resumed with it), from when the source's agent opens
//! the transfer until it closes it, and never again.
//!
//! Disks are compared and moved in chunks of [`chunk::CHUNK`] bytes, asked for by segments of [`chunk::SEGMENT`]. The
//! destination sends its digests of a segment, the source answers with what differs; holes and zeros travel as ranges.
//! A few connections work side by side, which is what keeps all cores and the disk busy; each holds a few MiB, whatever
//! the size of the disks (tested: under 64 MiB for both ends together).
//!
//! Crashes: the destination's table of digests ([`table`]) is never ahead of the data. It is written after the data was
//! fsynced and re-read; the segments being overwritten are marked first, and are read and hashed again after a kill.

#![allow(
    clippy::missing_errors_doc,
    reason = "one error type a room, which says what its faults mean"
)]

mod apply;
mod cap;
mod channel;
mod chunk;
mod client;
mod codec;
mod copy;
mod fetch;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod guests;
#[cfg(test)]
mod hostile;
mod identity;
mod message;
mod mover;
mod pack;
mod pass;
pub mod policy;
mod records;
mod serve;
mod served;
mod server;
mod table;
mod tls;
mod verify;

use super::disk::{DiskError, DiskFault};
use crate::domain::ids::{LinodeId, MigrationId};
use crate::wire::{DiskDigest, DiskSpec, Progress};

pub use cap::Cap;
pub use fetch::{Fetch, FinalReport, WarmReport};
pub use identity::Identity;
pub use mover::{Mover, OverTls};
pub use server::Server;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Cancelled,
    /// The other agent does not answer, or the connection broke: trying again may help.
    Unreachable,
    /// Wrong key, token, migration or disks.
    Refused,
    /// The Linode is not sealed at the epoch the final pass is for.
    NotSealed,
    NoSpace,
    Disk,
    /// What was written does not read back as what was sent, again and again.
    Corrupt,
    /// The other end does not speak as agreed.
    Protocol,
}

/// What comes of anything in this room.
pub type Result<T, E = TransferError> = std::result::Result<T, E>;

/// `public` is in words a customer can use, `detail` for staff.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{public}: {detail}")]
pub struct TransferError {
    pub fault: Fault,
    pub public: String,
    pub detail: String,
}

impl TransferError {
    pub fn new(fault: Fault, detail: impl Into<String>) -> Self {
        let public = match fault {
            Fault::Cancelled => "The copy was cancelled",
            Fault::Unreachable => "The two hosts could not reach each other",
            Fault::Refused => "The old host refused to hand over the disks",
            Fault::NotSealed => "The Linode is not stopped and sealed on the old host",
            Fault::NoSpace => "The new host has no room left for this Linode's disks",
            Fault::Disk => "A host's storage reported an error during the copy",
            Fault::Corrupt => "The copied disks did not match the originals, so they were not used",
            Fault::Protocol => "The two hosts did not understand each other",
        };
        Self {
            fault,
            public: public.into(),
            detail: detail.into(),
        }
    }

    /// May the same step succeed if tried again?
    pub fn retry(&self) -> bool {
        match self.fault {
            Fault::Unreachable | Fault::NotSealed | Fault::Disk | Fault::Corrupt => true,
            Fault::Cancelled | Fault::Refused | Fault::NoSpace | Fault::Protocol => false,
        }
    }

    /// Did it end between two pieces, so that what is written down of the copy is right?
    pub(super) fn is_clean(&self) -> bool {
        matches!(self.fault, Fault::Unreachable | Fault::Cancelled)
    }
}

impl From<DiskError> for TransferError {
    fn from(e: DiskError) -> Self {
        let fault = match e.fault {
            DiskFault::NoSpace => Fault::NoSpace,
            DiskFault::Stopped => Fault::Cancelled,
            DiskFault::Missing | DiskFault::Refused | DiskFault::Io => Fault::Disk,
        };
        Self {
            fault,
            public: e.public,
            detail: e.detail,
        }
    }
}

/// Who watches a copy: the job's renewals.
pub trait Watch: Sync {
    /// Called about four times a second.
    fn progress(&self, progress: Progress);
    /// Asked at least every 100 ms.
    fn cancelled(&self) -> bool;
}

/// What a token opens.
#[derive(Debug, Clone, PartialEq)]
pub struct Granted {
    pub migration: MigrationId,
    pub linode: LinodeId,
    /// The generation to read: the epoch the Linode is granted here.
    pub epoch: i64,
    pub disks: Vec<DiskSpec>,
}

/// The source's side of the agent: its ledger and its line to the portal.
pub trait Source: Send + Sync {
    /// What the peer with this certificate (64 lower-case hex digits) may read with this token, if the transfer is
    /// open. Compare tokens with [`same_token`].
    fn authorise(
        &self,
        migration: MigrationId,
        token: &str,
        peer_fingerprint: &str,
    ) -> Option<Granted>;

    /// Does anything that is open wait for the holder of this certificate? Nobody else is let in.
    fn expects(&self, peer_fingerprint: &str) -> bool;

    /// The newest epoch sealed, from the ledger; 0 is none.
    fn sealed(&self, linode: LinodeId) -> i64;

    /// Tells the portal what the source itself found on its sealed disks. The destination hears of the roots only
    /// after this succeeded. May be called again with the same values.
    fn report_digests(
        &self,
        migration: MigrationId,
        epoch: i64,
        digests: &[DiskDigest],
    ) -> Result<(), String>;
}

/// Compares in a time that tells nothing of where they differ.
pub fn same_token(one: &str, other: &str) -> bool {
    use subtle::ConstantTimeEq;
    // Equal-length inputs whatever the tokens' lengths.
    let (one, other) = (blake3::hash(one.as_bytes()), blake3::hash(other.as_bytes()));
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
