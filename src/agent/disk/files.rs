//! Disks as sparse files:
//!
//! ```text
//! <store>/linodes/<linode>/e<epoch>/<disk>.img          a generation
//! <store>/linodes/<linode>/m<migration>.partial/…       copies in the making: <disk>.img, <disk>.digests, room
//! <store>/linodes/<linode>/m<migration>.source/…        a source's tables: <disk>.table
//! <store>/linodes/<linode>/m<migration>.trial/…         a trial's clones of the copies: <disk>.img
//! ```
//!
//! Clones of live disks have no names: they are in the hands of [`super::room`], and go with it.
//! What the folders mean is [`super::folders`]' business. `room` is a file of reserved blocks that shrinks as the copy
//! grows: room that was promised stays free without the disks losing their holes. Where the file system cannot reserve,
//! room is only checked.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Mode;
use rustix::process::{getegid, geteuid};

use super::clones;
use super::dir::Dir;
use super::folders::{Folders, copy_table};
use super::ground::Kernel;
use super::image::FileImage;
use super::layout::{at, generation, image, no_room, number, partial};
use super::room::Room;
use super::{
    Base, DiskError, DiskFault, DiskStore, Ground, Image, Listing, Moment, Pace, Receipt, Result,
    Space, Target, Usage, View,
};
use crate::domain::ids::{DiskId, LinodeId, MigrationId};
use crate::wire::{DiskDigest, DiskSpec};

pub struct FileStore {
    path: PathBuf,
    pub(super) folders: Folders,
    pub(super) tells_changes: bool,
    pub(super) room: Arc<Room>,
}

impl FileStore {
    /// Opens the store in `path`, which must exist; makes its `linodes` folder.
    pub fn open(path: &Path) -> Result<Self> {
        Self::with_reserve(path, None)
    }

    /// `reserve`: bytes that stay free beside what guests can overwrite while their disks are cloned, instead of the usual.
    pub fn with_reserve(path: &Path, reserve: Option<u64>) -> Result<Self> {
        let root = Dir::open_root(path).map_err(at("open the store's folder"))?;
        Self::on(path, reserve, Arc::new(Kernel(root)))
    }

    /// On something else than what the kernel has there.
    pub fn on(path: &Path, reserve: Option<u64>, ground: Arc<dyn Ground>) -> Result<Self> {
        let folders = Folders::open(path)?;
        let tells_changes = clones::supported(&folders.root, &*ground);
        Ok(Self {
            path: path.join("linodes"),
            folders,
            tells_changes,
            room: Room::new(ground, reserve),
        })
    }

    pub(super) fn linode_path(&self, linode: LinodeId) -> PathBuf {
        self.path.join(linode.to_string())
    }

    fn set_mode(&self, linode: LinodeId, epoch: i64, mode: u32) -> Result<()> {
        let folder = self.folders.folder(linode, &generation(epoch))?;
        for name in folder.names().map_err(at("list a generation"))? {
            if number(&name, "", ".img").is_some() {
                let file = folder.read_only(&name).map_err(at("open a disk"))?;
                // A guest's user may own it, and whoever owns a file may change its mode: a start gives it back.
                let (user, group) = (geteuid(), getegid());
                rustix::fs::fchown(&file, Some(user), Some(group))
                    .and_then(|()| rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)))
                    .map_err(|e| DiskError::io("change a disk's mode", &e.into()))?;
                file.sync_all().map_err(at("sync a disk"))?;
            }
        }
        folder.sync().map_err(at("sync a generation"))
    }
}

impl DiskStore for FileStore {
    fn space(&self) -> Result<Space> {
        self.room.ground.space().map_err(at("ask for space"))
    }

    fn tells_changes(&self) -> bool {
        self.tells_changes
    }

