//! Disks as linear volumes of an LVM volume group.
//!
//! LVM cannot rename several volumes in one act, so names mean nothing here: which volumes are a generation is said by a
//! folder of small records, which is published, activated and regranted by one rename like every store's
//! ([`super::folders`]):
//!
//! ```text
//! <store>/linodes/<linode>/e<epoch>/<disk>.vol          which volume it is, and the disk's exact size
//! <store>/linodes/<linode>/m<migration>.partial/…       <disk>.vol, <disk>.digests; <disk>.making before the volume is made
//! ```
//!
//! A trial's clones are snapshots of the copies, named `xbt-<linode>-<disk>-<n>` and tagged `xb.trial` besides; where none
//! can be taken, volumes like any other.
//!
//! Volumes are named `xb-<linode>-<disk>-<n>` and tagged `xb`, `xb.linode=…`, `xb.migration=…`. A record names its volume
//! by UUID, and a device is used only if the kernel says that it is that very volume. Nothing is removed but what a
//! folder that is being deleted names; a volume with our tag that no folder names is reported.
//!
//! A fresh volume holds what its extents held before, perhaps another customer's data. Nothing here relies on it being
//! zeros: a copy's table of digests starts empty, so every chunk is either written or zeroed, read back, and only then
//! known, and a copy with a chunk that is not known is never published. What is behind a disk's end is zeroed when its
//! volume is made.

mod adopt;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod group;
mod image;
mod making;
mod record;
mod report;
mod trials;
pub mod volume;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use image::VolumeImage;
use record::{Named, Record};
use volume::refused;

use super::dir::Dir;
use super::folders::{Folders, copy_table};
use super::layout::{generation, no_room, partial};
use super::{
    Base, DiskError, DiskFault, DiskStore, Image, Listing, Moment, Pace, Receipt, Result, Space,
    Target, Usage, View,
};
use crate::domain::ids::{DiskId, LinodeId, MigrationId};
use crate::wire::{DiskDigest, DiskSpec};

pub use adopt::Adopted;
pub use group::{Commands, Group, TAG, TRIAL_TAG};
pub use volume::{Extents, Volume};

/// How old what is *reported* of the group may be: an agent reports with every poll, and each report is a process. What
/// is decided on is always asked anew.
const REPORT_AGE: Duration = Duration::from_secs(30);

pub struct LvmStore {
    pub(in crate::agent::disk) folders: Folders,
    pub(in crate::agent::disk) group: Arc<dyn Group>,
    /// Bytes of an extent.
    extent: u64,
    seen: Mutex<Option<(Instant, Extents, Vec<Volume>)>>,
    /// While a trial has snapshots: when they were looked at last.
    snapshots: Mutex<Option<Instant>>,
}

impl LvmStore {
    /// Opens the store on a volume group; its records are in `dir`, which must exist.
    pub fn open(group: Arc<dyn Group>, dir: &Path) -> Result<Self> {
        let extent = group.extents()?.size;
        if extent == 0 || !extent.is_multiple_of(super::aligned::ALIGN as u64) {
            return Err(refused(format!("extents of {extent} bytes are too small")));
        }
        Ok(Self {
            folders: Folders::open(dir)?,
            group,
            extent,
            seen: Mutex::new(None),
            snapshots: Mutex::new(None),
        })
    }

    fn extents_for(&self, disks: &[DiskSpec]) -> u64 {
        let each = disks.iter().map(|d| d.size_bytes.div_ceil(self.extent));
        each.fold(0_u64, u64::saturating_add)
    }

    /// Refuses what does not fit into the group now.
    fn fits(&self, disks: &[DiskSpec]) -> Result<()> {
        let (wanted, free) = (self.extents_for(disks), self.group.extents()?.free);
        if wanted <= free {
            return Ok(());
        }
        let bytes = |extents: u64| extents.saturating_mul(self.extent);
        Err(no_room(bytes(wanted), bytes(free)))
    }

    fn device(&self, record: &Record, write: bool) -> Result<File> {
        self.group.open(&record.name, &record.uuid, write)
    }

    fn image(&self, record: &Record, write: bool) -> Result<VolumeImage> {
        let device = self.device(record, write)?;
        VolumeImage::new(device, record.size).map_err(|e| missing(&record.name, &e.to_string()))
    }

    /// The disk's record, which must be of this size.
    fn record(folder: &Dir, disk: &DiskSpec) -> Result<Record> {
        let record = record::of(folder, disk.id)?;
        if record.size == disk.size_bytes {
            return Ok(record);
        }
        let (found, wanted) = (record.size, disk.size_bytes);
        let detail = format!("disk {} has {found} bytes, not {wanted}", disk.id);
        Err(DiskError::new(
            DiskFault::Missing,
            "A disk of this Linode does not have the size it should",
            detail,
        ))
    }

