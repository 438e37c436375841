//! Volumes for copies in the making. A record is written only when the volume is all it says: of its size, with zeros
//! behind the disk's end, and with the content it was to start from.

use super::record::{self, Intent, Named, Record};
use super::volume::Volume;
use super::{LvmStore, refused};
use crate::agent::disk::aligned::AlignedBuf;
use crate::agent::disk::dir::Dir;
use crate::agent::disk::folders::hold_table;
use crate::agent::disk::layout::{at, digests, generation, number};
use crate::agent::disk::{Base, DiskError, Image, Pace, Result, go};
use crate::domain::ids::{LinodeId, MigrationId};
use crate::wire::DiskSpec;

impl LvmStore {
    pub(super) fn make_copies(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
        base: Option<Base<'_>>,
    ) -> Result<()> {
        let (home, folder) = self.folders.reopen(linode, migration)?;
        let volumes = self.group.volumes()?;
        let mut missing = Vec::new();
        for disk in disks {
            if !self.keep(&folder, disk, &volumes)? {
                missing.push(disk.clone());
            }
        }
        if !missing.is_empty() {
            self.make(linode, migration, &folder, &missing, &volumes)?;
            let volumes = self.group.volumes()?;
            let elder = base.map(|base| home.open_dir(&generation(base.epoch)));
            let elder = elder
                .transpose()
                .map_err(at("open the disk to start from"))?;
            let base = base.map(|base| base.pace).zip(elder.as_ref());
            for disk in &missing {
                self.fill(linode, &folder, disk, &volumes, base)?;
            }
        }
        for disk in disks {
            hold_table(&folder, disk)?;
        }
        folder.sync().map_err(at("sync the copies' folder"))
    }

    /// Whether the copy is there as it should be. One of another size is removed.
    fn keep(&self, folder: &Dir, disk: &DiskSpec, volumes: &[Volume]) -> Result<bool> {
        let Some(record) = record::read(folder, disk.id)? else {
            return Ok(false);
        };
        let there = volumes.iter().any(|volume| volume.uuid == record.uuid);
        if there && record.size == disk.size_bytes {
            record::forget_intent(folder, disk.id)?;
            return Ok(true);
        }
        self.group.remove(&[&record.uuid])?;
        record::forget(folder, disk.id)?;
        Ok(false)
    }

    /// The disks for which [`LvmStore::make_copies`] would make a volume. Changes nothing.
    pub(super) fn still_to_make(
        &self,
        linode: LinodeId,
        folder: &Dir,
        disks: &[DiskSpec],
    ) -> Result<Vec<DiskSpec>> {
        let volumes = self.group.volumes()?;
        let mut missing = Vec::new();
        for disk in disks {
            let made = if let Some(record) = record::read(folder, disk.id)? {
                record.size == disk.size_bytes && volumes.iter().any(|v| v.uuid == record.uuid)
            } else if let Some(intent) = record::read_intent(folder, disk.id)? {
                let bytes = self.volume_bytes(disk);
                volumes
                    .iter()
                    .any(|v| intent.is(linode, v) && v.bytes == bytes)
            } else {
                false
            };
            if !made {
                missing.push(disk.clone());
            }
        }
        Ok(missing)
    }

