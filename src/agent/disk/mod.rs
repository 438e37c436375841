//! Where guests' disks live on a host. Rule of the room: **nothing here decides**; the ledger says what may be started,
//! copied or purged, and this room carries it out without ever following a link or touching what it did not make.
//!
//! A *generation* is the whole set of one Linode's disks under one epoch. Copies in the making are beside it and become
//! a generation by one atomic rename ([`DiskStore::publish`]), so half a copy can never be booted.
//! [`files`] keeps disks as (sparse) files, [`lvm`] as volumes of a volume group.

#![allow(
    clippy::missing_errors_doc,
    reason = "one error type a room, which says what its faults mean"
)]

pub mod aligned;
mod clones;
mod copies;
mod dir;
pub mod files;
mod folders;
mod ground;
mod holes;
mod image;
mod layout;
pub mod lvm;
mod receipt;
mod room;
mod sys;
mod trials;
mod views;

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{DiskId, LinodeId, MigrationId};
use crate::wire::{DiskDigest, DiskSpec};

pub use files::FileStore;
pub use ground::Ground;
pub use lvm::LvmStore;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// The host's store is full or would be.
    NoSpace,
    /// A disk or generation that should be here is not, or has another size.
    Missing,
    /// Something here is not what it should be (a link, a device, two claims on one name); left untouched.
    Refused,
    /// The device or file system failed.
    Io,
    /// Somebody wanted it to stop; what was begun is taken up by the next attempt, or released.
    Stopped,
}

/// What comes of anything in this room.
pub type Result<T, E = DiskError> = std::result::Result<T, E>;

/// `public` is in words a customer can use, `detail` for staff.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{public}: {detail}")]
pub struct DiskError {
    pub fault: DiskFault,
    pub public: String,
    pub detail: String,
}

impl DiskError {
    pub fn new(fault: DiskFault, public: &str, detail: impl Into<String>) -> Self {
        Self {
            fault,
            public: public.into(),
            detail: detail.into(),
        }
    }

    /// An I/O error while doing `what`, told apart by its number: a full store is not a broken one.
    pub fn io(what: &str, error: &std::io::Error) -> Self {
        let (fault, public) = match error.kind() {
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => (
                DiskFault::NoSpace,
                "The host has no room left for this Linode's disks",
            ),
            std::io::ErrorKind::NotFound => (
                DiskFault::Missing,
                "A disk of this Linode was not found on its host",
            ),
            _ => (DiskFault::Io, "The host's storage reported an error"),
        };
        Self::new(fault, public, format!("{what}: {error}"))
    }
}

impl From<(&str, std::io::Error)> for DiskError {
    fn from((what, error): (&str, std::io::Error)) -> Self {
        Self::io(what, &error)
    }
}

/// Bytes of the file system the disks are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    pub free: u64,
}

/// Bytes of one generation: as its guest sees them, and as stored (holes are free).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub total: u64,
    pub allocated: u64,
}

/// Everything under the store's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Whole generations, by Linode and epoch.
    pub generations: Vec<(LinodeId, i64)>,
    /// Copies in the making.
    pub copies: Vec<(LinodeId, MigrationId)>,
    /// Trials' clones of copies.
    pub trials: Vec<(LinodeId, MigrationId)>,
    /// Paths (relative to the store) that follow no rule of the layout. Reported, never touched.
    pub unknown: Vec<String>,
}

/// What the final pass proved, kept inside the copy until it is booted, so that a step asked twice answers alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub migration: MigrationId,
    /// The epoch the source had sealed when this was copied.
    pub sealed: i64,
    pub digests: Vec<DiskDigest>,
    pub sent_bytes: u64,
    pub seconds: f64,
    /// It was read back past the page cache; `None`: written by an agent that did not say.
    #[serde(default)]
    pub uncached: Option<bool>,
}

