//! `xenbeta-agent run`: everything opened in the right order, then left to the daemon until a signal.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::net::ToSocketAddrs;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

use super::client::{Client, ClientError, Credential};
use super::config::{Config, StateDir};
use super::daemon::Daemon;
use super::host::{Host, SetupError};
use super::ledger::file;
use super::source::LedgerSource;
use super::transfer::Server;

/// How often a signal is looked for.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("another agent works on {0}")]
    Locked(String),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("this host is not enrolled: run `xenbeta-agent enrol` first ({0})")]
    NotEnrolled(String),
    #[error("the poll loop ended by itself; see the log")]
    Ended,
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl RunError {
    fn io(what: impl std::fmt::Display, source: io::Error) -> Self {
        Self::Io {
            what: what.to_string(),
            source,
        }
    }
}

/// Takes the state folder for this process, for the life of the returned file. The folder is made if it is missing.
pub fn lock(state: &StateDir) -> Result<File, RunError> {
    let named = |source| RunError::io(state.0.display(), source);
    file::private_dir(&state.0).map_err(named)?;
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(state.lock())
        .map_err(named)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(RunError::Locked(state.0.display().to_string())),
        Err(TryLockError::Error(source)) => Err(named(source)),
    }
}

/// A client with the credential from the state folder.
pub fn client(config: &Config) -> Result<Client, RunError> {
    let path = config.state().credential();
    let credential = match fs::read_to_string(&path) {
        Ok(text) => Credential::new(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RunError::NotEnrolled(path.display().to_string()));
        }
        Err(error) => return Err(RunError::io(path.display(), error)),
    };
    let ca = config.portal_ca.as_deref();
    Ok(Client::new(&config.portal, ca, Some(credential))?)
}

/// Runs until SIGTERM or SIGINT. Guests run on; jobs in hand stay in the ledger and are carried on by the next run.
pub fn run(config: &Config) -> Result<(), RunError> {
    let _lock = lock(&config.state())?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| RunError::io("signals", error))?;
    }
    let client = client(config)?;
    if config.portal.starts_with("http://") {
        tracing::warn!(
            portal = config.portal,
            "the portal is spoken to without TLS"
        );
    }
    let host = Arc::new(Host::open(config)?);
    match host.disks.forget_sources() {
        Ok(0) => {}
        Ok(migrations) => tracing::info!(
            migrations,
            "what an earlier run knew as a source is forgotten"
        ),
        // None of it is used: it only takes room until its transfer is closed.
        Err(error) => {
            tracing::error!(%error, "what an earlier run left as a source cannot be dropped")
        }
    }
    let server = serve(config, &host, &client)?;
    tracing::info!(address = %server.local_addr(), "transfers are served");
    let _ = host.server.set(server);
    let credential = config.state().credential();
    let daemon = Daemon::new(host, client, config.slots, Some(credential));
    let polling = Arc::clone(&daemon);
    let polling = thread::Builder::new()
        .name("poll".into())
        .spawn(move || polling.run())
        .map_err(|error| RunError::io("the poll thread", error))?;
    let watching = Arc::clone(&daemon);
    thread::Builder::new()
        .name("watch".into())
        .spawn(move || watching.watch())
        .map_err(|error| RunError::io("the watch thread", error))?;
    let sampling = Arc::clone(&daemon);
    thread::Builder::new()
        .name("sample".into())
        .spawn(move || sampling.sample())
        .map_err(|error| RunError::io("the sampling thread", error))?;
    tracing::info!(portal = config.portal, "the agent runs");
    while !stop.load(Ordering::Relaxed) {
        if polling.is_finished() {
            return Err(RunError::Ended);
        }
        thread::sleep(LOOK);
    }
    daemon.stop();
    tracing::info!("the agent ends; its guests run on");
    Ok(())
}

/// The listener for other agents. The address may be a name; the first one it stands for is used.
fn serve(config: &Config, host: &Host, client: &Client) -> Result<Server, RunError> {
    let listen = &config.transfer.listen;
    let named = |source| RunError::io(format!("transfer.listen {listen}"), source);
    let address = listen
        .to_socket_addrs()
        .map_err(named)?
        .next()
        .ok_or_else(|| named(io::Error::other("it stands for no address")))?;
    let source = LedgerSource::new(Arc::clone(&host.ledger), client.clone());
    Server::start(
        address,
        &host.identity,
        Arc::new(source),
        Arc::clone(&host.disks),
        Arc::clone(&host.cap),
    )
    .map_err(named)
}
