//! A world in memory for many thousands of steps: guests and disks of any number of hosts, with faults on demand. The
//! world itself notices two runners of one Linode, and a guest on disks that were not whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::DateTime;
use xenbeta::agent::disk::{
    Base, DiskError, DiskFault, DiskStore, Image, Listing, Moment, Receipt, Space, Target, Usage,
    View,
};
use xenbeta::agent::driver::{Counted, Driver, DriverError, Guest, GuestState, Stopped};
use xenbeta::agent::process::now;
use xenbeta::domain::ids::{DiskId, LinodeId, MigrationId};
use xenbeta::domain::platform::Platform;
use xenbeta::wire::{BootSpec, DiskDigest, DiskSpec, GuestSpec, KernelReport, Sample, Share};

#[derive(Default)]
pub struct World {
    /// Host and Linode → number of this run, and the epoch of the disks it runs from.
    pub running: BTreeMap<(usize, LinodeId), (u64, Option<i64>)>,
    pub runs: u64,
    pub violations: Vec<String>,
    /// Host, Linode, epoch → sealed.
    pub generations: BTreeMap<(usize, LinodeId, i64), bool>,
    pub published: BTreeMap<(usize, LinodeId, MigrationId), i64>,
    /// The so-manieth call from now fails: `true`, before it did anything; `false`, after.
    pub fail: Option<(u64, bool)>,
    /// A guest that starts is dead at the next look.
    pub dies: bool,
    /// No host can boot what it is asked to.
    pub unbootable: bool,
    /// The host and the Linodes of each look at many.
    pub looked: Vec<(usize, Vec<LinodeId>)>,
    /// How many guests were sampled, and asked for what they are given, look by look.
    pub sampled: Vec<usize>,
    pub shared: Vec<usize>,
    /// No host has an initramfs for its kernels.
    pub no_initramfs: bool,
    /// Whoever asks for the start of this Linode finds a bug.
    pub panics: Option<LinodeId>,
}

pub type Shared = Arc<Mutex<World>>;

pub struct FakeDriver(pub usize, pub Shared);
pub struct FakeDisks(pub usize, pub Shared);

impl World {
    fn fault(&mut self, before: bool) -> bool {
        match &mut self.fail {
            Some((left, when)) if *when == before => {
                *left -= 1;
                let now = *left == 0;
                if now {
                    self.fail = None;
                }
                now
            }
            _ => false,
        }
    }

    /// One call with an effect; what fails may have happened.
    fn call<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.fault(true) {
            return None;
        }
        let done = act(self);
        if self.fault(false) { None } else { Some(done) }
    }

    fn start(&mut self, host: usize, linode: LinodeId, epoch: Option<i64>) {
        let others: BTreeSet<usize> = self
            .running
            .keys()
            .filter(|(_, running)| *running == linode)
            .map(|(host, _)| *host)
            .collect();
        if !others.is_empty() {
            self.violations
                .push(format!("{linode} starts on {host} and runs on {others:?}"));
        }
        match epoch.and_then(|epoch| self.generations.get(&(host, linode, epoch))) {
            Some(false) => {}
            found => self.violations.push(format!(
                "{linode} starts on {host} from disks {epoch:?}: {found:?}"
            )),
        }
        self.runs += 1;
        if !self.dies {
            self.running.insert((host, linode), (self.runs, epoch));
        }
    }
}

fn broken() -> DriverError {
    DriverError::Host("injected".into())
}

fn io() -> DiskError {
    DiskError::new(DiskFault::Io, "injected", "injected")
}

fn missing(what: &str) -> DiskError {
    DiskError::new(DiskFault::Missing, "missing", what)
}

