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
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstatvfs};

use super::clones;
use super::dir::Dir;
use super::image::FileImage;
use super::layout::{
    at, digests, generation, image, is_ours, no_room, number, partial, source, taken,
};
use super::{
    DiskError, DiskFault, DiskStore, Listing, Moment, Receipt, Space, Target, Usage, View,
};
use crate::domain::ids::{DiskId, LinodeId, MigrationId};
use crate::wire::DiskSpec;

pub struct FileStore {
    path: PathBuf,
    pub(super) linodes: Dir,
    pub(super) tells_changes: bool,
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

    pub(super) fn linode(&self, linode: LinodeId) -> Result<Dir, DiskError> {
        self.linodes
            .open_dir(&linode.to_string())
            .map_err(at("open the Linode's folder"))
    }

    pub(super) fn folder(&self, linode: LinodeId, name: &str) -> Result<Dir, DiskError> {
        self.linode(linode)?
            .open_dir(name)
            .map_err(at("open the disks' folder"))
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
    fn discard(home: &Dir, name: &str) -> Result<(), DiskError> {
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
        self.reserve_copies(linode, migration, disks, base)
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
        self.give_room(linode, migration, bytes)
    }

    fn publish(
        &self,
        linode: LinodeId,
        epoch: i64,
        disks: &[DiskSpec],
        receipt: &Receipt,
    ) -> Result<(), DiskError> {
        self.publish_copies(linode, epoch, disks, receipt)
    }

    fn published(
        &self,
        linode: LinodeId,
        migration: MigrationId,
    ) -> Result<Option<(i64, Receipt)>, DiskError> {
        match self.home_if_any(linode)? {
            Some(home) => Self::find_published(&home, migration),
            None => Ok(None),
        }
    }

    fn activate(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        epoch: i64,
    ) -> Result<(), DiskError> {
        self.activate_copies(linode, migration, epoch)
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
        if let Some((epoch, _)) = Self::find_published(&home, migration)? {
            Self::discard(&home, &generation(epoch))?;
        }
        Self::discard(&home, &partial(migration))
    }

    fn purge(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        match self.home_if_any(linode)? {
            Some(home) => Self::discard(&home, &generation(epoch)),
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
        self.open_view(linode, epoch, migration, disk, moment, changed)
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
