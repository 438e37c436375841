//! Throw-away clones of copies that are volumes.

use super::LvmStore;
use super::record;
use crate::agent::disk::layout::at;
use crate::agent::disk::{DiskError, Pace};
use crate::domain::ids::{DiskId, LinodeId, MigrationId};
use crate::wire::DiskSpec;
use std::path::PathBuf;

impl LvmStore {
    /// Volumes of their own, filled from the copies: linear volumes share nothing.
    pub(super) fn clone_copies(
        &self,
        (linode, migration): (LinodeId, MigrationId),
        disks: &[DiskSpec],
        pace: Pace<'_>,
    ) -> Result<Vec<(DiskId, PathBuf)>, DiskError> {
        let destroy = |folder: &_| self.destroy(linode, folder);
        self.folders.drop_trial(linode, migration, &destroy)?;
        let (copies, clones) = self.folders.for_trial(linode, migration)?;
        let volumes = self.group.volumes()?;
        self.make(linode, migration, &clones, disks, &volumes)?;
        let volumes = self.group.volumes()?;
        let mut made = Vec::with_capacity(disks.len());
        for disk in disks {
            self.fill(linode, &clones, disk, &volumes, Some((pace, &copies)))?;
            let record = record::of(&clones, disk.id)?;
            made.push((disk.id, self.group.path(&record.name)));
        }
        clones.sync().map_err(at("sync the clones' folder"))?;
        Ok(made)
    }
}