/// One disk's bytes. Offsets and lengths are bytes from its start. All methods may be called from several threads.
pub trait Image: Send + Sync {
    /// Size as the guest sees it.
    fn size(&self) -> u64;
    /// Fills `buf` from `offset`, through the page cache; a short disk is an error.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()>;
    /// As [`Image::read_at`], but from the device: not from what this host's memory remembers of it.
    fn read_uncached(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()>;
    /// Does [`Image::read_uncached`] pass the cache by? `false` where the file system does not let it.
    fn passes_cache(&self) -> bool {
        true
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> std::io::Result<()>;
    /// Makes a hole: reads as zeros, takes no room.
    fn punch(&self, range: Range<u64>) -> std::io::Result<()>;
    /// The first stretch at or after `offset` that may hold anything but zeros; `None`: only holes until the end.
    fn next_data(&self, offset: u64) -> std::io::Result<Option<Range<u64>>>;
    /// Tells the store that this will be read soon.
    fn prefetch(&self, range: Range<u64>);
    /// Everything written so far survives a power cut.
    fn sync(&self) -> std::io::Result<()>;
}

/// A copy in the making: the disk, and the file its digest table is kept in.
pub struct Target {
    pub image: Box<dyn Image>,
    pub table: File,
    /// What the image held when it was made is nobody's business: not worth reading, and never to be kept.
    pub blank: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The Linode may be writing: a clone if the store can, otherwise the live disk.
    Live,
    /// The Linode is sealed: the disk itself.
    Sealed,
}

/// What new copies start from. A store that cannot share blocks reads and writes whole disks for it.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// The sealed generation.
    pub epoch: i64,
    pub pace: Pace<'a>,
}

/// Asked before each piece of so many bytes: waits until they may go. False: stop.
pub type Pace<'a> = &'a dyn Fn(usize) -> bool;

fn go(pace: Pace<'_>, bytes: usize) -> Result<()> {
    if pace(bytes) {
        return Ok(());
    }
    let public = "The copy was stopped";
    Err(DiskError::new(
        DiskFault::Stopped,
        public,
        "it was asked to stop",
    ))
}

/// What one pass reads of one disk.
pub struct View {
    pub image: Box<dyn Image>,
    /// Every change since the view before was reported. If not, everything may have changed.
    pub told: bool,
    /// The store makes clones and had no room for this one: what is read may change while it is read.
    pub moving: bool,
}

/// Why an image of a live disk cannot be read any more: its clone was dropped, for want of room or because another view
/// took its place. A view opened now is as good.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the clone of the live disk was dropped")]
pub struct Dropped;

impl Dropped {
    /// Is this the reason of an image's error?
    pub fn is_why(error: &std::io::Error) -> bool {
        matches!(error.get_ref(), Some(why) if why.is::<Self>())
    }
}

/// The disks of one host. Every step may be repeated and then changes nothing.
pub trait DiskStore: Send + Sync {
    fn space(&self) -> Result<Space>;

    /// The store can tell what changed between two passes (found by trying a clone).
    fn tells_changes(&self) -> bool;

    /// Is there room for these disks, filled to the brim? What an earlier run of this migration took for its copies counts
    /// as there. Changes nothing.
    fn preflight(&self, linode: LinodeId, migration: MigrationId, disks: &[DiskSpec])
    -> Result<()>;

    /// The generation is here, whole, of these sizes, and made of what the store makes disks of. (Also how an existing
    /// Linode is adopted.)
    fn check(&self, linode: LinodeId, epoch: i64, disks: &[DiskSpec]) -> Result<Usage>;

    /// Where the driver finds a disk of a generation.
    fn path(&self, linode: LinodeId, epoch: i64, disk: DiskId) -> PathBuf;

    /// Makes room and empty copies for a migration, or copies of the sealed generation `base`. What an earlier,
    /// interrupted run of the same migration copied is kept (also if it was published and never activated); a disk that was
    /// being made from `base` is begun anew.
    fn reserve(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
        base: Option<Base<'_>>,
    ) -> Result<()>;

    /// A copy in the making, reserved before.
    fn target(&self, linode: LinodeId, migration: MigrationId, disk: &DiskSpec) -> Result<Target>;

    /// Gives back `bytes` of the room held for this migration, because they are about to be written.
    fn use_room(&self, linode: LinodeId, migration: MigrationId, bytes: u64) -> Result<()>;

