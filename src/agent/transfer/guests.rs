//! Who is connected to the source's listener: strangers at the door, and peers that something waits for.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::ids::MigrationId;
use crate::domain::network::Address;

/// Connections at once of those that something waits for.
const PEERS: usize = 64;
/// At the door, of whom nothing is known yet. One more, and of the address that has most the oldest goes: who means well
/// is past the door in a moment.
const STRANGERS: usize = 64;

struct Guest {
    stream: TcpStream,
    near: IpAddr,
    is_peer: bool,
    migration: Option<MigrationId>,
}

impl Guest {
    fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

#[derive(Default)]
pub(super) struct Guests(Mutex<Here>);

#[derive(Default)]
struct Here {
    /// By number, so that the oldest is first.
    all: BTreeMap<u64, Guest>,
    next: u64,
}

impl Guests {
    /// The number of a connection that comes in, at the door.
    pub(super) fn enter(&self, stream: TcpStream, from: IpAddr) -> u64 {
        let mut here = self.lock();
        if here.strangers().count() >= STRANGERS
            && let Some(gone) = here.too_many().and_then(|id| here.all.remove(&id))
        {
            gone.cut();
        }
        let guest = Guest {
            stream,
            near: Address::of(from).near(),
            is_peer: false,
            migration: None,
        };
        here.next += 1;
        let id = here.next;
        here.all.insert(id, guest);
        id
    }

    /// It has proved a key that something waits for; `false`: there are as many as may be, or it was shown out.
    pub(super) fn admit(&self, id: u64) -> bool {
        let mut here = self.lock();
        if here.all.values().filter(|guest| guest.is_peer).count() >= PEERS {
            return false;
        }
        let guest = here.all.get_mut(&id);
        guest.map(|guest| guest.is_peer = true).is_some()
    }

    /// The connection is this migration's from now on.
    pub(super) fn join(&self, id: u64, migration: MigrationId) {
        if let Some(guest) = self.lock().all.get_mut(&id) {
            guest.migration = Some(migration);
        }
    }

    pub(super) fn leave(&self, id: u64) {
        self.lock().all.remove(&id);
    }

    /// Ends the connections of a migration.
    pub(super) fn cut(&self, migration: MigrationId) {
        let here = self.lock();
        let theirs = |guest: &&Guest| guest.migration == Some(migration);
        here.all.values().filter(theirs).for_each(Guest::cut);
    }

    pub(super) fn cut_all(&self) {
        self.lock().all.values().for_each(Guest::cut);
    }

    fn lock(&self) -> MutexGuard<'_, Here> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Here {
    fn strangers(&self) -> impl Iterator<Item = (&u64, &Guest)> {
        self.all.iter().filter(|(_, guest)| !guest.is_peer)
    }

    /// Of the strangers of the address that has most, the oldest.
    fn too_many(&self) -> Option<u64> {
        let mut from: HashMap<IpAddr, usize> = HashMap::new();
        for (_, guest) in self.strangers() {
            *from.entry(guest.near).or_default() += 1;
        }
        let most = from.into_iter().max_by_key(|(_, count)| *count)?.0;
        self.strangers()
            .find(|(_, guest)| guest.near == most)
            .map(|(id, _)| *id)
    }
}
