//! Folders that make a set of disks a generation, whatever a disk is made of:
//!
//! ```text
//! <store>/linodes/<linode>/e<epoch>/…                a generation
//! <store>/linodes/<linode>/m<migration>.partial/…    copies in the making; <disk>.digests
//! <store>/linodes/<linode>/m<migration>.source/…     a source's tables: <disk>.table
//! <store>/linodes/<linode>/m<migration>.trial/…      a trial's clones of copies in the making
//! <store>/linodes/<linode>/….gone/…                  being deleted
//! ```
//!
//! The one rule: whatever is said of a whole set of disks is said by one rename of its folder. `copy.json` in a partial
//! or freshly published folder is the [`Receipt`]; while it is there the folder belongs to its migration.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::dir::Dir;
use super::layout::{at, digests, generation, is_ours, number, partial, source, taken, trial};
use super::{DiskError, DiskFault, Listing, Receipt, Result, receipt};
use crate::agent::absent::if_there;
use crate::domain::ids::{DiskId, LinodeId, MigrationId};
use crate::wire::{DiskDigest, DiskSpec};

pub(super) struct Folders {
    pub root: Dir,
}

impl Folders {
    /// Opens the store in `path`, which must exist; makes its `linodes` folder.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let store = Dir::open_root(path).map_err(at("open the store's folder"))?;
        let root = store
            .make_dir("linodes")
            .map_err(at("make the linodes folder"))?;
        Ok(Self { root })
    }

    pub(super) fn linode(&self, linode: LinodeId) -> Result<Dir> {
        self.root
            .open_dir(&linode.to_string())
            .map_err(at("open the Linode's folder"))
    }

    pub(super) fn linode_if_any(&self, linode: LinodeId) -> Result<Option<Dir>> {
        if_there(self.root.open_dir(&linode.to_string())).map_err(at("open the Linode's folder"))
    }

    pub(super) fn folder(&self, linode: LinodeId, name: &str) -> Result<Dir> {
        self.linode(linode)?
            .open_dir(name)
            .map_err(at("open the disks' folder"))
    }

    /// The Linode's folder and, in it, the one of this migration's copies: made, or taken up again as it was left (also
    /// if it was published and never activated).
    pub(super) fn reopen(&self, linode: LinodeId, migration: MigrationId) -> Result<(Dir, Dir)> {
        let home = self
            .root
            .make_dir(&linode.to_string())
            .map_err(at("make the Linode's folder"))?;
        if let Some((epoch, _)) = find_published(&home, migration)? {
            home.rename(&generation(epoch), &partial(migration))
                .map_err(at("reopen the copy"))?;
            home.sync().map_err(at("reopen the copy"))?;
        }
        let folder = home
            .make_dir(&partial(migration))
            .map_err(at("make the copies' folder"))?;
        receipt::drop(&folder)?;
        Ok((home, folder))
    }

    /// What [`Folders::reopen`] would take up again, if there is any.
    pub(super) fn left_over(
        &self,
        linode: LinodeId,
        migration: MigrationId,
    ) -> Result<Option<Dir>> {
        let Some(home) = self.linode_if_any(linode)? else {
            return Ok(None);
        };
        let name = match find_published(&home, migration)? {
            Some((epoch, _)) => generation(epoch),
            None => partial(migration),
        };
        if_there(home.open_dir(&name)).map_err(at("open the copies' folder"))
    }

    pub(super) fn published(
        &self,
        linode: LinodeId,
        migration: MigrationId,
    ) -> Result<Option<(i64, Receipt)>> {
        match self.linode_if_any(linode)? {
            Some(home) => find_published(&home, migration),
            None => Ok(None),
        }
    }

    /// `durable` makes sure of the disks themselves before they become a generation.
    pub(super) fn publish(
        &self,
        linode: LinodeId,
        epoch: i64,
        receipt: &Receipt,
        durable: impl FnOnce(&Dir) -> Result<()>,
    ) -> Result<()> {
        let home = self.linode(linode)?;
        let from = partial(receipt.migration);
        if let Some((known, old)) = find_published(&home, receipt.migration)? {
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
        durable(&folder)?;
        receipt::write(&folder, receipt)?;
        home.rename(&from, &to).map_err(at("publish"))?;
        home.sync().map_err(at("publish"))
    }

    pub(super) fn activate(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        epoch: i64,
    ) -> Result<()> {
        let home = self.linode(linode)?;
        let to = generation(epoch);
        let Some((known, _)) = find_published(&home, migration)? else {
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
        receipt::retire(&folder)?;
        folder.sync().map_err(at("activate"))
    }

    /// What the receipt said with which a generation came here.
    pub(super) fn origin(&self, linode: LinodeId, epoch: i64) -> Result<Vec<DiskDigest>> {
        let folder = self.folder(linode, &generation(epoch))?;
        Ok(receipt::retired(&folder)?.map_or_else(Vec::new, |receipt| receipt.digests))
    }

    pub(super) fn regrant(&self, linode: LinodeId, from: i64, to: i64) -> Result<()> {
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

    /// `destroy` deletes what the files of a folder only stand for.
    pub(super) fn release(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        destroy: &dyn Fn(&Dir) -> Result<()>,
    ) -> Result<()> {
        let Some(home) = self.linode_if_any(linode)? else {
            return Ok(());
        };
        finish(&home, destroy)?;
        if let Some((epoch, _)) = find_published(&home, migration)? {
            discard(&home, &generation(epoch), destroy)?;
        }
        discard(&home, &partial(migration), destroy)
    }

    pub(super) fn drop_trial(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        destroy: &dyn Fn(&Dir) -> Result<()>,
    ) -> Result<()> {
        match self.linode_if_any(linode)? {
            Some(home) => discard(&home, &trial(migration), destroy),
            None => Ok(()),
        }
    }

    /// The copies of a migration, and an empty folder for clones of them.
    pub(super) fn for_trial(&self, linode: LinodeId, migration: MigrationId) -> Result<(Dir, Dir)> {
        let home = self.linode(linode)?;
        let copies = home
            .open_dir(&partial(migration))
            .map_err(at("open the copies' folder"))?;
        let clones = home
            .make_dir(&trial(migration))
            .map_err(at("make the clones' folder"))?;
        home.sync().map_err(at("make the clones' folder"))?;
        Ok((copies, clones))
    }

    pub(super) fn purge(
        &self,
        linode: LinodeId,
        epoch: i64,
        destroy: &dyn Fn(&Dir) -> Result<()>,
    ) -> Result<()> {
        match self.linode_if_any(linode)? {
            Some(home) => {
                finish(&home, destroy)?;
                discard(&home, &generation(epoch), destroy)
            }
            None => Ok(()),
        }
    }

    /// All there is, by the names of folders alone.
    pub(super) fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        for name in self.root.names().map_err(at("list the store"))? {
            let id = number(&name, "", "").map(LinodeId);
            let (Some(linode), true) = (id, self.root.is_folder(&name)) else {
                listing.unknown.push(format!("linodes/{name}"));
                continue;
            };
            let home = self.linode(linode)?;
            for entry in home.names().map_err(at("list a Linode's folder"))? {
                if let Some(epoch) = number(&entry, "e", "") {
                    listing.generations.push((linode, epoch));
                } else if let Some(id) = number(&entry, "m", ".partial") {
                    listing.copies.push((linode, MigrationId(id)));
                } else if let Some(id) = number(&entry, "m", ".trial") {
                    listing.trials.push((linode, MigrationId(id)));
                } else if entry.strip_suffix(".gone").is_some() && is_ours(&entry) {
                    // Also one that is at work right now: what is said is true of both.
                    let text =
                        format!("linodes/{name}/{entry}: its deletion has not come to its end");
                    listing.unknown.push(text);
                } else if !is_ours(&entry) {
                    listing.unknown.push(format!("linodes/{name}/{entry}"));
                }
            }
        }
        Ok(listing)
    }

    pub(super) fn source_table(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disk: DiskId,
    ) -> Result<File> {
        let home = self.linode(linode)?;
        let folder = home
            .make_dir(&source(migration))
            .map_err(at("make the source's folder"))?;
        folder
            .create_anew(&format!("{disk}.table"))
            .map_err(at("make the source's table"))
    }

    pub(super) fn close_source(&self, linode: LinodeId, migration: MigrationId) -> Result<()> {
        match self.linode_if_any(linode)? {
            Some(home) => home
                .remove_folder(&source(migration))
                .map_err(at("drop the source's folder")),
            None => Ok(()),
        }
    }
}

impl Folders {
    /// What earlier agents left as sources. A Linode whose folder cannot be read holds up no other's.
    pub(super) fn forget_sources(&self) -> Result<u32> {
        let mut forgotten = 0;
        let mut failed = Ok(());
        for name in self.root.names().map_err(at("list the store"))? {
            if number(&name, "", "").is_none() || !self.root.is_folder(&name) {
                continue;
            }
            match self.root.open_dir(&name).and_then(|home| forget(&home)) {
                Ok(count) => forgotten += count,
                Err(error) => failed = Err(DiskError::io("drop a source's folder", &error)),
            }
        }
        failed.map(|()| forgotten)
    }
}

fn forget(home: &Dir) -> io::Result<u32> {
    let names = home.names()?;
    let sources = names
        .iter()
        .filter(|name| number(name, "m", ".source").is_some());
    let mut forgotten = 0;
    for name in sources {
        home.remove_folder(name)?;
        forgotten += 1;
    }
    Ok(forgotten)
}

/// The generation whose receipt names this migration.
fn find_published(home: &Dir, migration: MigrationId) -> Result<Option<(i64, Receipt)>> {
    for name in home.names().map_err(at("list the Linode's folder"))? {
        let Some(epoch) = number(&name, "e", "") else {
            continue;
        };
        let folder = home.open_dir(&name).map_err(at("open a generation"))?;
        match receipt::read(&folder)? {
            Some(receipt) if receipt.migration == migration => {
                return Ok(Some((epoch, receipt)));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// Renamed first and deleted after, so that a kill in between leaves nothing that looks like a generation.
fn discard(home: &Dir, name: &str, destroy: &dyn Fn(&Dir) -> Result<()>) -> Result<()> {
    let gone = format!("{name}.gone");
    empty(home, &gone, destroy)?;
    let renamed = if_there(home.rename(name, &gone)).map_err(at("delete"))?;
    if renamed.is_none() {
        return Ok(());
    }
    home.sync().map_err(at("delete"))?;
    empty(home, &gone, destroy)
}

/// What an earlier step decided to delete, by its rename, and did not come to the end of.
fn finish(home: &Dir, destroy: &dyn Fn(&Dir) -> Result<()>) -> Result<()> {
    for name in home.names().map_err(at("list a Linode's folder"))? {
        if name.strip_suffix(".gone").is_some() && is_ours(&name) {
            empty(home, &name, destroy)?;
        }
    }
    Ok(())
}

fn empty(home: &Dir, name: &str, destroy: &dyn Fn(&Dir) -> Result<()>) -> Result<()> {
    let Some(folder) = if_there(home.open_dir(name)).map_err(at("delete"))? else {
        return Ok(());
    };
    destroy(&folder)?;
    home.remove_folder(name).map_err(at("delete"))
}

/// The table of a copy's digests.
pub(super) fn copy_table(folder: &Dir, disk: DiskId) -> Result<File> {
    folder
        .open_or_create(&digests(disk))
        .map_err(at("open the copy's table"))
}

/// Blocks for the copy's table of digests: 32 bytes for each 16 KiB, and its head.
pub(super) fn hold_table(folder: &Dir, disk: &DiskSpec) -> Result<()> {
    let table = copy_table(folder, disk.id)?;
    let len = disk.size_bytes / 512 + 16 * 1024;
    match fallocate(&table, FallocateFlags::KEEP_SIZE, 0, len) {
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(e) => Err(DiskError::io("hold room for a table", &e.into())),
    }
}
