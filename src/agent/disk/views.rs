//! What a source's pass reads: the live or sealed disk itself, or a clone and what changed since the clone before.

use std::fs::File;
use std::io;
use std::ops::Range;

use super::clones;
use super::files::FileStore;
use super::image::FileImage;
use super::layout::{at, generation, image, source};
use super::{DiskError, Image, Moment, View};
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
    ) -> Result<View, DiskError> {
        let home = self.folders.linode(linode)?;
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
}
