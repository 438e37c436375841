//! Disks as sparse files:
//!
//! ```text
//! <store>/linodes/<linode>/e<epoch>/<disk>.img          a generation
//! <store>/linodes/<linode>/m<migration>.partial/…       copies in the making: <disk>.img, <disk>.digests, room
//! <store>/linodes/<linode>/m<migration>.source/…        a source's clones and tables: <disk>.snap, <disk>.table
//! ```
//!
//! `copy.json` in a partial or freshly published folder is the [`Receipt`]; while it is there the folder belongs to its
//! migration. `room` is a file of reserved blocks that shrinks as the copy grows: room that was promised stays free
//! without the disks losing their holes. Where the file system cannot reserve, room is only checked.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fstatvfs, ioctl_ficlone};
use rustix::io::Errno;

use super::clones;
use super::dir::Dir;
use super::image::FileImage;
use super::{
    DiskError, DiskFault, DiskStore, Image, Listing, Moment, Receipt, Space, Target, Usage, View,
};
use crate::domain::ids::{DiskId, LinodeId, MigrationId};
use crate::wire::DiskSpec;

const RECEIPT: &str = "copy.json";
const ROOM: &str = "room";
/// A receipt is a few hundred bytes a disk; anything larger is not one.
const RECEIPT_MAX: u64 = 1 << 20;

/// Room kept until the copy is published: for its receipt, and what the file system itself takes.
const ROOM_KEPT: u64 = 64 * 1024;

pub struct FileStore {
    path: PathBuf,
    linodes: Dir,
    tells_changes: bool,
}

fn at(what: &'static str) -> impl Fn(io::Error) -> DiskError {
    move |e| DiskError::io(what, &e)
}

fn generation(epoch: i64) -> String {
    format!("e{epoch}")
}
fn partial(migration: MigrationId) -> String {
    format!("m{migration}.partial")
}
fn source(migration: MigrationId) -> String {
    format!("m{migration}.source")
}
fn image(disk: DiskId) -> String {
    format!("{disk}.img")
}
fn digests(disk: DiskId) -> String {
    format!("{disk}.digests")
}

impl FileStore {
    /// Opens the store in `path`, which must exist; makes its `linodes` folder.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let root = Dir::open_root(path).map_err(at("open the store's folder"))?;
        let linodes = root
            .make_dir("linodes")
            .map_err(at("make the linodes folder"))?;
        let tells_changes = clones::supported(&linodes);
        Ok(Self {
            path: path.join("linodes"),
            linodes,
            tells_changes,
        })
    }

    fn linode(&self, linode: LinodeId) -> Result<Dir, DiskError> {
        self.linodes
            .open_dir(&linode.to_string())
            .map_err(at("open the Linode's folder"))
    }

    fn folder(&self, linode: LinodeId, name: &str) -> Result<Dir, DiskError> {
        self.linode(linode)?
            .open_dir(name)
            .map_err(at("open the disks' folder"))
    }

    /// The generation whose receipt names this migration.
    fn find_published(
        &self,
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
        &self,
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

    fn set_mode(&self, linode: LinodeId, epoch: i64, mode: u32) -> Result<(), DiskError> {
        let folder = self.folder(linode, &generation(epoch))?;
        for name in folder.names().map_err(at("list a generation"))? {
            if number(&name, "", ".img").is_some() {
                let file = folder.read_only(&name).map_err(at("open a disk"))?;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
                    .map_err(|e| DiskError::io("change a disk's mode", &e.into()))?;
                file.sync_all().map_err(at("sync a disk"))?;
            }
        }
        folder.sync().map_err(at("sync a generation"))
    }

    /// Renamed first and deleted after, so that a kill in between leaves nothing that looks like a generation.
    fn discard(&self, home: &Dir, name: &str) -> Result<(), DiskError> {
        let gone = format!("{name}.gone");
        home.remove_folder(&gone).map_err(at("delete"))?;
        match home.rename(name, &gone) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(DiskError::io("delete", &e)),
        }
        home.sync().map_err(at("delete"))?;
        home.remove_folder(&gone).map_err(at("delete"))
    }

    fn home_if_any(&self, linode: LinodeId) -> Result<Option<Dir>, DiskError> {
        match self.linodes.open_dir(&linode.to_string()) {
            Ok(home) => Ok(Some(home)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(DiskError::io("open the Linode's folder", &e)),
        }
    }
}

impl DiskStore for FileStore {
    fn space(&self) -> Result<Space, DiskError> {
        let stat =
            fstatvfs(&self.linodes).map_err(|e| DiskError::io("ask for space", &e.into()))?;
        Ok(Space {
            total: stat.f_blocks * stat.f_frsize,
            free: stat.f_bavail * stat.f_frsize,
        })
    }

    fn tells_changes(&self) -> bool {
        self.tells_changes
    }

