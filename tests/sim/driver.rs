//! The driver of a simulated host: guests are rows of the world.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::DateTime;
use xenbeta::agent::driver::{Counted, Driver, DriverError, Guest, GuestState, Stopped, Trials};
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::platform::Platform;
use xenbeta::wire::{BootSpec, GuestSpec, KernelReport, Share};

use crate::sim::{Fate, sim};

pub struct SimDriver(pub i64);

fn broken() -> DriverError {
    DriverError::Host("injected".into())
}

/// The epoch in a path that the store gave.
fn epoch_of(guest: &Guest<'_>) -> i64 {
    let path = guest.disks.first().and_then(|(_, path)| path.parent());
    path.and_then(|path| path.file_name()?.to_str()?.strip_prefix('e')?.parse().ok())
        .unwrap_or(0)
}

impl SimDriver {
    fn call<T>(&self, what: &str, act: impl FnOnce() -> T) -> Result<T, DriverError> {
        let fate = sim().seam(self.0, what);
        if fate == Fate::FailBefore {
            return Err(broken());
        }
        let done = act();
        if fate == Fate::CutAfter {
            sim().cut(self.0);
        }
        if fate == Fate::FailAfter {
            return Err(broken());
        }
        Ok(done)
    }
}

impl Driver for SimDriver {
    fn platform(&self) -> Platform {
        if self.0 == 1 {
            Platform::Uml
        } else {
            Platform::Xen
        }
    }
    fn kernels(&self) -> Vec<KernelReport> {
        vec![]
    }
    fn memory_total_mb(&self) -> i64 {
        1 << 20
    }
    fn preflight(&self, _: LinodeId, _: &GuestSpec, _: &BootSpec) -> Result<(), DriverError> {
        Ok(())
    }
    fn start(&self, guest: &Guest<'_>) -> Result<(), DriverError> {
        let (linode, epoch) = (guest.linode, epoch_of(guest));
        self.call("start", || {
            let dies = sim().chance(20);
            sim().note(format!("START {linode} on {} e{epoch} dies={dies}", self.0));
            sim().world.borrow_mut().start(self.0, linode, epoch, dies);
        })
    }
    fn stop(&self, linode: LinodeId, _: Duration) -> Result<Stopped, DriverError> {
        self.call("stop", || {
            if sim().world.borrow_mut().remove_run(self.0, linode) {
                sim().note(format!("STOP {linode} on {}", self.0));
                Stopped::Cleanly
            } else {
                Stopped::WasAbsent
            }
        })
    }
    fn state(&self, linode: LinodeId) -> Result<GuestState, DriverError> {
        self.call("state", || look(self.0, linode))
    }
    fn states(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Result<GuestState, DriverError>> {
        let blind = sim().chance(10);
        let state = |linode| {
            if blind {
                Err(broken())
            } else {
                Ok(look(self.0, linode))
            }
        };
        linodes.iter().map(|it| (*it, state(*it))).collect()
    }
    fn guests(&self) -> Result<Vec<LinodeId>, DriverError> {
        let sim = sim();
        let world = sim.world.borrow();
        let here = world.guests.iter().filter(|(_, run)| run.host == self.0);
        Ok(here.map(|(linode, _)| *linode).collect())
    }
    fn announce(&self, _: LinodeId, _: &GuestSpec) -> Result<(), DriverError> {
        self.call("announce", || ())
    }
    fn withdraw(&self, _: LinodeId) -> Result<(), DriverError> {
        self.call("withdraw", || ())
    }
    fn console_tail(&self, _: LinodeId, _: usize) -> String {
        "Kernel panic".into()
    }
    fn samples(&self, _: &[LinodeId]) -> BTreeMap<LinodeId, Counted> {
        BTreeMap::new()
    }
    fn shares(&self, _: &[LinodeId]) -> BTreeMap<LinodeId, Share> {
        BTreeMap::new()
    }
    fn set_share(&self, _: LinodeId, _: Share) -> Result<(), DriverError> {
        Ok(())
    }
    fn trials(&self) -> Option<Trials> {
        Some(Trials::of(SimTrials(Self(self.0))))
    }
}

/// Clones of trials. A look at one that runs finds it ended: nobody waits for a real clock here.
struct SimTrials(SimDriver);

impl Driver for SimTrials {
    fn platform(&self) -> Platform {
        self.0.platform()
    }
    fn kernels(&self) -> Vec<KernelReport> {
        vec![]
    }
    fn memory_total_mb(&self) -> i64 {
        self.0.memory_total_mb()
    }
    fn preflight(&self, _: LinodeId, _: &GuestSpec, _: &BootSpec) -> Result<(), DriverError> {
        Ok(())
    }
    fn start(&self, guest: &Guest<'_>) -> Result<(), DriverError> {
        let (host, linode) = (self.0.0, guest.linode);
        self.0.call("try", || {
            sim().note(format!("TRY {linode} on {host}"));
            sim().world.borrow_mut().try_it(host, linode);
        })
    }
    fn stop(&self, linode: LinodeId, _: Duration) -> Result<Stopped, DriverError> {
        self.0.call("end trial", || self.gone(linode))
    }
    fn state(&self, linode: LinodeId) -> Result<GuestState, DriverError> {
        self.0.call("look at trial", || self.gone(linode))?;
        Ok(GuestState::Absent)
    }
    fn guests(&self) -> Result<Vec<LinodeId>, DriverError> {
        let sim = sim();
        let world = sim.world.borrow();
        let here = world.trials.iter().filter(|it| it.0 == self.0.0);
        Ok(here.map(|it| it.1).collect())
    }
    fn announce(&self, _: LinodeId, _: &GuestSpec) -> Result<(), DriverError> {
        Ok(())
    }
    fn withdraw(&self, _: LinodeId) -> Result<(), DriverError> {
        Ok(())
    }
    fn console_tail(&self, _: LinodeId, _: usize) -> String {
        let said = ["Kernel panic", "web login:"];
        said[usize::from(sim().below(2) == 0)].into()
    }
    fn samples(&self, _: &[LinodeId]) -> BTreeMap<LinodeId, Counted> {
        BTreeMap::new()
    }
    fn shares(&self, _: &[LinodeId]) -> BTreeMap<LinodeId, Share> {
        BTreeMap::new()
    }
    fn set_share(&self, _: LinodeId, _: Share) -> Result<(), DriverError> {
        Ok(())
    }
}

impl SimTrials {
    fn gone(&self, linode: LinodeId) -> Stopped {
        let sim = sim();
        let mut world = sim.world.borrow_mut();
        world.trials.retain(|it| *it != (self.0.0, linode));
        Stopped::ByForce
    }
}

fn look(host: i64, linode: LinodeId) -> GuestState {
    match sim().world.borrow().run_of(host, linode) {
        Some(run) => GuestState::Running {
            id: run.id.to_string(),
            since: DateTime::UNIX_EPOCH,
        },
        None => GuestState::Absent,
    }
}
