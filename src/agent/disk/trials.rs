//! Throw-away clones of copies that are files: of the same blocks where the file system can, and otherwise copied.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::copies::copy_sparse;
use super::dir::Dir;
use super::files::FileStore;
use super::layout::{at, image, no_room, trial};
use super::{Pace, Result};
use crate::domain::ids::{DiskId, LinodeId, MigrationId};
use crate::wire::DiskSpec;

impl FileStore {
    pub(super) fn clone_copies(
        &self,
        (linode, migration): (LinodeId, MigrationId),
        disks: &[DiskSpec],
        pace: Pace<'_>,
    ) -> Result<Vec<(DiskId, PathBuf)>> {
        self.folders.drop_trial(linode, migration, &|_| Ok(()))?;
        let (copies, clones) = self.folders.for_trial(linode, migration)?;
        let stored = if self.tells_changes {
            0
        } else {
            stored(&copies, disks)?
        };
        let (free, reserve) = self.room.free().map_err(at("ask for space"))?;
        let wanted = stored.saturating_add(reserve);
        if free < wanted {
            return Err(no_room(wanted, free));
        }
        let mut made = Vec::with_capacity(disks.len());
        for disk in disks {
            let name = image(disk.id);
            let copy = copies.read_only(&name).map_err(at("open the copy"))?;
            let clone = clones.create_anew(&name).map_err(at("make the clone"))?;
            if self.tells_changes {
                let shared = self.room.ground.share(&copy, &clone);
                shared.map_err(at("clone the copy"))?;
            } else {
                clone
                    .set_len(disk.size_bytes)
                    .map_err(at("size the clone"))?;
                copy_sparse(&copy, &clone, pace)?;
            }
            made.push((
                disk.id,
                self.linode_path(linode).join(trial(migration)).join(name),
            ));
        }
        Ok(made)
    }

    /// What is free beside the reserve, of which half is what may be written between two looks.
    pub(super) fn room_for_clones(&self) -> bool {
        let found = self.room.free();
        found.is_ok_and(|(free, reserve)| free >= reserve / 2)
    }
}

fn stored(copies: &Dir, disks: &[DiskSpec]) -> Result<u64> {
    let mut sum: u64 = 0;
    for disk in disks {
        let about = copies
            .read_only(&image(disk.id))
            .and_then(|file| file.metadata());
        sum = sum.saturating_add(about.map_err(at("open the copy"))?.blocks() * 512);
    }
    Ok(sum)
}