    fn preflight(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
    ) -> Result<()> {
        let mut wanted = disks
            .iter()
            .fold(0_u64, |sum, disk| sum.saturating_add(disk.size_bytes));
        let mut free = self.space()?.free;
        if let Some(folder) = self.folders.left_over(linode, migration)? {
            let (written, held) = Self::taken_up(&folder, disks)?;
            wanted = wanted.saturating_sub(written);
            free = free.saturating_add(held);
        }
        if free < wanted {
            Err(no_room(wanted, free))
        } else {
            Ok(())
        }
    }

    fn check(&self, linode: LinodeId, epoch: i64, disks: &[DiskSpec]) -> Result<Usage> {
        let folder = self.folders.folder(linode, &generation(epoch))?;
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
        self.linode_path(linode)
            .join(generation(epoch))
            .join(image(disk))
    }

    fn reserve(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
        base: Option<Base<'_>>,
    ) -> Result<()> {
        self.reserve_copies(linode, migration, disks, base)
    }

    fn target(&self, linode: LinodeId, migration: MigrationId, disk: &DiskSpec) -> Result<Target> {
        let folder = self.folders.folder(linode, &partial(migration))?;
        let image = FileImage::to_write(&folder, &image(disk.id), disk.size_bytes)
            .map_err(at("open the copy"))?;
        let table = copy_table(&folder, disk.id)?;
        Ok(Target {
            image: Box::new(image),
            table,
            blank: false,
        })
    }

    fn use_room(&self, linode: LinodeId, migration: MigrationId, bytes: u64) -> Result<()> {
        self.give_room(linode, migration, bytes)
    }

    fn publish(
        &self,
        linode: LinodeId,
        epoch: i64,
        disks: &[DiskSpec],
        receipt: &Receipt,
    ) -> Result<()> {
        self.folders.publish(linode, epoch, receipt, |folder| {
            Self::make_durable(folder, disks)
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
        self.folders.release(linode, migration, &|_| Ok(()))
    }

    fn purge(&self, linode: LinodeId, epoch: i64) -> Result<()> {
        self.folders.purge(linode, epoch, &|_| Ok(()))
    }

    fn seal(&self, linode: LinodeId, epoch: i64) -> Result<()> {
        self.set_mode(linode, epoch, 0o400)
    }

    fn unseal(&self, linode: LinodeId, epoch: i64) -> Result<()> {
        self.set_mode(linode, epoch, 0o600)
    }

    fn look(&self, linode: LinodeId, epoch: i64, disk: &DiskSpec) -> Result<Box<dyn Image>> {
        let folder = self.folders.folder(linode, &generation(epoch))?;
        let opened = FileImage::to_look(&folder, &image(disk.id), disk.size_bytes);
        Ok(Box::new(opened.map_err(at("open a disk"))?))
    }

    fn origin(&self, linode: LinodeId, epoch: i64) -> Result<Vec<DiskDigest>> {
        self.folders.origin(linode, epoch)
    }

    fn list(&self) -> Result<Listing> {
        self.folders.list()
    }

    fn view(
        &self,
        linode: LinodeId,
        epoch: i64,
        migration: MigrationId,
        disk: &DiskSpec,
        moment: Moment,
        changed: &mut dyn FnMut(Range<u64>),
    ) -> Result<View> {
        self.open_view(linode, epoch, migration, disk, moment, changed)
    }

    fn source_table(&self, linode: LinodeId, migration: MigrationId, disk: DiskId) -> Result<File> {
        self.folders.source_table(linode, migration, disk)
    }

    fn close_source(&self, linode: LinodeId, migration: MigrationId) -> Result<()> {
        self.room.close_all(linode, migration);
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
        self.clone_copies((linode, migration), disks, pace)
    }

    fn has_room_for_trial(&self) -> bool {
        self.room_for_clones()
    }

    fn drop_trial(&self, linode: LinodeId, migration: MigrationId) -> Result<()> {
        self.folders.drop_trial(linode, migration, &|_| Ok(()))
    }
}