impl Driver for FakeDriver {
    fn platform(&self) -> Platform {
        Platform::Uml
    }
    fn kernels(&self) -> Vec<KernelReport> {
        vec![]
    }
    fn memory_total_mb(&self) -> i64 {
        1 << 20
    }
    fn runs_helpers(&self, _: &BootSpec) -> bool {
        !self.1.lock().unwrap().no_initramfs
    }
    fn preflight(&self, _: LinodeId, _: &GuestSpec, _: &BootSpec) -> Result<(), DriverError> {
        if self.1.lock().unwrap().unbootable {
            return Err(DriverError::Refused {
                public: "The host does not have this kernel".into(),
                detail: "injected".into(),
            });
        }
        Ok(())
    }
    fn start(&self, guest: &Guest<'_>) -> Result<(), DriverError> {
        let panics = self.1.lock().unwrap().panics;
        assert_ne!(panics, Some(guest.linode), "a bug of the driver");
        let epoch = guest.disks.first().and_then(|(_, path)| {
            path.parent()?
                .file_name()?
                .to_str()?
                .strip_prefix('e')?
                .parse()
                .ok()
        });
        let start = |world: &mut World| world.start(self.0, guest.linode, epoch);
        self.1.lock().unwrap().call(start).ok_or_else(broken)
    }
    fn stop(&self, linode: LinodeId, _: Duration) -> Result<Stopped, DriverError> {
        let stop = |world: &mut World| match world.running.remove(&(self.0, linode)) {
            Some(_) => Stopped::Cleanly,
            None => Stopped::WasAbsent,
        };
        self.1.lock().unwrap().call(stop).ok_or_else(broken)
    }
    fn state(&self, linode: LinodeId) -> Result<GuestState, DriverError> {
        let look = |world: &mut World| match world.running.get(&(self.0, linode)) {
            Some((run, _)) => GuestState::Running {
                id: run.to_string(),
                since: DateTime::UNIX_EPOCH,
            },
            None => GuestState::Absent,
        };
        self.1.lock().unwrap().call(look).ok_or_else(broken)
    }
    fn states(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Result<GuestState, DriverError>> {
        let mut world = self.1.lock().unwrap();
        world.looked.push((self.0, linodes.to_vec()));
        drop(world);
        linodes.iter().map(|it| (*it, self.state(*it))).collect()
    }
    fn guests(&self) -> Result<Vec<LinodeId>, DriverError> {
        let world = self.1.lock().unwrap();
        let here = world.running.keys().filter(|(host, _)| *host == self.0);
        Ok(here.map(|(_, linode)| *linode).collect())
    }
    fn announce(&self, _: LinodeId, _: &GuestSpec) -> Result<(), DriverError> {
        self.1.lock().unwrap().call(|_| ()).ok_or_else(broken)
    }
    fn withdraw(&self, _: LinodeId) -> Result<(), DriverError> {
        self.1.lock().unwrap().call(|_| ()).ok_or_else(broken)
    }
    fn console_tail(&self, _: LinodeId, _: usize) -> String {
        "Kernel panic".into()
    }
    /// Every guest that runs uses a second of CPU between two looks.
    fn samples(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Counted> {
        let mut world = self.1.lock().unwrap();
        world.sampled.push(linodes.len());
        let cpu_ms = 1000 * world.sampled.len() as u64;
        let run = |linode: &LinodeId| Some(world.running.get(&(self.0, *linode))?.0);
        let counted = |run: u64| Counted {
            run: run.to_string(),
            sample: Sample {
                at: now(),
                cpu_ms,
                disk_read_bytes: 0,
                disk_write_bytes: 0,
                disk_read_ops: 0,
                disk_write_ops: 0,
                net_in_bytes: 0,
                net_out_bytes: 0,
                wait_ms: Some(0),
            },
        };
        let all = linodes.iter();
        all.filter_map(|it| Some((*it, counted(run(it)?))))
            .collect()
    }
    fn shares(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Share> {
        self.1.lock().unwrap().shared.push(linodes.len());
        let share = Share {
            cpu_weight: 256,
            io_priority: 4,
        };
        linodes.iter().map(|it| (*it, share)).collect()
    }
    fn set_share(&self, _: LinodeId, _: Share) -> Result<(), DriverError> {
        Ok(())
    }
}

impl FakeDisks {
    fn call<T>(
        &self,
        act: impl FnOnce(&mut World) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        self.1
            .lock()
            .unwrap()
            .call(act)
            .unwrap_or_else(|| Err(io()))
    }

    fn set_sealed(&self, linode: LinodeId, epoch: i64, sealed: bool) -> Result<(), DiskError> {
        let key = (self.0, linode, epoch);
        self.call(|world| match world.generations.get_mut(&key) {
            Some(state) => {
                *state = sealed;
                Ok(())
            }
            None => Err(missing("generation")),
        })
    }
}

/// A disk of zeros, of any size.
struct Blank;

impl Image for Blank {
    fn size(&self) -> u64 {
        u64::MAX
    }
    fn read_at(&self, buf: &mut [u8], _: u64) -> std::io::Result<()> {
        buf.fill(0);
        Ok(())
    }
    fn read_uncached(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.read_at(buf, offset)
    }
    fn write_at(&self, _: &[u8], _: u64) -> std::io::Result<()> {
        Ok(())
    }
    fn punch(&self, _: Range<u64>) -> std::io::Result<()> {
        Ok(())
    }
    fn next_data(&self, _: u64) -> std::io::Result<Option<Range<u64>>> {
        Ok(None)
    }
    fn prefetch(&self, _: Range<u64>) {}
    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
}

impl DiskStore for FakeDisks {
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
        Ok(())
    }
    fn check(&self, linode: LinodeId, epoch: i64, _: &[DiskSpec]) -> Result<Usage, DiskError> {
        let key = (self.0, linode, epoch);
        self.call(|world| {
            if !world.generations.contains_key(&key) {
                return Err(missing("generation"));
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
        _: LinodeId,
        _: MigrationId,
        _: &[DiskSpec],
        base: Option<Base<'_>>,
    ) -> Result<(), DiskError> {
        // A hundred megabytes to copy, in no time.
        if base.is_some_and(|base| (0..100).any(|_| !(base.pace)(1_000_000))) {
            return Err(DiskError::new(DiskFault::Stopped, "stopped", "stopped"));
        }
        self.call(|_| Ok(()))
    }
    fn target(&self, _: LinodeId, _: MigrationId, _: &DiskSpec) -> Result<Target, DiskError> {
        Err(missing("no bytes in this world"))
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
        let mut world = self.1.lock().unwrap();
        world
            .published
            .insert((self.0, linode, receipt.migration), epoch);
        world.generations.insert((self.0, linode, epoch), true);
        Ok(())
    }
    fn published(
        &self,
        linode: LinodeId,
        migration: MigrationId,
    ) -> Result<Option<(i64, Receipt)>, DiskError> {
        let key = (self.0, linode, migration);
        let receipt = Receipt {
            migration,
            sealed: 0,
            digests: vec![],
            sent_bytes: 0,
            seconds: 0.0,
            uncached: None,
        };
        self.call(|world| {
            Ok(world
                .published
                .get(&key)
                .map(|epoch| (*epoch, receipt.clone())))
        })
    }
    fn activate(
        &self,
        linode: LinodeId,
        migration: MigrationId,
        epoch: i64,
    ) -> Result<(), DiskError> {
        let key = (self.0, linode, migration);
        self.call(|world| match world.published.remove(&key) {
            Some(published) => {
                world.generations.remove(&(key.0, linode, published));
                world.generations.insert((key.0, linode, epoch), true);
                Ok(())
            }
            None if world.generations.contains_key(&(key.0, linode, epoch)) => Ok(()),
            None => Err(missing("copy")),
        })
    }
    fn regrant(&self, linode: LinodeId, from: i64, to: i64) -> Result<(), DiskError> {
        let host = self.0;
        self.call(|world| {
            let sealed = match world.generations.remove(&(host, linode, from)) {
                Some(sealed) => sealed,
                None if world.generations.contains_key(&(host, linode, to)) => return Ok(()),
                None => return Err(missing("generation")),
            };
            world.generations.insert((host, linode, to), sealed);
            if let Some((_, of)) = world.running.get_mut(&(host, linode)) {
                *of = Some(to);
            }
            Ok(())
        })
    }
    fn release(&self, linode: LinodeId, migration: MigrationId) -> Result<(), DiskError> {
        let key = (self.0, linode, migration);
        self.call(|world| {
            if let Some(epoch) = world.published.remove(&key) {
                world.generations.remove(&(key.0, linode, epoch));
            }
            Ok(())
        })
    }
    fn purge(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        let host = self.0;
        self.call(|world| {
            let runs_from = world.running.get(&(host, linode));
            if runs_from.is_some_and(|(_, from)| *from == Some(epoch)) {
                world
                    .violations
                    .push(format!("{linode} purged on {host} while it runs"));
            }
            world.generations.remove(&(host, linode, epoch));
            Ok(())
        })
    }
    fn seal(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        if self
            .1
            .lock()
            .unwrap()
            .running
            .contains_key(&(self.0, linode))
        {
            let mut world = self.1.lock().unwrap();
            world
                .violations
                .push(format!("{linode} sealed while it runs"));
        }
        self.set_sealed(linode, epoch, true)
    }
    fn unseal(&self, linode: LinodeId, epoch: i64) -> Result<(), DiskError> {
        self.set_sealed(linode, epoch, false)
    }
    fn look(&self, _: LinodeId, _: i64, _: &DiskSpec) -> Result<Box<dyn Image>, DiskError> {
        Ok(Box::new(Blank))
    }
    fn origin(&self, _: LinodeId, _: i64) -> Result<Vec<DiskDigest>, DiskError> {
        Ok(Vec::new())
    }
    fn list(&self) -> Result<Listing, DiskError> {
        let world = self.1.lock().unwrap();
        let here = world.generations.keys().filter(|key| key.0 == self.0);
        Ok(Listing {
            generations: here.map(|(_, linode, epoch)| (*linode, *epoch)).collect(),
            ..Listing::default()
        })
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
        Err(missing("no bytes in this world"))
    }
    fn source_table(&self, _: LinodeId, _: MigrationId, _: DiskId) -> Result<File, DiskError> {
        Err(missing("no bytes in this world"))
    }
    fn close_source(&self, _: LinodeId, _: MigrationId) -> Result<(), DiskError> {
        self.call(|_| Ok(()))
    }
    fn forget_sources(&self) -> Result<u32, DiskError> {
        Ok(0)
    }
}
