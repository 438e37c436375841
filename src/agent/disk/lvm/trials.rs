//! Throw-away clones of copies that are volumes: snapshots of them, which take only what their guest writes, or, where none can
//! be taken (no room, or a kernel without them), volumes of their own, filled from the copies.
//!
//! Nothing writes to a copy while a trial of it is there, so a snapshot's room is its guest's. A snapshot is named by a record
//! in the trial's folder like any volume, and intended before it is made: whoever destroys the folder destroys it.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::LvmStore;
use super::group::TRIAL_TAG;
use super::record::{self, Intent, Record};
use super::volume::{Volume, refused};
use crate::agent::disk::dir::Dir;
use crate::agent::disk::layout::at;
use crate::agent::disk::{DiskError, DiskFault, Pace, Result, go};
use crate::domain::ids::{DiskId, LinodeId, MigrationId};
use crate::wire::DiskSpec;

/// Room for what a clone writes in its five minutes: an eighth of its disk, between these, and no more than the disk has.
const LEAST: u64 = 256 << 20;
const MOST: u64 = 4 << 30;
/// How often snapshots are looked at: each look is a process.
const LOOK: Duration = Duration::from_secs(2);

impl LvmStore {
    pub(super) fn clone_copies(
        &self,
        (linode, migration): (LinodeId, MigrationId),
        disks: &[DiskSpec],
        pace: Pace<'_>,
    ) -> Result<Vec<(DiskId, PathBuf)>> {
        let destroy = |folder: &_| self.destroy(linode, folder);
        let anew = || {
            self.folders.drop_trial(linode, migration, &destroy)?;
            self.folders.for_trial(linode, migration)
        };
        let of = (linode, migration);
        self.watch_snapshots(None);
        let (copies, mut clones) = anew()?;
        match self.take_snapshots(of, (&copies, &clones), disks, pace) {
            Ok(()) => self.watch_snapshots(Some(Instant::now())),
            Err(error) if error.fault == DiskFault::Stopped => return Err(error),
            Err(error) => {
                tracing::warn!(%linode, %error, "no snapshot can be taken for a trial: the copies are copied");
                let (copies, fresh) = anew()?;
                clones = fresh;
                self.copy_copies(of, (&copies, &clones), disks, pace)?;
            }
        }
        clones.sync().map_err(at("sync the clones' folder"))?;
        let path = |disk: &DiskSpec| {
            let record = record::of(&clones, disk.id)?;
            Ok::<_, DiskError>((disk.id, self.group.path(&record.name)))
        };
        disks.iter().map(path).collect()
    }

    fn take_snapshots(
        &self,
        (linode, migration): (LinodeId, MigrationId),
        (copies, clones): (&Dir, &Dir),
        disks: &[DiskSpec],
        pace: Pace<'_>,
    ) -> Result<()> {
        let volumes = self.group.volumes()?;
        let mut tags = record::tags(linode, migration);
        tags.push(TRIAL_TAG.into());
        let mut names = Vec::with_capacity(disks.len());
        for disk in disks {
            go(pace, 0)?;
            let copy = Self::record(copies, disk)?;
            let name = record::free_snapshot_name(linode, disk.id, &volumes);
            let intent = Intent {
                name: name.clone(),
                migration,
            };
            record::write_intent(clones, disk.id, &intent)?;
            let of = (copy.name.as_str(), copy.uuid.as_str());
            let extents = self.snapshot_extents(disk.size_bytes);
            self.group.snapshot(of, &name, extents, &tags)?;
            names.push(name);
        }
        let volumes = self.group.volumes()?;
        for (disk, name) in disks.iter().zip(names) {
            let taken = |volume: &&Volume| volume.name == name && is_snapshot(volume);
            let Some(taken) = volumes.iter().find(taken) else {
                return Err(refused(format!("the snapshot {name} is gone")));
            };
            let record = Record {
                uuid: taken.uuid.clone(),
                size: disk.size_bytes,
                blank: false,
                name,
            };
            record::write(clones, disk.id, &record)?;
        }
        Ok(())
    }

    fn copy_copies(
        &self,
        (linode, migration): (LinodeId, MigrationId),
        (copies, clones): (&Dir, &Dir),
        disks: &[DiskSpec],
        pace: Pace<'_>,
    ) -> Result<()> {
        let volumes = self.group.volumes()?;
        self.make(linode, migration, clones, disks, &volumes)?;
        let volumes = self.group.volumes()?;
        for disk in disks {
            self.fill(linode, clones, disk, &volumes, Some((pace, copies)))?;
        }
        Ok(())
    }

    fn snapshot_extents(&self, bytes: u64) -> u64 {
        let room = (bytes / 8).clamp(LEAST, MOST).min(bytes);
        room.div_ceil(self.extent).max(1)
    }

    fn watch_snapshots(&self, from: Option<Instant>) {
        *self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = from;
    }

    /// Is there room for what a clone may still write? One that finds none is lost, and would seem not to come up.
    pub(super) fn snapshots_have_room(&self) -> bool {
        let mut looked = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if looked.is_none_or(|at| at.elapsed() < LOOK) {
            return true;
        }
        *looked = Some(Instant::now());
        self.group.is_short_of_room().map_or_else(
            |error| {
                tracing::warn!(%error, "a trial's snapshots cannot be looked at");
                true
            },
            |is_short| !is_short,
        )
    }
}

/// A trial's, and nobody's disk.
pub(super) fn is_snapshot(volume: &Volume) -> bool {
    volume.tags.iter().any(|tag| tag == TRIAL_TAG)
}
