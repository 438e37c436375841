//! The source's listener: who may come in, how many, and until when.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;

use super::serve::Connection;
use super::served::Transfer;
use super::{Cap, Granted, Identity, Source, TransferError};
use crate::agent::disk::DiskStore;
use crate::domain::ids::{LinodeId, MigrationId};

/// Connections at once, those that have not shown a token yet included.
const CONNECTIONS: usize = 64;
/// How often the listener looks whether it should stop.
const LOOK: Duration = Duration::from_millis(200);

/// Serves this host's disks to other agents. Dropped, it stops and cuts what runs.
pub struct Server {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

pub(super) struct Shared {
    pub source: Arc<dyn Source>,
    pub store: Arc<dyn DiskStore>,
    pub cap: Arc<Cap>,
    pub stop: AtomicBool,
    tls: Arc<ServerConfig>,
    transfers: Mutex<HashMap<MigrationId, Arc<Transfer>>>,
    connections: Mutex<HashMap<u64, (TcpStream, Option<MigrationId>)>>,
    next: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// Listens at once (port 0: any free one, see [`Server::local_addr`]).
    pub fn start(
        listen: SocketAddr,
        identity: &Identity,
        source: Arc<dyn Source>,
        store: Arc<dyn DiskStore>,
        cap: Arc<Cap>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let local_addr = listener.local_addr()?;
        rustix::net::sockopt::set_socket_timeout(
            &listener,
            rustix::net::sockopt::Timeout::Recv,
            Some(LOOK),
        )?;
        let shared = Arc::new(Shared {
            source,
            store,
            cap,
            stop: AtomicBool::new(false),
            tls: super::tls::server(identity).map_err(io::Error::other)?,
            transfers: Mutex::default(),
            connections: Mutex::default(),
            next: AtomicU64::new(0),
        });
        let thread = std::thread::Builder::new().name("transfer".into()).spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        })?;
        Ok(Self {
            shared,
            local_addr,
            thread: Some(thread),
        })
    }

    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Cuts the migration's connections and forgets its clones. The source's `authorise` must refuse it by now.
    pub fn close(&self, linode: LinodeId, migration: MigrationId) -> Result<(), TransferError> {
        lock(&self.shared.transfers).remove(&migration);
        for (stream, of) in lock(&self.shared.connections).values() {
            if *of == Some(migration) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        Ok(self.shared.store.close_source(linode, migration)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for (stream, _) in lock(&self.shared.connections).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.stop.load(Ordering::Relaxed) {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) =>
            {
                continue;
            }
            Err(e) => {
                tracing::warn!("transfer listener: {e}");
                std::thread::sleep(LOOK);
                continue;
            }
        };
        let id = shared.next.fetch_add(1, Ordering::Relaxed);
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        {
            let mut connections = lock(&shared.connections);
            if connections.len() >= CONNECTIONS {
                tracing::warn!(
                    "transfer listener: {CONNECTIONS} connections at once, one more refused"
                );
                continue;
            }
            connections.insert(id, (handle, None));
        }
        let of = Arc::clone(shared);
        let spawned = std::thread::Builder::new()
            .name(format!("transfer-{id}"))
            .spawn(move || {
                if let Err(e) = Connection::serve(stream, id, &of) {
                    tracing::debug!("transfer connection {id}: {e}");
                }
                lock(&of.connections).remove(&id);
            });
        if let Err(e) = spawned {
            tracing::warn!("transfer listener: {e}");
            lock(&shared.connections).remove(&id);
        }
    }
}

impl Shared {
    pub fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls)
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The connection is this migration's from now on; what it granted is read through one [`Transfer`].
    pub fn join(&self, id: u64, granted: Granted) -> Result<Arc<Transfer>, TransferError> {
        if let Some(entry) = lock(&self.connections).get_mut(&id) {
            entry.1 = Some(granted.migration);
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
}
