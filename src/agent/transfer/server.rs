//! The source's listener: who may come in, how many, and until when.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::serve::Connection;
use super::served::Shared;
use super::{Cap, Identity, Source, TransferError};
use crate::agent::disk::DiskStore;
use crate::domain::ids::{LinodeId, MigrationId};

/// How often the listener looks whether it should stop.
const LOOK: Duration = Duration::from_millis(200);

/// Serves this host's disks to other agents. Dropped, it stops and cuts what runs.
pub struct Server {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    thread: Option<JoinHandle<()>>,
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
        let expects = Arc::clone(&source);
        let expects = Arc::new(move |peer: &str| expects.expects(peer));
        let tls = super::tls::server(identity, expects).map_err(io::Error::other)?;
        let shared = Arc::new(Shared::new(source, store, cap, tls));
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

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Cuts the migration's connections and forgets its clones. The source's `authorise` must refuse it by now.
    pub fn close(&self, linode: LinodeId, migration: MigrationId) -> Result<(), TransferError> {
        self.shared.cut(migration);
        Ok(self.shared.store.close_source(linode, migration)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.stopped() {
        let (stream, from) = match listener.accept() {
            Ok(found) => found,
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
        let id = match stream.try_clone() {
            Ok(handle) => shared.guests.enter(handle, from.ip()),
            Err(_) => continue,
        };
        let of = Arc::clone(shared);
        let spawned = std::thread::Builder::new()
            .name(format!("transfer-{id}"))
            .spawn(move || {
                if let Err(e) = Connection::serve(stream, id, &of) {
                    tracing::debug!("transfer connection {id}: {e}");
                }
                of.guests.leave(id);
            });
        if let Err(e) = spawned {
            tracing::warn!("transfer listener: {e}");
            shared.guests.leave(id);
        }
    }
}
