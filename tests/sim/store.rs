//! The disk store of a simulated host. Each call may fail before or after its effect, and the power may go.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;

use xenbeta::agent::disk::{
    Base, DiskError, DiskFault, DiskStore, Image, Listing, Moment, Pace, Receipt, Space, Target,
    Usage, View,
};
use xenbeta::domain::ids::{DiskId, LinodeId, MigrationId};
use xenbeta::wire::{DiskDigest, DiskSpec};

use crate::sim::{Fate, sim};
use crate::world::{Copy, Disks, World};

pub struct SimStore(pub i64);

/// What a proof reads of a disk that is there: its contents are the world's to judge.
struct Blank(u64);

impl Image for Blank {
    fn size(&self) -> u64 {
        self.0
    }
    fn read_at(&self, buf: &mut [u8], _: u64) -> std::io::Result<()> {
        buf.fill(0);
        Ok(())
    }
    fn read_uncached(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.read_at(buf, offset)
    }
    fn write_at(&self, _: &[u8], _: u64) -> std::io::Result<()> {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
    fn punch(&self, _: Range<u64>) -> std::io::Result<()> {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
    fn next_data(&self, _: u64) -> std::io::Result<Option<Range<u64>>> {
        Ok(None)
    }
    fn prefetch(&self, _: Range<u64>) {}
    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
}

fn io() -> DiskError {
    DiskError::new(DiskFault::Io, "injected", "injected")
}

pub fn missing(what: &str) -> DiskError {
    DiskError::new(DiskFault::Missing, "missing", what)
}

fn fresh(disks: &[DiskSpec]) -> Disks {
    disks.iter().map(|it| (it.id, Default::default())).collect()
}

impl SimStore {
    fn call<T>(
        &self,
        what: &str,
        act: impl FnOnce(&mut World) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let fate = sim().seam(self.0, what);
        if fate == Fate::FailBefore {
            return Err(io());
        }
        let done = act(&mut sim().world.borrow_mut());
        if fate == Fate::CutAfter {
            sim().cut(self.0);
        }
        if fate == Fate::FailAfter {
            return Err(io());
        }
        done
    }

    fn set_sealed(&self, linode: LinodeId, epoch: i64, sealed: bool) -> Result<(), DiskError> {
        let key = (self.0, linode, epoch);
        let what = if sealed { "seal" } else { "unseal" };
        self.call(what, |world| {
            if sealed && world.run_of(key.0, linode).is_some() {
                world
                    .violations
                    .push(format!("{linode} sealed on {} while it runs", key.0));
            }
            let generation = world.generations.get_mut(&key);
            let generation = generation.ok_or_else(|| missing("generation"))?;
            generation.sealed = sealed;
            if sealed {
                generation.disks.values_mut().for_each(|disk| disk.sync());
            }
            Ok(())
        })
    }
}

impl DiskStore for SimStore {
    fn space(&self) -> Result<Space, DiskError> {
        Ok(Space {
            total: 1 << 40,
            free: 1 << 40,
        })
    }
    fn tells_changes(&self) -> bool {
        false
    }
    fn preflight(&self, _: LinodeId, _: MigrationId, _: &[DiskSpec]) -> Result<(), DiskError> {
        self.call("room", |_| Ok(()))
    }
    fn check(&self, linode: LinodeId, epoch: i64, disks: &[DiskSpec]) -> Result<Usage, DiskError> {
        let key = (self.0, linode, epoch);
        self.call("check", |world| {
            let of_copy = |(at, copy): (&(i64, LinodeId, MigrationId), _)| {
                let copy: &Copy = copy;
                let published = copy.published.as_ref().map(|it| it.0);
                (at.0 == key.0 && at.1 == linode && published == Some(epoch)).then_some(&copy.disks)
            };
            let there = world.generations.get(&key).map(|it| &it.disks);
            let there = there.or_else(|| world.copies.iter().find_map(of_copy));
            let there = there.ok_or_else(|| missing("generation"))?;
            if disks.iter().any(|it| !there.contains_key(&it.id)) {
                return Err(missing("disk"));
            }
            Ok(Usage {
                total: 1,
                allocated: 1,
            })
        })
    }
    fn path(&self, linode: LinodeId, epoch: i64, disk: DiskId) -> PathBuf {
        format!("/{}/{linode}/e{epoch}/{disk}", self.0).into()
    }
    fn reserve(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
        base: Option<Base<'_>>,
    ) -> Result<(), DiskError> {
        if base.is_some_and(|base| !(base.pace)(1)) {
            return Err(DiskError::new(DiskFault::Stopped, "stopped", "stopped"));
        }
        let from = base.map(|base| (self.0, linode, base.epoch));
        self.call("reserve", |world| {
            let base = from.and_then(|key| world.generations.get(&key));
            let start = base.map_or_else(|| fresh(disks), |it| it.disks.clone());
            let copy = world.copies.entry((self.0, linode, migration));
            let copy = copy.or_insert_with(|| Copy {
                disks: start,
                published: None,
            });
            copy.published = None;
            Ok(())
        })
    }
    fn target(&self, _: LinodeId, _: MigrationId, _: &DiskSpec) -> Result<Target, DiskError> {
        Err(missing("the simulated mover goes to the world itself"))
    }
    fn use_room(&self, _: LinodeId, _: MigrationId, _: u64) -> Result<(), DiskError> {
        Ok(())
    }
    fn publish(
        &self,
        linode: LinodeId,
        epoch: i64,
        _: &[DiskSpec],
        receipt: &Receipt,
    ) -> Result<(), DiskError> {
        let key = (self.0, linode, receipt.migration);
        self.call("publish", |world| {
            let copy = world.copies.get_mut(&key).ok_or_else(|| missing("copy"))?;
            copy.disks.values_mut().for_each(|disk| disk.sync());
            copy.published = Some((epoch, receipt.clone()));
            Ok(())
        })
    }
    fn published(
        &self,
        linode: LinodeId,
        migration: MigrationId,
    ) -> Result<Option<(i64, Receipt)>, DiskError> {
        let key = (self.0, linode, migration);
        self.call("published", |world| {
            Ok(world
                .copies
                .get(&key)
                .and_then(|copy| copy.published.clone()))
        })
    }
    fn activate(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        epoch: i64,
    ) -> Result<(), DiskError> {
        let key = (self.0, linode, migration);
        let to = (self.0, linode, epoch);
        self.call("activate", |world| {
            let published = world
                .copies
                .get(&key)
                .is_some_and(|it| it.published.is_some());
            if published && let Some(copy) = world.copies.remove(&key) {
                let generation = crate::world::Generation {
                    sealed: true,
                    disks: copy.disks,
                };
                if world.generations.insert(to, generation).is_some() {
                    world.violations.push(format!("{to:?} is written over"));
                }
                return Ok(());
            }
            let there = world.generations.contains_key(&to);
            there.then_some(()).ok_or_else(|| missing("copy"))
        })
    }
    fn regrant(&self, linode: LinodeId, from: i64, to: i64) -> Result<(), DiskError> {
        let host = self.0;
        self.call("regrant", |world| {
            if let Some(generation) = world.generations.remove(&(host, linode, from)) {
                world.generations.insert((host, linode, to), generation);
                for (id, run) in &mut world.guests {
                    if *id == linode && run.host == host {
                        run.epoch = to;
                    }
                }
                return Ok(());
            }
            let there = world.generations.contains_key(&(host, linode, to));
            there.then_some(()).ok_or_else(|| missing("generation"))
        })
    }
    fn release(&self, linode: LinodeId, migration: MigrationId) -> Result<(), DiskError> {
        let key = (self.0, linode, migration);
        self.call("release", |world| {
            world.no_trial(key.0, key.1, "its copies are deleted");
            world.copies.remove(&key);
            Ok(())
        })
    }
    fn make_trial(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        disks: &[DiskSpec],
        _: Pace<'_>,
    ) -> Result<Vec<(DiskId, PathBuf)>, DiskError> {
        let key = (self.0, linode, migration);
        self.call("clone", |world| {
            let copy = world.copies.get(&key).ok_or_else(|| missing("copy"))?;
            if copy.published.is_some() {
                return Err(missing("copy in the making"));
            }
            world.no_trial(key.0, key.1, "another is made");
            world.trial_disks.insert(key);
            let path = |disk: DiskId| format!("/{}/{linode}/m{migration}.trial/{disk}", key.0);
            Ok(disks.iter().map(|it| (it.id, path(it.id).into())).collect())
        })
    }
    fn drop_trial(&self, linode: LinodeId, migration: MigrationId) -> Result<(), DiskError> {
        let key = (self.0, linode, migration);
        self.call("drop clone", |world| {
            if world.trials.contains(&(key.0, key.1)) {
                world.violations.push(format!(
                    "clones of {linode} on {} go while they are used",
                    key.0
                ));
            }
            world.trial_disks.remove(&key);
            Ok(())
        })
    }
    fn purge(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        self.call("purge", |world| {
            world.purge(self.0, linode, epoch);
            Ok(())
        })
    }
    fn seal(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        self.set_sealed(linode, epoch, true)
    }
    fn unseal(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        self.set_sealed(linode, epoch, false)
    }
    fn list(&self) -> Result<Listing, DiskError> {
        let sim = sim();
        let world = sim.world.borrow();
        let here = world.generations.keys().filter(|key| key.0 == self.0);
        let copies = world.copies.keys().filter(|key| key.0 == self.0);
        Ok(Listing {
            generations: here.map(|(_, linode, epoch)| (*linode, *epoch)).collect(),
            copies: copies.map(|(_, linode, id)| (*linode, *id)).collect(),
            trials: (world.trial_disks.iter())
                .filter(|key| key.0 == self.0)
                .map(|(_, linode, id)| (*linode, *id))
                .collect(),
            ..Listing::default()
        })
    }
    fn look(
        &self,
        linode: LinodeId,
        epoch: i64,
        disk: &DiskSpec,
    ) -> Result<Box<dyn Image>, DiskError> {
        let key = (self.0, linode, epoch);
        let id = disk.id;
        self.call("look", |world| {
            let there = world.generations.get(&key);
            let there = there.is_some_and(|it| it.disks.contains_key(&id));
            there.then_some(()).ok_or_else(|| missing("disk"))
        })?;
        Ok(Box::new(Blank(disk.size_bytes)))
    }
    fn origin(&self, _: LinodeId, _: i64) -> Result<Vec<DiskDigest>, DiskError> {
        Ok(Vec::new())
    }
    fn view(
        &self,
        _: LinodeId,
        _: i64,
        _: MigrationId,
        _: &DiskSpec,
        _: Moment,
        _: &mut dyn FnMut(Range<u64>),
    ) -> Result<View, DiskError> {
        Err(missing("the simulated mover goes to the world itself"))
    }
    fn source_table(&self, _: LinodeId, _: MigrationId, _: DiskId) -> Result<File, DiskError> {
        Err(missing("the simulated mover goes to the world itself"))
    }
    fn close_source(&self, _: LinodeId, _: MigrationId) -> Result<(), DiskError> {
        self.call("close_source", |_| Ok(()))
    }
    fn forget_sources(&self) -> Result<u32, DiskError> {
        Ok(0)
    }
}
