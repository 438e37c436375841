//! Copies that are files, and the room held for them.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{FallocateFlags, fallocate, ioctl_ficlone};
use rustix::io::Errno;

use super::dir::Dir;
use super::files::FileStore;
use super::folders::hold_table;
use super::holes::next_data;
use super::layout::{at, digests, generation, image, no_room, partial};
use super::{Base, DiskError, DiskStore, Pace, Result, go};
use crate::agent::absent::if_there;
use crate::domain::ids::{LinodeId, MigrationId};
use crate::wire::DiskSpec;

const ROOM: &str = "room";
/// Room kept until the copy is published: for its receipt, and what the file system itself takes.
const ROOM_KEPT: u64 = 64 * 1024;

impl FileStore {
    fn make_copy(home: &Dir, folder: &Dir, disk: &DiskSpec, base: Option<Base<'_>>) -> Result<()> {
        let name = image(disk.id);
        if folder.exists(&name).map_err(at("look for the copy"))? {
            let len = folder
                .read_write(&name)
                .and_then(|f| f.metadata())
                .map_err(at("open the copy"))?
                .len();
            if len == disk.size_bytes {
                return Ok(());
            }
        }
        // Under another name until it is whole: a copy that is there can be trusted to be as long as it should.
        let fresh = format!("{}.new", disk.id);
        let file = folder.create_anew(&fresh).map_err(at("make the copy"))?;
        if let Some(base) = base {
            let old = home
                .open_dir(&generation(base.epoch))
                .and_then(|generation| generation.read_only(&name))
                .map_err(at("open the disk to start from"))?;
            if ioctl_ficlone(&file, &old).is_err() {
                copy_sparse(&old, &file, base.pace)?;
            }
        }
        file.set_len(disk.size_bytes).map_err(at("size the copy"))?;
        file.sync_all().map_err(at("sync the copy"))?;
        folder
            .remove(&digests(disk.id))
            .map_err(at("drop an old table"))?;
        folder.rename(&fresh, &name).map_err(at("name the copy"))?;
        folder.sync().map_err(at("sync the copies' folder"))
    }

    /// Bytes that copies of these disks take already, and bytes of the room held for the rest. Blocks that a clone shares
    /// with its elder count as taken; making the copies looks closer, and still before anything is stopped.
    pub(super) fn taken_up(folder: &Dir, disks: &[DiskSpec]) -> Result<(u64, u64)> {
        let look = |name: &str| {
            let found = folder.read_only(name).and_then(|file| file.metadata());
            if_there(found).map_err(at("look for the copy"))
        };
        let mut written: u64 = 0;
        for disk in disks {
            if let Some(meta) = look(&image(disk.id))?
                && meta.len() == disk.size_bytes
            {
                written = written.saturating_add((meta.blocks() * 512).min(disk.size_bytes));
            }
        }
        let held = look(ROOM)?.map_or(0, |meta| meta.blocks() * 512);
        Ok((written, held))
    }

    /// Holds what the copies may still grow by.
    fn hold_room(&self, folder: &Dir, disks: &[DiskSpec], based: bool) -> Result<()> {
        let mut wanted: u64 = ROOM_KEPT;
        for disk in disks {
            let meta = folder
                .read_write(&image(disk.id))
                .and_then(|file| file.metadata())
                .map_err(at("size the copy"))?;
            // A clone's blocks are its elder's: what is written over them takes new ones.
            let has = if based { 0 } else { meta.blocks() * 512 };
            wanted = wanted.saturating_add(disk.size_bytes.saturating_sub(has));
            hold_table(folder, disk)?;
        }
        let room = folder.open_or_create(ROOM).map_err(at("hold room"))?;
        let meta = room.metadata().map_err(at("hold room"))?;
        let held = meta.blocks() * 512;
        let free = self.space()?.free.saturating_add(held);
        if free < wanted {
            return Err(no_room(wanted, free));
        }
        // What comes in goes before clones, and those before their guests.
        self.room.keep(wanted.saturating_sub(held));
        room.set_len(wanted).map_err(at("hold room"))?;
        match fallocate(&room, FallocateFlags::empty(), 0, wanted) {
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(e) => {
                let _ = room.set_len(0);
                Err(DiskError::io("hold room", &e.into()))
            }
        }
    }

    pub(super) fn reserve_copies(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
        base: Option<Base<'_>>,
    ) -> Result<()> {
        let (home, folder) = self.folders.reopen(linode, migration)?;
        for disk in disks {
            Self::make_copy(&home, &folder, disk, base)?;
        }
        self.hold_room(&folder, disks, base.is_some())?;
        folder.sync().map_err(at("sync the copies' folder"))
    }

    pub(super) fn give_room(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        bytes: u64,
    ) -> Result<()> {
        let folder = self.folders.folder(linode, &partial(migration))?;
        let room = folder.open_or_create(ROOM).map_err(at("use room"))?;
        let held = room.metadata().map_err(at("use room"))?.len();
        room.set_len(held.saturating_sub(bytes).max(ROOM_KEPT.min(held)))
            .map_err(at("use room"))
    }

    /// Before a copy is published: every disk fsynced, room given back.
    pub(super) fn make_durable(folder: &Dir, disks: &[DiskSpec]) -> Result<()> {
        for disk in disks {
            let file = folder
                .read_write(&image(disk.id))
                .map_err(at("open the copy"))?;
            file.sync_all().map_err(at("sync the copy"))?;
        }
        folder.remove(ROOM).map_err(at("give back room"))
    }
}

/// Copies what is not a hole.
pub(super) fn copy_sparse(from: &File, to: &File, pace: Pace<'_>) -> Result<()> {
    let failed = at("copy a disk");
    let size = from.metadata().map_err(&failed)?.len();
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    while let Some(data) = next_data(from, at, size).map_err(&failed)? {
        at = data.start;
        while at < data.end {
            let step = (data.end - at).min(buf.len() as u64);
            let part = buf
                .get_mut(..usize::try_from(step).unwrap_or(0))
                .unwrap_or_default();
            go(pace, part.len())?;
            from.read_exact_at(part, at).map_err(&failed)?;
            to.write_all_at(part, at).map_err(&failed)?;
            at += step;
        }
    }
    Ok(())
}