    /// Turns the verified copy into generation `epoch`: fsync, one rename, fsync of the folder.
    fn publish(
        &self,
        linode: LinodeId,
        epoch: i64,
        disks: &[DiskSpec],
        receipt: &Receipt,
    ) -> Result<()>;

    /// The generation this migration published here and that was not yet activated.
    fn published(&self, linode: LinodeId, migration: MigrationId)
    -> Result<Option<(i64, Receipt)>>;

    /// The published copy is about to run under `epoch`: it gets that epoch's name and is no longer a migration's to
    /// release. Call when the grant is persisted and before the boot.
    fn activate(&self, linode: LinodeId, migration: MigrationId, epoch: i64) -> Result<()>;

    /// The disks of epoch `from` run on under `to` (a roll-back at the source).
    fn regrant(&self, linode: LinodeId, from: i64, to: i64) -> Result<()>;

    /// Drops the migration's copies, in the making or published, but never an activated generation.
    fn release(&self, linode: LinodeId, migration: MigrationId) -> Result<()>;

    /// Deletes a generation. The caller has checked the ledger.
    fn purge(&self, linode: LinodeId, epoch: i64) -> Result<()>;

    /// Everything written is durable, and the disks refuse writers (short of root's override).
    fn seal(&self, linode: LinodeId, epoch: i64) -> Result<()>;

    fn unseal(&self, linode: LinodeId, epoch: i64) -> Result<()>;

    /// A disk of a generation, to look at where it is: live or sealed, past the cache where that can be.
    fn look(&self, linode: LinodeId, epoch: i64, disk: &DiskSpec) -> Result<Box<dyn Image>>;

    /// What was proved of the generation's disks when it was published here; empty if it did not come by a move.
    fn origin(&self, linode: LinodeId, epoch: i64) -> Result<Vec<DiskDigest>>;

    fn list(&self) -> Result<Listing>;

    /// What a pass of `migration` reads of one disk of generation `epoch`. Stretches that may differ from the view
    /// before are reported to `changed`, if the store can tell. Of a live disk it is a clone only where all that the guest
    /// can overwrite has room beside it, and only while it has: after that, reading fails with [`Dropped`].
    fn view(
        &self,
        linode: LinodeId,
        epoch: i64,
        migration: MigrationId,
        disk: &DiskSpec,
        moment: Moment,
        changed: &mut dyn FnMut(Range<u64>),
    ) -> Result<View>;

    /// A scratch file of the source for one disk of a migration, empty if new. Goes with [`DiskStore::close_source`].
    fn source_table(&self, linode: LinodeId, migration: MigrationId, disk: DiskId) -> Result<File>;

    /// Forgets clones and scratch files of a migration at its source.
    fn close_source(&self, linode: LinodeId, migration: MigrationId) -> Result<()>;

    /// Forgets what earlier agents left of clones and scratch files at this host: they vouch for nothing any more, and their
    /// room is guests'. For the agent's start, before it serves; gives how many migrations' there were.
    fn forget_sources(&self) -> Result<u32>;

    /// Throw-away clones of a migration's copies, as they are now, and where a driver finds them: sharing blocks with them
    /// where the store can, and otherwise copied, if there is room. What an earlier trial left goes first. The copies are
    /// only read.
    fn make_trial(
        &self,
        _linode: LinodeId,
        _migration: MigrationId,
        _disks: &[DiskSpec],
        _pace: Pace<'_>,
    ) -> Result<Vec<(DiskId, PathBuf)>> {
        let public = "This host keeps disks in a way of which no trial can be made";
        Err(DiskError::new(DiskFault::Refused, public, "no clones"))
    }

    /// Is there room for what the clones' guest may still write? Asked again and again while it runs.
    fn has_room_for_trial(&self) -> bool {
        true
    }

    /// Deletes the clones, whole or not. Idempotent.
    fn drop_trial(&self, _linode: LinodeId, _migration: MigrationId) -> Result<()> {
        Ok(())
    }
}