    fn preflight(&self, disks: &[DiskSpec]) -> Result<(), DiskError> {
        let wanted = disks
            .iter()
            .fold(0_u64, |sum, disk| sum.saturating_add(disk.size_bytes));
        let free = self.space()?.free;
        if free < wanted {
            Err(no_room(wanted, free))
        } else {
            Ok(())
        }
    }

    fn check(&self, linode: LinodeId, epoch: i64, disks: &[DiskSpec]) -> Result<Usage, DiskError> {
        let folder = self.folder(linode, &generation(epoch))?;
        let mut usage = Usage {
            total: 0,
            allocated: 0,
        };
        for disk in disks {
            let meta = folder
                .read_only(&image(disk.id))
                .and_then(|file| file.metadata())
                .map_err(at("open a disk"))?;
            if meta.len() != disk.size_bytes {
                let detail = format!(
                    "disk {} has {} bytes, not {}",
                    disk.id,
                    meta.len(),
                    disk.size_bytes
                );
                return Err(DiskError::new(
                    DiskFault::Missing,
                    "A disk of this Linode does not have the size it should",
                    detail,
                ));
            }
            usage.total += disk.size_bytes;
            usage.allocated += (meta.blocks() * 512).min(disk.size_bytes);
        }
        Ok(usage)
    }

    fn path(&self, linode: LinodeId, epoch: i64, disk: DiskId) -> PathBuf {
        self.path
            .join(linode.to_string())
            .join(generation(epoch))
            .join(image(disk))
    }

    fn reserve(
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
        if let Some((epoch, _)) = self.find_published(&home, migration)? {
            home.rename(&generation(epoch), &partial(migration))
                .map_err(at("reopen the copy"))?;
            home.sync().map_err(at("reopen the copy"))?;
        }
        let folder = home
            .make_dir(&partial(migration))
            .map_err(at("make the copies' folder"))?;
        folder.remove(RECEIPT).map_err(at("drop an old receipt"))?;
        for disk in disks {
            self.make_copy(&home, &folder, disk, base)?;
        }
        self.hold_room(&folder, disks, base.is_some())?;
        folder.sync().map_err(at("sync the copies' folder"))
    }

    fn target(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disk: &DiskSpec,
    ) -> Result<Target, DiskError> {
        let folder = self.folder(linode, &partial(migration))?;
        let image = FileImage::to_write(&folder, &image(disk.id), disk.size_bytes)
            .map_err(at("open the copy"))?;
        let table = folder
            .open_or_create(&digests(disk.id))
            .map_err(at("open the copy's table"))?;
        Ok(Target {
            image: Box::new(image),
            table,
        })
    }

