//! Who waits for what: agents for a job on their host, pages for a change of a migration.

pub mod listen;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, broadcast};

use crate::domain::ids::{HostId, MigrationId};

/// The PostgreSQL channel that portals tell each other wakes on.
pub const CHANNEL: &str = "xenbeta_wake";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// There may be a job for this host.
    Host(HostId),
    /// This migration changed.
    Migration(MigrationId),
    /// The reconciler has something to look at before its next round.
    Reconcile,
}

impl Wake {
    pub fn to_payload(self) -> String {
        match self {
            Self::Host(id) => format!("host {id}"),
            Self::Migration(id) => format!("migration {id}"),
            Self::Reconcile => "reconcile".to_owned(),
        }
    }

    pub fn from_payload(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            Some(("host", id)) => id.parse().ok().map(Self::Host),
            Some(("migration", id)) => id.parse().ok().map(Self::Migration),
            _ => (text == "reconcile").then_some(Self::Reconcile),
        }
    }
}

/// In-process delivery of wakes. A wake that nobody waits for is dropped: everyone who waits looks at the database
/// after subscribing and before sleeping, and again every few seconds.
pub struct Hub {
    hosts: Mutex<HashMap<HostId, Arc<Notify>>>,
    migrations: broadcast::Sender<MigrationId>,
    reconcile: Arc<Notify>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            hosts: Mutex::default(),
            // A page that falls this many changes behind reads the newest state once instead.
            migrations: broadcast::channel(256).0,
            reconcile: Arc::default(),
        }
    }
}

impl Hub {
    pub fn wake(&self, wake: Wake) {
        match wake {
            Wake::Host(id) => {
                let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(notify) = hosts.get(&id) {
                    notify.notify_waiters();
                }
            }
            Wake::Migration(id) => {
                // An error only says that no page is open.
                let _nobody_listens = self.migrations.send(id);
            }
            Wake::Reconcile => self.reconcile.notify_one(),
        }
    }

    /// Wakes everyone, after a lost connection to the database: something may have been missed.
    pub fn wake_all(&self) {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        for notify in hosts.values() {
            notify.notify_waiters();
        }
        self.reconcile.notify_one();
    }

    pub fn host(&self, id: HostId) -> Arc<Notify> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(hosts.entry(id).or_default())
    }

    pub fn migrations(&self) -> broadcast::Receiver<MigrationId> {
        self.migrations.subscribe()
    }

    pub fn reconcile(&self) -> Arc<Notify> {
        Arc::clone(&self.reconcile)
    }
}
