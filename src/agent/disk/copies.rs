//! Copies from reserved to activated, the room held for them, and their receipt.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{FallocateFlags, fallocate, ioctl_ficlone};
use rustix::io::Errno;

use super::dir::Dir;
use super::files::FileStore;
use super::layout::{at, digests, generation, image, no_room, number, partial, taken};
use super::{DiskError, DiskFault, DiskStore, Receipt};
use crate::domain::ids::{LinodeId, MigrationId};
use crate::wire::DiskSpec;

const RECEIPT: &str = "copy.json";
const ROOM: &str = "room";
/// A receipt is a few hundred bytes a disk; anything larger is not one.
const RECEIPT_MAX: u64 = 1 << 20;

/// Room kept until the copy is published: for its receipt, and what the file system itself takes.
const ROOM_KEPT: u64 = 64 * 1024;

impl FileStore {
    /// The generation whose receipt names this migration.
    pub(super) fn find_published(
        home: &Dir,
        migration: MigrationId,
    ) -> Result<Option<(i64, Receipt)>, DiskError> {
        for name in home.names().map_err(at("list the Linode's folder"))? {
            let Some(epoch) = number(&name, "e", "") else {
                continue;
            };
            let folder = home.open_dir(&name).map_err(at("open a generation"))?;
            match read_receipt(&folder)? {
                Some(receipt) if receipt.migration == migration => {
                    return Ok(Some((epoch, receipt)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn make_copy(
        home: &Dir,
        folder: &Dir,
        disk: &DiskSpec,
        base: Option<i64>,
    ) -> Result<(), DiskError> {
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
        if let Some(epoch) = base {
            let old = home
                .open_dir(&generation(epoch))
                .and_then(|generation| generation.read_only(&name))
                .map_err(at("open the disk to start from"))?;
            if ioctl_ficlone(&file, &old).is_err() {
                copy_sparse(&old, &file).map_err(at("copy the disk to start from"))?;
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

    /// Holds what the copies may still grow by.
    fn hold_room(&self, folder: &Dir, disks: &[DiskSpec], based: bool) -> Result<(), DiskError> {
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
        base: Option<i64>,
    ) -> Result<(), DiskError> {
        let home = self
            .linodes
            .make_dir(&linode.to_string())
            .map_err(at("make the Linode's folder"))?;
        if let Some((epoch, _)) = Self::find_published(&home, migration)? {
            home.rename(&generation(epoch), &partial(migration))
                .map_err(at("reopen the copy"))?;
            home.sync().map_err(at("reopen the copy"))?;
        }
        let folder = home
            .make_dir(&partial(migration))
            .map_err(at("make the copies' folder"))?;
        folder.remove(RECEIPT).map_err(at("drop an old receipt"))?;
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
    ) -> Result<(), DiskError> {
        let folder = self.folder(linode, &partial(migration))?;
        let room = folder.open_or_create(ROOM).map_err(at("use room"))?;
        let held = room.metadata().map_err(at("use room"))?.len();
        room.set_len(held.saturating_sub(bytes).max(ROOM_KEPT.min(held)))
            .map_err(at("use room"))
    }

    pub(super) fn publish_copies(
        &self,
        linode: LinodeId,
        epoch: i64,
        disks: &[DiskSpec],
        receipt: &Receipt,
    ) -> Result<(), DiskError> {
        let home = self.linode(linode)?;
        let from = partial(receipt.migration);
        if let Some((known, old)) = Self::find_published(&home, receipt.migration)? {
            if known == epoch && old.sealed == receipt.sealed {
                return Ok(());
            }
            return Err(taken(&format!(
                "migration {} published e{known} already",
                receipt.migration
            )));
        }
        let to = generation(epoch);
        if home.exists(&to).map_err(at("publish"))? {
            return Err(taken(&format!("{to} of Linode {linode} exists already")));
        }
        let folder = home
            .open_dir(&from)
            .map_err(at("open the copies' folder"))?;
        for disk in disks {
            let file = folder
                .read_write(&image(disk.id))
                .map_err(at("open the copy"))?;
            file.sync_all().map_err(at("sync the copy"))?;
        }
        folder.remove(ROOM).map_err(at("give back room"))?;
        write_receipt(&folder, receipt)?;
        home.rename(&from, &to).map_err(at("publish"))?;
        home.sync().map_err(at("publish"))
    }

    pub(super) fn activate_copies(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        epoch: i64,
    ) -> Result<(), DiskError> {
        let home = self.linode(linode)?;
        let to = generation(epoch);
        let Some((known, _)) = Self::find_published(&home, migration)? else {
            // Asked again after it was done.
            return match home.exists(&to) {
                Ok(true) => Ok(()),
                Ok(false) => Err(DiskError::new(
                    DiskFault::Missing,
                    "The copied disks were not found on the new host",
                    format!("migration {migration} published nothing for Linode {linode}"),
                )),
                Err(e) => Err(DiskError::io("activate", &e)),
            };
        };
        if known != epoch {
            if home.exists(&to).map_err(at("activate"))? {
                return Err(taken(&format!("{to} of Linode {linode} exists already")));
            }
            home.rename(&generation(known), &to)
                .map_err(at("activate"))?;
            home.sync().map_err(at("activate"))?;
        }
        let folder = home.open_dir(&to).map_err(at("activate"))?;
        for name in folder.names().map_err(at("activate"))? {
            if number(&name, "", ".digests").is_some() {
                folder.remove(&name).map_err(at("activate"))?;
            }
        }
        folder.remove(RECEIPT).map_err(at("activate"))?;
        folder.sync().map_err(at("activate"))
    }
}

fn read_receipt(folder: &Dir) -> Result<Option<Receipt>, DiskError> {
    let file = match folder.read_only(RECEIPT) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(DiskError::io("open the receipt", &e)),
    };
    let mut text = String::new();
    file.take(RECEIPT_MAX)
        .read_to_string(&mut text)
        .map_err(at("read the receipt"))?;
    let parsed = serde_json::from_str(&text);
    parsed
        .map(Some)
        .map_err(|e| taken(&format!("a receipt does not parse: {e}")))
}

fn write_receipt(folder: &Dir, receipt: &Receipt) -> Result<(), DiskError> {
    let text = serde_json::to_vec(receipt).map_err(|e| taken(&format!("receipt: {e}")))?;
    let fresh = "copy.new";
    let mut file = folder.create_anew(fresh).map_err(at("write the receipt"))?;
    file.write_all(&text)
        .and_then(|()| file.sync_all())
        .map_err(at("write the receipt"))?;
    folder
        .rename(fresh, RECEIPT)
        .and_then(|()| folder.sync())
        .map_err(at("write the receipt"))
}

/// Blocks for the copy's table of digests: 32 bytes for each 16 KiB, and its head.
fn hold_table(folder: &Dir, disk: &DiskSpec) -> Result<(), DiskError> {
    let table = folder
        .open_or_create(&digests(disk.id))
        .map_err(at("hold room for a table"))?;
    let len = disk.size_bytes / 512 + 16 * 1024;
    match fallocate(&table, FallocateFlags::KEEP_SIZE, 0, len) {
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(e) => Err(DiskError::io("hold room for a table", &e.into())),
    }
}

/// Copies what is not a hole.
fn copy_sparse(from: &File, to: &File) -> io::Result<()> {
    let size = from.metadata()?.len();
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let start = match rustix::fs::seek(from, rustix::fs::SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        let end = rustix::fs::seek(from, rustix::fs::SeekFrom::Hole(start))?.min(size);
        at = start;
        while at < end {
            let step = (end - at).min(buf.len() as u64);
            let part = buf
                .get_mut(..usize::try_from(step).unwrap_or(0))
                .unwrap_or_default();
            from.read_exact_at(part, at)?;
            to.write_all_at(part, at)?;
            at += step;
        }
    }
}