    fn use_room(
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

    fn publish(
        &self,
        linode: LinodeId,
        epoch: i64,
        disks: &[DiskSpec],
        receipt: &Receipt,
    ) -> Result<(), DiskError> {
        let home = self.linode(linode)?;
        let from = partial(receipt.migration);
        if let Some((known, old)) = self.find_published(&home, receipt.migration)? {
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

    fn published(
        &self,
        linode: LinodeId,
        migration: MigrationId,
    ) -> Result<Option<(i64, Receipt)>, DiskError> {
        match self.home_if_any(linode)? {
            Some(home) => self.find_published(&home, migration),
            None => Ok(None),
        }
    }

    fn activate(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        epoch: i64,
    ) -> Result<(), DiskError> {
        let home = self.linode(linode)?;
        let to = generation(epoch);
        let Some((known, _)) = self.find_published(&home, migration)? else {
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

    fn regrant(&self, linode: LinodeId, from: i64, to: i64) -> Result<(), DiskError> {
        let home = self.linode(linode)?;
        let (old, new) = (generation(from), generation(to));
        let has_old = home.exists(&old).map_err(at("regrant"))?;
        let has_new = home.exists(&new).map_err(at("regrant"))?;
        match (has_old, has_new) {
            (_, true) if from == to => Ok(()),
            (false, true) => Ok(()),
            (true, true) => Err(taken(&format!(
                "{old} and {new} of Linode {linode} both exist"
            ))),
            (true, false) => {
                home.rename(&old, &new).map_err(at("regrant"))?;
                home.sync().map_err(at("regrant"))
            }
            (false, false) => Err(DiskError::new(
                DiskFault::Missing,
                "The Linode's disks were not found on its host",
                format!("no {old} of Linode {linode}"),
            )),
        }
    }

    fn release(&self, linode: LinodeId, migration: MigrationId) -> Result<(), DiskError> {
        let Some(home) = self.home_if_any(linode)? else {
            return Ok(());
        };
        if let Some((epoch, _)) = self.find_published(&home, migration)? {
            self.discard(&home, &generation(epoch))?;
        }
        self.discard(&home, &partial(migration))
    }

    fn purge(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        match self.home_if_any(linode)? {
            Some(home) => self.discard(&home, &generation(epoch)),
            None => Ok(()),
        }
    }

    fn seal(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        self.set_mode(linode, epoch, 0o400)
    }

    fn unseal(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        self.set_mode(linode, epoch, 0o600)
    }

    fn list(&self) -> Result<Listing, DiskError> {
        let mut listing = Listing::default();
        for name in self.linodes.names().map_err(at("list the store"))? {
            let id = number(&name, "", "").map(LinodeId);
            let (Some(linode), true) = (id, self.linodes.is_folder(&name)) else {
                listing.unknown.push(format!("linodes/{name}"));
                continue;
            };
            let home = self.linode(linode)?;
            for entry in home.names().map_err(at("list a Linode's folder"))? {
                if let Some(epoch) = number(&entry, "e", "") {
                    listing.generations.push((linode, epoch));
                } else if let Some(id) = number(&entry, "m", ".partial") {
                    listing.copies.push((linode, MigrationId(id)));
                } else if !is_ours(&entry) {
                    listing.unknown.push(format!("linodes/{name}/{entry}"));
                }
            }
        }
        Ok(listing)
    }

    fn view(
        &self,
        linode: LinodeId,
        epoch: i64,
        migration: MigrationId,
        disk: &DiskSpec,
        moment: Moment,
        changed: &mut dyn FnMut(Range<u64>),
    ) -> Result<View, DiskError> {
        let home = self.linode(linode)?;
        let folder = home
            .open_dir(&generation(epoch))
            .map_err(at("open the generation"))?;
        let name = image(disk.id);
        let plain = |told| -> Result<View, DiskError> {
            let image =
                FileImage::to_read(&folder, &name, disk.size_bytes).map_err(at("open the disk"))?;
            Ok(View {
                image: Box::new(image),
                told,
            })
        };
        if !self.tells_changes {
            return plain(false);
        }
        let scratch = home
            .make_dir(&source(migration))
            .map_err(at("make the clones' folder"))?;
        let snap = format!("{}.snap", disk.id);
        let before = match scratch.read_only(&snap) {
            Ok(file) => Some(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(DiskError::io("open the clone", &e)),
        };
        let live = folder.read_only(&name).map_err(at("open the disk"))?;
        let fresh = format!("{}.snap.new", disk.id);
        let now: File = match moment {
            Moment::Live => {
                clones::clone_file(&live, &scratch, &fresh).map_err(at("clone the disk"))?
            }
            Moment::Sealed => live,
        };
        if let Some(before) = &before {
            clones::differences(before, &now, disk.size_bytes, changed)
                .map_err(at("compare clones"))?;
        }
        match moment {
            Moment::Sealed => plain(before.is_some()),
            Moment::Live => {
                scratch
                    .rename(&fresh, &snap)
                    .map_err(at("name the clone"))?;
                let image: Box<dyn Image> = Box::new(
                    FileImage::to_read(&scratch, &snap, disk.size_bytes)
                        .map_err(at("open the clone"))?,
                );
                Ok(View {
                    image,
                    told: before.is_some(),
                })
            }
        }
    }

    fn source_table(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disk: DiskId,
    ) -> Result<File, DiskError> {
        let home = self.linode(linode)?;
        let folder = home
            .make_dir(&source(migration))
            .map_err(at("make the clones' folder"))?;
        folder
            .create_anew(&format!("{disk}.table"))
            .map_err(at("make the source's table"))
    }

    fn close_source(&self, linode: LinodeId, migration: MigrationId) -> Result<(), DiskError> {
        match self.home_if_any(linode)? {
            Some(home) => home
                .remove_folder(&source(migration))
                .map_err(at("drop the clones")),
            None => Ok(()),
        }
    }
}

/// `prefix` digits `suffix`, and nothing that `parse` would be lenient about.
fn number(name: &str, prefix: &str, suffix: &str) -> Option<i64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

fn is_ours(entry: &str) -> bool {
    let gone = entry.strip_suffix(".gone").unwrap_or_default();
    number(entry, "m", ".source").is_some()
        || number(gone, "e", "").is_some()
        || number(gone, "m", ".partial").is_some()
}

fn no_room(wanted: u64, free: u64) -> DiskError {
    DiskError::new(
        DiskFault::NoSpace,
        "The new host does not have enough free disk space for this Linode",
        format!("{wanted} bytes wanted, {free} free"),
    )
}

fn taken(detail: &str) -> DiskError {
    DiskError::new(
        DiskFault::Refused,
        "The host's disks are not in the state this step needs",
        detail,
    )
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

/// Kept for callers that open a generation's disk themselves, with the same care.
impl FileStore {
    /// Opens a disk of a generation for reading and writing, refusing anything but a plain file.
    pub fn open_disk(&self, linode: LinodeId, epoch: i64, disk: DiskId) -> Result<File, DiskError> {
        let folder = self.folder(linode, &generation(epoch))?;
        folder
            .open_file(&image(disk), OFlags::RDWR)
            .map_err(at("open a disk"))
    }
}
