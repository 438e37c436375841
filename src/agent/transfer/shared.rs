//! What listener and connections share: who is here, and what they were granted.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;

use super::served::Transfer;
use super::{Cap, Granted, Source, TransferError};
use crate::agent::disk::DiskStore;
use crate::domain::address::near;
use crate::domain::ids::MigrationId;

/// Connections at once of those that something waits for.
const PEERS: usize = 64;
/// At the door, of whom nothing is known yet. One more, and of the address that has most the oldest goes: who means well
/// is past the door in a moment.
const STRANGERS: usize = 64;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Guest {
    stream: TcpStream,
    near: IpAddr,
    is_peer: bool,
    migration: Option<MigrationId>,
}

pub struct Shared {
    pub source: Arc<dyn Source>,
    pub store: Arc<dyn DiskStore>,
    pub cap: Arc<Cap>,
    stop: AtomicBool,
    tls: Arc<ServerConfig>,
    transfers: Mutex<HashMap<MigrationId, Arc<Transfer>>>,
    /// By number, so that the oldest is first.
    guests: Mutex<BTreeMap<u64, Guest>>,
    next: AtomicU64,
}

impl Shared {
    pub fn new(
        source: Arc<dyn Source>,
        store: Arc<dyn DiskStore>,
        cap: Arc<Cap>,
        tls: Arc<ServerConfig>,
    ) -> Self {
        Self {
            source,
            store,
            cap,
            stop: AtomicBool::new(false),
            tls,
            transfers: Mutex::default(),
            guests: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    pub fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls)
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The connection is this migration's from now on; what it granted is read through one [`Transfer`].
    pub fn join(&self, id: u64, granted: Granted) -> Result<Arc<Transfer>, TransferError> {
        if let Some(guest) = lock(&self.guests).get_mut(&id) {
            guest.migration = Some(granted.migration);
        }
        let mut transfers = lock(&self.transfers);
        if let Some(known) = transfers.get(&granted.migration)
            && known.granted == granted
        {
            return Ok(Arc::clone(known));
        }
        // New to this process: clones and tables of an earlier one vouch for nothing here.
        self.store.close_source(granted.linode, granted.migration)?;
        let transfer = Arc::new(Transfer::new(granted));
        transfers.insert(transfer.granted.migration, Arc::clone(&transfer));
        Ok(transfer)
    }

    /// The number of a connection that comes in, at the door.
    pub fn enter(&self, stream: TcpStream, from: IpAddr) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut guests = lock(&self.guests);
        if guests.values().filter(|guest| !guest.is_peer).count() >= STRANGERS
            && let Some(gone) = too_many(&guests).and_then(|id| guests.remove(&id))
        {
            let _ = gone.stream.shutdown(Shutdown::Both);
        }
        let guest = Guest {
            stream,
            near: near(from),
            is_peer: false,
            migration: None,
        };
        guests.insert(id, guest);
        id
    }

    /// It has proved a key that something waits for; `false`: there are as many as may be, or it was shown out.
    pub fn admit(&self, id: u64) -> bool {
        let mut guests = lock(&self.guests);
        if guests.values().filter(|guest| guest.is_peer).count() >= PEERS {
            return false;
        }
        let guest = guests.get_mut(&id);
        guest.map(|guest| guest.is_peer = true).is_some()
    }

    pub fn leave(&self, id: u64) {
        lock(&self.guests).remove(&id);
    }

    /// Forgets what was granted to a migration, and cuts its connections.
    pub fn cut(&self, migration: MigrationId) {
        lock(&self.transfers).remove(&migration);
        for guest in lock(&self.guests).values() {
            if guest.migration == Some(migration) {
                let _ = guest.stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Ends the listener and every connection.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        for guest in lock(&self.guests).values() {
            let _ = guest.stream.shutdown(Shutdown::Both);
        }
    }
}

/// Of the strangers of the address that has most, the oldest.
fn too_many(guests: &BTreeMap<u64, Guest>) -> Option<u64> {
    let strangers = || guests.iter().filter(|(_, guest)| !guest.is_peer);
    let mut from: HashMap<IpAddr, usize> = HashMap::new();
    for (_, guest) in strangers() {
        *from.entry(guest.near).or_default() += 1;
    }
    let most = from.into_iter().max_by_key(|(_, count)| *count)?.0;
    strangers()
        .find(|(_, guest)| guest.near == most)
        .map(|(id, _)| *id)
}
