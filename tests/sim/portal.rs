//! The real portal over a SQLite file in memory, made ready once and copied for every seed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use xenbeta::agent::transfer::Identity;
use xenbeta::app::clock::Clock;
use xenbeta::app::secrets::{self, Secret, purpose};
use xenbeta::app::{App, Settings};
use xenbeta::domain::ids::{HostId, LinodeId, RegistrationId};
use xenbeta::store::error::StoreError;

use crate::support::fleet::{DB, WEB};
use crate::support::{On, SECRET, TestApp};

/// Hosts of the simulation: a UML one and two Xen ones.
pub const HOSTS: [i64; 3] = [1, 3, 4];
pub const LINODES: [LinodeId; 2] = [WEB, DB];
/// Some day, in milliseconds since 1970.
pub const BEGIN: i64 = 1_790_000_000_000;

/// What all seeds of a thread share.
pub struct Prepared {
    pub folder: tempfile::TempDir,
    pub identities: Vec<Arc<Identity>>,
    pub registrations: Vec<RegistrationId>,
    hasher: Arc<xenbeta::app::account::password::Hasher>,
    secret: Arc<Secret>,
    settings: Arc<Settings>,
}

pub fn credential(host: i64) -> String {
    format!("xb-credential-of-{host}")
}

impl Prepared {
    pub fn new() -> Self {
        let shm = Path::new("/dev/shm");
        let root = if shm.is_dir() { shm } else { Path::new("/tmp") };
        let folder = tempfile::TempDir::with_prefix_in("xenbeta-sim-", root).expect("a folder");
        let identities: Vec<_> = HOSTS
            .iter()
            .map(|host| {
                let dir = folder.path().join(format!("identity-{host}"));
                std::fs::create_dir(&dir).expect("a folder");
                Arc::new(Identity::load_or_create(&dir).expect("an identity"))
            })
            .collect();
        let mut app = TestApp::new(On::Sqlite);
        app.app.clock = Clock::Fixed(Arc::new(AtomicI64::new(BEGIN)));
        let app = app.with_fleet().with_second_staff();
        let registrations = LINODES.iter().map(|linode| app.approved(*linode)).collect();
        let mut sql = String::from(
            "DELETE FROM ips WHERE linode_id IN (103, 201); DELETE FROM config_profiles WHERE linode_id IN (103, 201);
             DELETE FROM disks WHERE linode_id IN (103, 201); DELETE FROM linodes WHERE id IN (103, 201);
             UPDATE hosts SET state = 'disabled' WHERE id = 2; UPDATE programme SET watch_s = 0; DELETE FROM outbox;",
        );
        for (host, identity) in HOSTS.iter().zip(&identities) {
            let hash = secrets::hash(purpose::AGENT, &credential(*host));
            let fingerprint = identity.fingerprint();
            sql.push_str(&format!(
                "UPDATE hosts SET credential_hash = '{hash}', fingerprint = '{fingerprint}' WHERE id = {host};"
            ));
        }
        app.db
            .read(|conn| {
                conn.batch_execute(&sql)?;
                let file = folder.path().join("template.db");
                conn.batch_execute(&format!("VACUUM INTO '{}'", file.display()))?;
                Ok::<_, StoreError>(())
            })
            .expect("the template");
        let (hasher, secret) = (Arc::clone(&app.hasher), Secret::from_text(SECRET));
        Self {
            folder,
            identities,
            registrations,
            hasher,
            secret: Arc::new(secret.expect("long enough")),
            settings: Arc::new(Settings::default()),
        }
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("portal.db")
    }

    /// Puts a file in the database's place, as a snapshot of the folder would: what stood beside it is gone, too, and only
    /// agents know more.
    pub fn put(&self, from: &str) {
        let to = self.database();
        await_closed(&to);
        for suffix in ["-wal", "-shm", ".mark"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", to.display()));
        }
        std::fs::copy(self.folder.path().join(from), to).expect("copies");
    }

    pub fn keep(&self, app: &App, name: &str) {
        let file = self.folder.path().join(name);
        let _ = std::fs::remove_file(&file);
        let sql = format!("VACUUM INTO '{}'", file.display());
        app.db
            .read(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?))
            .expect("a copy");
    }

    pub fn open(&self, clock: &Arc<AtomicI64>) -> App {
        let url = self.database().display().to_string();
        let clock = Clock::Fixed(Arc::clone(clock));
        App {
            doors: Arc::new(xenbeta::app::doors::Doors::new(&clock)),
            db: xenbeta::store::schema_migrations::open(&url, 2).expect("the database opens"),
            clock,
            watch: xenbeta::app::clock::Watch::default(),
            secret: Arc::clone(&self.secret),
            settings: Arc::clone(&self.settings),
            hasher: Arc::clone(&self.hasher),
        }
    }

    pub fn identity(&self, host: i64) -> Arc<Identity> {
        let at = HOSTS.iter().position(|it| *it == host).expect("a host");
        Arc::clone(&self.identities[at])
    }
}

/// A pool that was dropped closes its connections in threads of its own, and may be opening another one.
fn await_closed(database: &Path) {
    let name = database.display().to_string();
    let is_open = || {
        let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
        files
            .flatten()
            .filter_map(|it| std::fs::read_link(it.path()).ok())
            .any(|it| it.to_string_lossy().starts_with(&name))
    };
    let begun = Instant::now();
    while is_open() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{name} is open");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn id(host: i64) -> HostId {
    HostId(host)
}