    /// A volume for each of these disks, each intended before it is made.
    pub(super) fn make(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        folder: &Dir,
        disks: &[DiskSpec],
        volumes: &[Volume],
    ) -> Result<()> {
        let mut wanted = Vec::new();
        for disk in disks {
            if let Some(intent) = record::read_intent(folder, disk.id)?
                && let Some(made) = volumes.iter().find(|v| intent.is(linode, v))
            {
                if made.bytes == self.volume_bytes(disk) {
                    continue;
                }
                self.group.remove(&[&made.uuid])?;
            }
            wanted.push(disk.clone());
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.fits(&wanted)?;
        for disk in &wanted {
            let name = record::free_name(linode, disk.id, volumes);
            record::write_intent(
                folder,
                disk.id,
                &Intent {
                    name: name.clone(),
                    migration,
                },
            )?;
            let extents = disk.size_bytes.div_ceil(self.extent).max(1);
            self.group
                .create(&name, extents, &record::tags(linode, migration))?;
        }
        Ok(())
    }

    /// Makes the intended volume what its record will say of it.
    pub(super) fn fill(
        &self,
        linode: LinodeId,
        folder: &Dir,
        disk: &DiskSpec,
        volumes: &[Volume],
        base: Option<(Pace<'_>, &Dir)>,
    ) -> Result<()> {
        let intent = record::read_intent(folder, disk.id)?;
        let made = intent.and_then(|intent| volumes.iter().find(|v| intent.is(linode, v)));
        let Some(made) = made else {
            return Err(refused(format!(
                "the volume made for disk {} is gone",
                disk.id
            )));
        };
        let record = Record {
            name: made.name.clone(),
            uuid: made.uuid.clone(),
            size: disk.size_bytes,
            blank: base.is_none(),
        };
        let copy = self.image(&record, true)?;
        copy.clear_tail()
            .map_err(at("zero behind the disk's end"))?;
        if let Some((pace, folder)) = base {
            let elder = self.image(&record::of(folder, disk.id)?, false)?;
            copy_disk(&elder, &copy, pace)?;
        }
        copy.sync().map_err(at("sync the copy"))?;
        folder
            .remove(&digests(disk.id))
            .map_err(at("drop an old table"))?;
        record::write(folder, disk.id, &record)
    }

    fn volume_bytes(&self, disk: &DiskSpec) -> u64 {
        disk.size_bytes
            .next_multiple_of(self.extent)
            .max(self.extent)
    }

    /// What every folder of the store names, also those that are being deleted. What cannot be read is told to `odd`.
    pub(super) fn all_named(
        &self,
        odd: &mut dyn FnMut(String, DiskError) -> Result<()>,
    ) -> Result<Vec<(LinodeId, Named)>> {
        let mut named = Vec::new();
        let root = &self.folders.root;
        for name in root.names().map_err(at("list the store"))? {
            let linode = number(&name, "", "").map(LinodeId);
            let (Some(linode), true) = (linode, root.is_folder(&name)) else {
                continue;
            };
            let home = self.folders.linode(linode)?;
            for entry in home.names().map_err(at("list a Linode's folder"))? {
                let whole = entry.strip_suffix(".gone").unwrap_or(&entry);
                let disks = number(whole, "e", "")
                    .or_else(|| number(whole, "m", ".partial"))
                    .or_else(|| number(whole, "m", ".trial"));
                if disks.is_none() || !home.is_folder(&entry) {
                    continue;
                }
                // One that is renamed or deleted right now is not looked at: whoever does that knows its volumes.
                let Ok(folder) = home.open_dir(&entry) else {
                    continue;
                };
                match Named::in_folder(&folder) {
                    Ok(all) => named.push((linode, all)),
                    Err(e) => odd(format!("linodes/{name}/{entry}"), e)?,
                }
            }
        }
        Ok(named)
    }
}

/// All of one disk onto another, which may be longer or shorter: what has no counterpart reads as zeros.
pub(super) fn copy_disk(from: &dyn Image, to: &dyn Image, pace: Pace<'_>) -> Result<()> {
    let failed = at("copy a disk");
    let mut buf = AlignedBuf::new(1 << 20);
    let common = from.size().min(to.size());
    let mut at = 0;
    while at < common {
        let n = usize::try_from(common - at)
            .unwrap_or(buf.len())
            .min(buf.len());
        go(pace, n)?;
        let bytes = buf.get_mut(..n).unwrap_or_default();
        from.read_uncached(bytes, at).map_err(&failed)?;
        if bytes.iter().all(|byte| *byte == 0) {
            to.punch(at..at + n as u64).map_err(&failed)?;
        } else {
            to.write_at(bytes, at).map_err(&failed)?;
        }
        at += n as u64;
    }
    if common < to.size() {
        to.punch(common..to.size()).map_err(&failed)?;
    }
    Ok(())
}