    /// No process where everything is as it should be, and otherwise one for all disks: this is in a move's downtime.
    fn set_writable(&self, linode: LinodeId, epoch: i64, writable: bool) -> Result<()> {
        let folder = self.folders.folder(linode, &generation(epoch))?;
        let Named { records, .. } = Named::in_folder(&folder)?;
        let mut others = Vec::new();
        let mut devices = Vec::new();
        for (_, record) in &records {
            let device = self.device(record, false)?;
            if self.group.is_writable(&device)? != writable {
                // Also what others wrote through this host's memory, and what the device itself only remembers.
                device
                    .sync_all()
                    .map_err(|e| DiskError::io("sync a disk", &e))?;
                others.push(record.uuid.as_str());
            }
            devices.push(device);
        }
        if others.is_empty() {
            return Ok(());
        }
        self.group.set_writable(&others, writable)?;
        for (device, (_, record)) in devices.iter().zip(&records) {
            if self.group.is_writable(device)? != writable {
                let detail = format!("{} did not change its permission", record.name);
                return Err(DiskError::new(
                    DiskFault::Io,
                    "The host's storage reported an error",
                    detail,
                ));
            }
        }
        Ok(())
    }

    /// Removes the volumes that a folder names. Only ever called for folders that are being deleted.
    fn destroy(&self, linode: LinodeId, folder: &Dir) -> Result<()> {
        let named = Named::in_folder(folder)?;
        let mut uuids: Vec<String> = named.records.into_iter().map(|(_, r)| r.uuid).collect();
        if !named.intents.is_empty() {
            let volumes = self.group.volumes()?;
            for intent in &named.intents {
                let made = volumes.iter().find(|v| intent.is(linode, v));
                uuids.extend(made.map(|volume| volume.uuid.clone()));
            }
        }
        let uuids: Vec<&str> = uuids.iter().map(String::as_str).collect();
        self.group.remove(&uuids)?;
        self.forget_report();
        Ok(())
    }

    fn forget_report(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// For reports only: may be as old as [`REPORT_AGE`].
    fn reported(&self) -> Result<(Extents, Vec<Volume>)> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, extents, volumes)) = &*seen
            && at.elapsed() < REPORT_AGE
        {
            return Ok((*extents, volumes.clone()));
        }
        let (extents, volumes) = (self.group.extents()?, self.group.volumes()?);
        *seen = Some((Instant::now(), extents, volumes.clone()));
        Ok((extents, volumes))
    }
}

fn missing(name: &str, detail: &str) -> DiskError {
    DiskError::new(
        DiskFault::Missing,
        "A disk of this Linode does not have the size it should",
        format!("{name}: {detail}"),
    )
}

impl DiskStore for LvmStore {
    fn space(&self) -> Result<Space> {
        let (extents, _) = self.reported()?;
        Ok(Space {
            total: extents.total.saturating_mul(extents.size),
            free: extents.free.saturating_mul(extents.size),
        })
    }

    /// Linear volumes do not know what was written to them.
    fn tells_changes(&self) -> bool {
        false
    }

    fn preflight(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
    ) -> Result<()> {
        let Some(folder) = self.folders.left_over(linode, migration)? else {
            return self.fits(disks);
        };
        self.fits(&self.still_to_make(linode, &folder, disks)?)
    }

    fn check(&self, linode: LinodeId, epoch: i64, disks: &[DiskSpec]) -> Result<Usage> {
        let folder = self.folders.folder(linode, &generation(epoch))?;
        let mut total: u64 = 0;
        for disk in disks {
            self.image(&Self::record(&folder, disk)?, false)?;
            total += disk.size_bytes;
        }
        Ok(Usage {
            total,
            allocated: total,
        })
    }

    fn path(&self, linode: LinodeId, epoch: i64, disk: DiskId) -> PathBuf {
        let found = self.folders.folder(linode, &generation(epoch));
        let record = found.and_then(|folder| record::of(&folder, disk));
        // Without a record, a name that no volume has: whoever opens it hears that it is not there.
        let name = record.map_or_else(|_| format!("xb-{linode}-{disk}-0"), |record| record.name);
        self.group.path(&name)
    }

    fn reserve(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
        base: Option<Base<'_>>,
    ) -> Result<()> {
        let done = self.make_copies(linode, migration, disks, base);
        self.forget_report();
        done
    }

    fn target(&self, linode: LinodeId, migration: MigrationId, disk: &DiskSpec) -> Result<Target> {
        let folder = self.folders.folder(linode, &partial(migration))?;
        let record = Self::record(&folder, disk)?;
        Ok(Target {
            image: Box::new(self.image(&record, true)?),
            table: copy_table(&folder, disk.id)?,
            blank: record.blank,
        })
    }

