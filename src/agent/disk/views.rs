//! What a source's pass reads: the live or sealed disk itself, or a clone and what changed since the clone before.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::clones;
use super::files::FileStore;
use super::image::FileImage;
use super::layout::{at, generation, image, source};
use super::room::{Clone, Of};
use super::{DiskError, Dropped, Image, Moment, Result, View};
use crate::domain::ids::{LinodeId, MigrationId};
use crate::wire::DiskSpec;

impl FileStore {
    #[allow(clippy::too_many_arguments, reason = "the trait's")]
    pub(super) fn open_view(
        &self,
        linode: LinodeId,
        epoch: i64,
        migration: MigrationId,
        disk: &DiskSpec,
        moment: Moment,
        changed: &mut dyn FnMut(Range<u64>),
    ) -> Result<View> {
        let folder = (self.folders).folder(linode, &generation(epoch))?;
        let name = image(disk.id);
        let live = folder.read_only(&name).map_err(at("open the disk"))?;
        if !self.tells_changes {
            return plain(live, disk);
        }
        let of = (linode, migration, disk.id);
        match moment {
            Moment::Sealed => self.sealed_view(of, live, disk, changed),
            Moment::Live => self.live_view(of, live, disk, changed),
        }
    }

    /// The disk itself, which changes no more. The last clone has told what changed since, and is not needed after.
    fn sealed_view(
        &self,
        of: Of,
        sealed: File,
        disk: &DiskSpec,
        changed: &mut dyn FnMut(Range<u64>),
    ) -> Result<View> {
        let mut told = false;
        if let Some(elder) = self.room.held(of) {
            let compared = self.compare(&elder, &sealed, disk, changed);
            told = !elder.gone();
            self.room.close(&elder);
            compared?;
        }
        Ok(View {
            told,
            ..plain(sealed, disk)?
        })
    }

    /// A clone and what changed since the one before; the live disk where there is no room for a clone.
    fn live_view(
        &self,
        of: Of,
        live: File,
        disk: &DiskSpec,
        changed: &mut dyn FnMut(Range<u64>),
    ) -> Result<View> {
        let mut elder = self.room.held(of);
        let mut clone = self.clone_of(of, &live, disk)?;
        if clone.is_none()
            && let Some(old) = elder.take()
        {
            // It costs its guest as much as a new one would.
            self.room.close(&old);
            clone = self.clone_of(of, &live, disk)?;
        }
        let moving = |live| {
            tracing::warn!(
                linode = %of.0, migration = %of.1, disk = %of.2,
                "too little room for what the guest can overwrite: no clone, this pass reads the live disk"
            );
            Ok(View {
                moving: true,
                ..plain(live, disk)?
            })
        };
        let Some(clone) = clone else {
            return moving(live);
        };
        let mut told = false;
        if let Some(elder) = elder {
            let compared = self.compare(&elder, &clone.file, disk, changed);
            told = !elder.gone();
            self.room.close(&elder);
            if let Err(error) = compared {
                self.room.close(&clone);
                return Err(error);
            }
        }
        if clone.gone() {
            return moving(live);
        }
        let file = clone.file.try_clone().map_err(at("open the clone"))?;
        match FileImage::to_read(file, disk.size_bytes) {
            Ok(image) => Ok(View {
                image: Box::new(CloneImage { image, clone }),
                told,
                moving: false,
            }),
            Err(_) if clone.gone() => moving(live),
            Err(error) => {
                self.room.close(&clone);
                Err(DiskError::io("open the clone", &error))
            }
        }
    }

    fn clone_of(&self, of: Of, live: &File, disk: &DiskSpec) -> Result<Option<Arc<Clone>>> {
        let home = self.folders.linode(of.0)?;
        let scratch = home
            .make_dir(&source(of.1))
            .map_err(at("make the clones' folder"))?;
        let empty = clones::nameless(&scratch, &format!("{}.snap", disk.id));
        let empty = empty.map_err(at("make the clone"))?;
        let live = live.try_clone().map_err(at("open the disk"))?;
        let opened = self.room.open(of, live, empty, disk.size_bytes);
        opened.map_err(at("clone the disk"))
    }

    fn compare(
        &self,
        elder: &Clone,
        newer: &File,
        disk: &DiskSpec,
        changed: &mut dyn FnMut(Range<u64>),
    ) -> Result<()> {
        let ground = &self.room.ground;
        let compared = ground.differences(&elder.file, newer, disk.size_bytes, changed);
        compared.map_err(at("compare clones"))
    }
}

/// The disk itself, of which nothing is known.
fn plain(disk: File, spec: &DiskSpec) -> Result<View> {
    let image = FileImage::to_read(disk, spec.size_bytes).map_err(at("open the disk"))?;
    Ok(View {
        image: Box::new(image),
        told: false,
        moving: false,
    })
}

/// A clone to read, for as long as it is not dropped: what is read of it while it goes is never taken for the disk's.
struct CloneImage {
    image: FileImage,
    clone: Arc<Clone>,
}

impl CloneImage {
    /// After a look at the clone: was it still there?
    fn there<T>(&self, found: io::Result<T>) -> io::Result<T> {
        if self.clone.gone() {
            return Err(io::Error::other(Dropped));
        }
        found
    }
}

impl Image for CloneImage {
    fn size(&self) -> u64 {
        self.image.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.there(self.image.read_at(buf, offset))
    }

    fn read_uncached(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.there(self.image.read_uncached(buf, offset))
    }

    fn passes_cache(&self) -> bool {
        self.image.passes_cache()
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn punch(&self, _: Range<u64>) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.there(self.image.next_data(offset))
    }

    fn prefetch(&self, range: Range<u64>) {
        self.image.prefetch(range);
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
