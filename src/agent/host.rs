//! Everything the steps of one host work with: ledger, driver, disks, and a lock per Linode.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, Utc};

use super::config::{Config, DisksConfig, DriverConfig, LvmConfig};
use super::disk::lvm::Commands;
use super::disk::{DiskError, DiskStore, FileStore, LvmStore};
use super::driver::simulated::Simulated;
use super::driver::uml::Uml;
use super::driver::xen::Xen;
use super::driver::{Driver, DriverError, Trials};
use super::ledger::error::LedgerError;
use super::ledger::{Ledger, file};
use super::looks::Looks;
use super::process::now;
use super::store_mark;
use super::transfer::{Cap, Identity, Mover, OverTls, Server};
use crate::domain::ids::LinodeId;

pub struct Host {
    pub ledger: Arc<Ledger>,
    pub driver: Box<dyn Driver>,
    /// Clones that are tried here; `None`: this host has no such guests.
    pub trials: Option<Trials>,
    pub disks: Arc<dyn DiskStore>,
    /// This agent's end of transfers.
    pub identity: Arc<Identity>,
    /// On copying, for the whole host.
    pub cap: Arc<Cap>,
    /// Serves open transfers, once the agent runs.
    pub server: OnceLock<Server>,
    /// Fetches copies, as the destination.
    pub mover: Box<dyn Mover>,
    /// Make sample disks for adopted Linodes that have none (demonstrations only).
    pub provision_missing: bool,
    pub locks: Locks,
    /// At guests whose start is watched.
    pub looks: Looks,
    /// When this run of the agent began: what was to be seen before, nobody saw.
    pub began: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the driver: {0}")]
    Driver(#[from] DriverError),
    #[error("the disk store: {0}")]
    Disks(#[from] DiskError),
    #[error("the transfer identity in {0}: {1}")]
    Identity(String, std::io::Error),
}

/// The driver the configuration asks for.
pub fn driver(config: &Config) -> Result<Box<dyn Driver>, DriverError> {
    let dir = config.state().driver();
    match &config.driver {
        DriverConfig::Simulated(simulated) => {
            Ok(Box::new(Simulated::new(simulated.clone(), &dir)?))
        }
        DriverConfig::Uml(uml) => Ok(Box::new(Uml::new(uml.clone(), dir)?)),
        DriverConfig::Xen(xen) => Ok(Box::new(Xen::new(xen.clone(), dir)?)),
    }
}

/// The disk store the configuration asks for.
pub fn disks(config: &Config) -> Result<Arc<dyn DiskStore>, DiskError> {
    match &config.disks {
        DisksConfig::Files(files) => {
            store_mark::hold(&config.state_dir, &files.dir, || Ok(()))?;
            let reserve = files.reserve_mb.map(|mb| mb.saturating_mul(1 << 20));
            Ok(Arc::new(FileStore::with_reserve(&files.dir, reserve)?))
        }
        DisksConfig::Lvm(lvm) => Ok(Arc::new(volumes(config, lvm)?)),
    }
}

/// The store on a volume group; its folder is made if it is not there.
pub fn volumes(config: &Config, lvm: &LvmConfig) -> Result<LvmStore, DiskError> {
    let dir = lvm.dir.clone().unwrap_or_else(|| config.state().volumes());
    if lvm.dir.is_some() {
        // It may be a mount.
        store_mark::hold(&config.state_dir, &dir, || file::private_dir(&dir))?;
    } else {
        file::private_dir(&dir).map_err(|error| DiskError::io("the folder of volumes", &error))?;
    }
    LvmStore::open(Arc::new(Commands::new(&lvm.vg)), &dir)
}

impl Host {
    /// Opens everything the configuration names. The caller holds the lock on the state folder.
    pub fn open(config: &Config) -> Result<Self, SetupError> {
        let identity = Identity::load_or_create(&config.state_dir)
            .map_err(|error| SetupError::Identity(config.state_dir.display().to_string(), error))?;
        let mut host = Self::new(
            Ledger::open(&config.state().ledger())?,
            driver(config)?,
            disks(config)?,
            Arc::new(identity),
        );
        host.provision_missing = match &config.driver {
            DriverConfig::Simulated(simulated) => simulated.provision_missing,
            DriverConfig::Uml(_) | DriverConfig::Xen(_) => false,
        };
        Ok(host)
    }

    pub fn new(
        ledger: Ledger,
        driver: Box<dyn Driver>,
        disks: Arc<dyn DiskStore>,
        identity: Arc<Identity>,
    ) -> Self {
        Self {
            ledger: Arc::new(ledger),
            trials: driver.trials(),
            driver,
            disks,
            identity,
            cap: Arc::new(Cap::new(None)),
            server: OnceLock::new(),
            mover: Box::new(OverTls),
            provision_missing: false,
            locks: Locks::default(),
            looks: Looks::default(),
            began: now(),
        }
    }
}

/// One lock per Linode: two jobs of one Linode never run at once on this host. (That no second agent works on the same
/// state folder is a lock on that folder.)
#[derive(Debug, Default)]
pub struct Locks {
    held: Mutex<HashSet<LinodeId>>,
    freed: Condvar,
}

/// The right to work on one Linode, for as long as this lives.
#[derive(Debug)]
pub struct Locked<'a> {
    locks: &'a Locks,
    linode: LinodeId,
}

impl Locks {
    /// Waits for the Linode's lock.
    pub fn lock(&self, linode: LinodeId) -> Locked<'_> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = self
            .freed
            .wait_while(held, |held| held.contains(&linode))
            .unwrap_or_else(PoisonError::into_inner);
        held.insert(linode);
        Locked {
            locks: self,
            linode,
        }
    }

    /// The Linode's lock, if nobody is at work on it.
    pub fn try_lock(&self, linode: LinodeId) -> Option<Locked<'_>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Made only where it is free: one that is made and dropped frees the Linode under whoever has it.
        held.insert(linode).then(|| Locked {
            locks: self,
            linode,
        })
    }
}

impl Locked<'_> {
    pub fn linode(&self) -> LinodeId {
        self.linode
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let mut held = self
            .locks
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        held.remove(&self.linode);
        self.locks.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_a_linode_taken_neither_waits_nor_frees_it() {
        let (locks, linode) = (Locks::default(), LinodeId(7));
        let held = locks.lock(linode);
        assert!(locks.try_lock(linode).is_none());
        assert!(locks.try_lock(linode).is_none(), "it is still taken");
        assert!(locks.try_lock(LinodeId(8)).is_some());
        drop(held);
        assert!(locks.try_lock(linode).is_some());
    }
}