    /// A volume has all its room from the start.
    fn use_room(&self, _: LinodeId, _: MigrationId, _: u64) -> Result<()> {
        Ok(())
    }

    fn publish(
        &self,
        linode: LinodeId,
        epoch: i64,
        disks: &[DiskSpec],
        receipt: &Receipt,
    ) -> Result<()> {
        self.folders.publish(linode, epoch, receipt, |folder| {
            for disk in disks {
                self.device(&Self::record(folder, disk)?, true)?
                    .sync_all()
                    .map_err(|e| DiskError::io("sync the copy", &e))?;
            }
            Ok(())
        })
    }

    fn published(
        &self,
        linode: LinodeId,
        migration: MigrationId,
    ) -> Result<Option<(i64, Receipt)>> {
        self.folders.published(linode, migration)
    }

    fn activate(&self, linode: LinodeId, migration: MigrationId, epoch: i64) -> Result<()> {
        self.folders.activate(linode, migration, epoch)
    }

    fn regrant(&self, linode: LinodeId, from: i64, to: i64) -> Result<()> {
        self.folders.regrant(linode, from, to)
    }

    fn release(&self, linode: LinodeId, migration: MigrationId) -> Result<()> {
        let destroy = |folder: &Dir| self.destroy(linode, folder);
        self.folders.release(linode, migration, &destroy)
    }

    fn purge(&self, linode: LinodeId, epoch: i64) -> Result<()> {
        let destroy = |folder: &Dir| self.destroy(linode, folder);
        self.folders.purge(linode, epoch, &destroy)
    }

    fn seal(&self, linode: LinodeId, epoch: i64) -> Result<()> {
        self.set_writable(linode, epoch, false)
    }

    fn unseal(&self, linode: LinodeId, epoch: i64) -> Result<()> {
        self.set_writable(linode, epoch, true)
    }

    fn look(&self, linode: LinodeId, epoch: i64, disk: &DiskSpec) -> Result<Box<dyn Image>> {
        let folder = self.folders.folder(linode, &generation(epoch))?;
        let record = Self::record(&folder, disk)?;
        Ok(Box::new(self.image(&record, false)?))
    }

    fn origin(&self, linode: LinodeId, epoch: i64) -> Result<Vec<DiskDigest>> {
        self.folders.origin(linode, epoch)
    }

    fn list(&self) -> Result<Listing> {
        // The group first: a volume is named by a folder before it is made.
        let (_, volumes) = self.reported()?;
        let mut listing = self.folders.list()?;
        let named = self.all_named(&mut |folder, error| {
            listing.unknown.push(format!("{folder}: {}", error.detail));
            Ok(())
        })?;
        for volume in volumes {
            if !named
                .iter()
                .any(|(linode, named)| named.names(*linode, &volume))
            {
                listing.unknown.push(format!("volume {}", volume.name));
            }
        }
        Ok(listing)
    }

    fn view(
        &self,
        linode: LinodeId,
        epoch: i64,
        _: MigrationId,
        disk: &DiskSpec,
        _: Moment,
        _: &mut dyn FnMut(Range<u64>),
    ) -> Result<View> {
        let folder = self.folders.folder(linode, &generation(epoch))?;
        let record = Self::record(&folder, disk)?;
        let image = self.image(&record, false)?;
        if !image
            .tail_is_clear()
            .map_err(|e| DiskError::io("read behind the disk's end", &e))?
        {
            return Err(DiskError::new(
                DiskFault::Refused,
                "A disk of this Linode was used beyond its size, and a copy would cut that off",
                format!("{}: not zeros from byte {} on", record.name, record.size),
            ));
        }
        Ok(View {
            image: Box::new(image),
            told: false,
            moving: false,
        })
    }

    fn source_table(&self, linode: LinodeId, migration: MigrationId, disk: DiskId) -> Result<File> {
        self.folders.source_table(linode, migration, disk)
    }

    fn close_source(&self, linode: LinodeId, migration: MigrationId) -> Result<()> {
        self.folders.close_source(linode, migration)
    }

    fn forget_sources(&self) -> Result<u32> {
        self.folders.forget_sources()
    }

    fn make_trial(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
        pace: Pace<'_>,
    ) -> Result<Vec<(DiskId, PathBuf)>> {
        let made = self.clone_copies((linode, migration), disks, pace);
        self.forget_report();
        made
    }

    fn has_room_for_trial(&self) -> bool {
        self.snapshots_have_room()
    }

    fn drop_trial(&self, linode: LinodeId, migration: MigrationId) -> Result<()> {
        let destroy = |folder: &Dir| self.destroy(linode, folder);
        self.folders.drop_trial(linode, migration, &destroy)
    }
}
