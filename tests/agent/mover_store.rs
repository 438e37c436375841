//! A store that passes everything on, with disks that fail as told.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use xenbeta::agent::disk::{
    Base, DiskError, DiskStore, Image, Listing, Moment, Receipt, Space, Target, Usage, View,
};
use xenbeta::domain::ids::{DiskId, LinodeId, MigrationId};
use xenbeta::wire::{DiskDigest, DiskSpec};

/// What to do instead of, or after, the real thing. Called from several threads.
pub trait Faults: Send + Sync {
    fn write(&self, image: &dyn Image, buf: &[u8], at: u64) -> io::Result<()> {
        image.write_at(buf, at)
    }
    fn read_uncached(&self, image: &dyn Image, buf: &mut [u8], at: u64) -> io::Result<()> {
        image.read_uncached(buf, at)
    }
    fn read(&self, image: &dyn Image, buf: &mut [u8], at: u64) -> io::Result<()> {
        image.read_at(buf, at)
    }
    fn sync(&self, image: &dyn Image) -> io::Result<()> {
        image.sync()
    }
    fn passes_cache(&self, image: &dyn Image) -> bool {
        image.passes_cache()
    }
    /// Can the store tell what changed, and could it for this view?
    fn tells(&self, really: bool) -> bool {
        really
    }
    fn told(&self, really: bool) -> bool {
        really
    }
}

pub struct Faulty {
    store: Arc<dyn DiskStore>,
    faults: Arc<dyn Faults>,
}

impl Faulty {
    pub fn wrap(store: Arc<dyn DiskStore>, faults: Arc<dyn Faults>) -> Arc<dyn DiskStore> {
        Arc::new(Self { store, faults })
    }

    fn image(&self, image: Box<dyn Image>) -> Box<dyn Image> {
        Box::new(FaultyImage {
            image,
            faults: Arc::clone(&self.faults),
        })
    }
}

struct FaultyImage {
    image: Box<dyn Image>,
    faults: Arc<dyn Faults>,
}

impl Image for FaultyImage {
    fn size(&self) -> u64 {
        self.image.size()
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.faults.read(&*self.image, buf, offset)
    }
    fn read_uncached(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.faults.read_uncached(&*self.image, buf, offset)
    }
    fn passes_cache(&self) -> bool {
        self.faults.passes_cache(&*self.image)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.faults.write(&*self.image, buf, offset)
    }
    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.image.punch(range)
    }
    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.image.next_data(offset)
    }
    fn prefetch(&self, range: Range<u64>) {
        self.image.prefetch(range);
    }
    fn sync(&self) -> io::Result<()> {
        self.faults.sync(&*self.image)
    }
}

impl DiskStore for Faulty {
    fn space(&self) -> Result<Space, DiskError> {
        self.store.space()
    }
    fn tells_changes(&self) -> bool {
        self.faults.tells(self.store.tells_changes())
    }
    fn preflight(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
    ) -> Result<(), DiskError> {
        self.store.preflight(linode, migration, disks)
    }
    fn check(&self, linode: LinodeId, epoch: i64, disks: &[DiskSpec]) -> Result<Usage, DiskError> {
        self.store.check(linode, epoch, disks)
    }
    fn path(&self, linode: LinodeId, epoch: i64, disk: DiskId) -> PathBuf {
        self.store.path(linode, epoch, disk)
    }
    fn reserve(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
        base: Option<Base<'_>>,
    ) -> Result<(), DiskError> {
        self.store.reserve(linode, migration, disks, base)
    }
    fn target(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disk: &DiskSpec,
    ) -> Result<Target, DiskError> {
        let Target {
            image,
            table,
            blank,
        } = self.store.target(linode, migration, disk)?;
        Ok(Target {
            image: self.image(image),
            table,
            blank,
        })
    }
    fn use_room(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        bytes: u64,
    ) -> Result<(), DiskError> {
        self.store.use_room(linode, migration, bytes)
    }
    fn publish(
        &self,
        linode: LinodeId,
        epoch: i64,
        disks: &[DiskSpec],
        receipt: &Receipt,
    ) -> Result<(), DiskError> {
        self.store.publish(linode, epoch, disks, receipt)
    }
    fn published(
        &self,
        linode: LinodeId,
        migration: MigrationId,
    ) -> Result<Option<(i64, Receipt)>, DiskError> {
        self.store.published(linode, migration)
    }
    fn activate(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        epoch: i64,
    ) -> Result<(), DiskError> {
        self.store.activate(linode, migration, epoch)
    }
    fn regrant(&self, linode: LinodeId, from: i64, to: i64) -> Result<(), DiskError> {
        self.store.regrant(linode, from, to)
    }
    fn release(&self, linode: LinodeId, migration: MigrationId) -> Result<(), DiskError> {
        self.store.release(linode, migration)
    }
    fn purge(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        self.store.purge(linode, epoch)
    }
    fn seal(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        self.store.seal(linode, epoch)
    }
    fn unseal(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        self.store.unseal(linode, epoch)
    }
    fn look(
        &self,
        linode: LinodeId,
        epoch: i64,
        disk: &DiskSpec,
    ) -> Result<Box<dyn Image>, DiskError> {
        Ok(self.image(self.store.look(linode, epoch, disk)?))
    }
    fn origin(&self, linode: LinodeId, epoch: i64) -> Result<Vec<DiskDigest>, DiskError> {
        self.store.origin(linode, epoch)
    }
    fn list(&self) -> Result<Listing, DiskError> {
        self.store.list()
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
        let View {
            image,
            told,
            moving,
        } = self
            .store
            .view(linode, epoch, migration, disk, moment, changed)?;
        Ok(View {
            image: self.image(image),
            told: self.faults.told(told),
            moving,
        })
    }
    fn source_table(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disk: DiskId,
    ) -> Result<File, DiskError> {
        self.store.source_table(linode, migration, disk)
    }
    fn close_source(&self, linode: LinodeId, migration: MigrationId) -> Result<(), DiskError> {
        self.store.close_source(linode, migration)
    }
    fn forget_sources(&self) -> Result<u32, DiskError> {
        self.store.forget_sources()
    }
}
