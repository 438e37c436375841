//! What the portal's tests stand on: both databases, a clock that can be moved, a small fleet, actors, and agents that
//! speak the protocol without a host behind them.

pub mod fleet;
pub mod hand;
pub mod jobs;
pub mod memory;
pub mod pg;
pub mod port;
pub mod smtp;
#[cfg(feature = "agent")]
pub mod witness;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tempfile::TempDir;
use xenbeta::app::account::password::Hasher;
use xenbeta::app::clock::{Clock, Watch};
use xenbeta::app::doors::Doors;
use xenbeta::app::secrets::Secret;
use xenbeta::app::{App, Settings};
use xenbeta::domain::ids::HostId;
use xenbeta::domain::placement::Room;
use xenbeta::store;
use xenbeta::store::db::Database;
use xenbeta::store::error::StoreError;
use xenbeta::store::schema::portal;

/// What a process has in memory, in KiB, and the most that it ever had.
pub fn memory_kib(pid: u32) -> Option<[u64; 2]> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|it| it.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some([field("VmRSS:")?, field("VmHWM:")?])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgresql,
}

/// The use cases over a database of their own.
pub struct TestApp {
    pub app: App,
    pub shift: Arc<AtomicI64>,
    /// By how much the clock was set.
    pub set: Arc<AtomicI64>,
    pub url: String,
    _folder: TempDir,
}

impl std::ops::Deref for TestApp {
    type Target = App;
    fn deref(&self) -> &App {
        &self.app
    }
}

impl TestApp {
    pub fn new(on: On) -> Self {
        Self::begun(on, 0)
    }

    /// At a Wednesday's noon in June, so that no test fails before midnight, at a week's end or at a change of the clocks. Not where
    /// programs go by the system's clock.
    pub fn at_noon(on: On) -> Self {
        const NOON: u64 = 1_780_488_000;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.expect("after 1970").as_secs();
        Self::begun(on, NOON.cast_signed() - now.cast_signed())
    }

    /// Its clock goes by so many seconds otherwise.
    fn begun(on: On, shift: i64) -> Self {
        let folder = TempDir::new().expect("a folder");
        let url = match on {
            On::Sqlite => folder
                .path()
                .join("portal.db")
                .to_str()
                .expect("UTF-8")
                .to_owned(),
            On::Postgresql => pg::fresh_database(),
        };
        if on == On::Sqlite {
            store::schema_migrations::up(&Database::open_any_schema(&url, 1).expect("opens"))
                .expect("the schema");
        }
        let (shift, set) = (Arc::new(AtomicI64::new(shift)), Arc::default());
        Self {
            app: portal(&url, &shift, &set),
            shift,
            set,
            url,
            _folder: folder,
        }
    }

    /// Its database without it: nothing is connected any more. The folder goes with what is given back.
    pub fn apart(self) -> (String, TempDir) {
        drop(self.app);
        (self.url, self._folder)
    }

    /// Which database it is on.
    pub fn on(&self) -> On {
        if self.url.starts_with("postgres") {
            On::Postgresql
        } else {
            On::Sqlite
        }
    }

    /// Another portal on the same database.
    pub fn second(&self) -> App {
        portal(&self.url, &self.shift, &self.set)
    }

    /// On a database that stands already; a missing schema is put in.
    pub fn over(url: &str) -> Self {
        store::schema_migrations::up(&Database::open_any_schema(url, 1).expect("opens"))
            .expect("the schema");
        let (shift, set) = (Arc::default(), Arc::default());
        Self {
            app: portal(url, &shift, &set),
            shift,
            set,
            url: url.to_owned(),
            _folder: TempDir::new().expect("a folder"),
        }
    }

    /// What the host has room for now.
    pub fn room(&self, of: HostId) -> Room {
        let asked = xenbeta::app::host::liveness::asked_at(self.app.now());
        let rooms = self
            .app
            .db
            .read(|conn| store::host::room::rooms(conn, asked));
        let mut rooms = rooms.expect("reads").into_iter();
        rooms.find(|room| room.host == of).expect("a host")
    }

    /// Time goes by, and no portal looks at it.
    pub fn pass_s(&self, seconds: i64) {
        self.shift.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Time goes by while portals watch it.
    pub fn pass_watched_s(&self, seconds: i64) {
        self.pass_s(seconds);
        let now = self.app.now();
        let noted: Result<usize, StoreError> = self.app.db.write(|conn| {
            let watched = (
                portal::watched_s.eq(portal::watched_s + seconds),
                portal::watched_at.eq(now),
            );
            Ok(diesel::update(portal::table).set(watched).execute(conn)?)
        });
        noted.expect("noted");
    }

    /// Statements of the test's own, that no use case makes.
    pub fn sql(&self, sql: &str) {
        let done: Result<(), StoreError> = self.db.write(|conn| Ok(conn.batch_execute(sql)?));
        done.expect("done");
    }

    /// The clock is set by so much; no time goes by.
    pub fn set_clock_by_s(&self, seconds: i64) {
        self.set.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// What every portal of a test derives from.
pub const SECRET: &str = "a secret for tests only, of no use anywhere";

fn portal(url: &str, shift: &Arc<AtomicI64>, set: &Arc<AtomicI64>) -> App {
    let clock = Clock::Set(Arc::clone(shift), Arc::clone(set));
    App {
        db: xenbeta::store::schema_migrations::open(url, 8).expect("the database opens"),
        doors: Arc::new(Doors::new(&clock)),
        clock,
        watch: Watch::default(),
        secret: Arc::new(Secret::from_text(SECRET).expect("long enough")),
        settings: Arc::new(Settings {
            base_url: "https://lpm.example.net".to_owned(),
            ..Settings::default()
        }),
        hasher: Arc::new(Hasher::new().expect("a hasher")),
    }
}

/// The same test on both databases.
#[macro_export]
macro_rules! both_databases {
    ($($(#[$meta:meta])* fn $name:ident($app:ident: TestApp) $body:block)+) => { $(
        mod $name {
            #[allow(unused_imports, reason = "not every test needs all of them")]
            use super::*;
            $(#[$meta])*
            fn run($app: $crate::support::TestApp) $body
            #[test]
            fn sqlite() { run($crate::support::TestApp::at_noon($crate::support::On::Sqlite)); }
            #[test]
            fn postgresql() { run($crate::support::TestApp::at_noon($crate::support::On::Postgresql)); }
        }
    )+ };
}
