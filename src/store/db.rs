//! Connections: which database, how it is opened, and the two ways to use it: [`Database::read`] and [`Database::write`].

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::{ManageConnection, Pool, PooledConnection, R2D2Connection};
use diesel_migrations::MigrationHarness;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::error::StoreError;
use super::ownership::mark_file::MarkFile;
use super::pulse::{Pulse, Unwell};
use super::wake::{Hub, Wake};

#[derive(diesel::MultiConnection)]
pub enum Db {
    Pg(diesel::PgConnection),
    Sqlite(diesel::SqliteConnection),
}

pub const POSTGRESQL: EmbeddedMigrations = embed_migrations!("migrations/postgresql");
pub const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Which database a URL names. The derived `establish` would try both in turn and hide the error that matters.
#[derive(Clone)]
pub enum Target {
    Postgresql(String),
    Sqlite(String),
}

impl Target {
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgresql(url.to_owned()));
        }
        let path = url.strip_prefix("sqlite://").unwrap_or(url);
        if path.is_empty() || path.contains("://") {
            return Err(StoreError::Connect(format!(
                "{:?} is neither a file nor a postgres:// URL",
                url.split('@').next_back().unwrap_or_default()
            )));
        }
        Ok(Self::Sqlite(path.to_owned()))
    }
}

/// What connections are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Requests and loops: only a server that takes writes will do, and no statement goes on for ever.
    Requests,
    /// Commands like `xenbeta schema` and `xenbeta backup`, whose statements take as long as they take.
    Commands,
}

/// A statement of a request that takes longer is ended by the server, as is a transaction that its portal left open (one
/// that stands still would block the others).
const REQUEST_LIMITS: &str =
    "SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '20s'";

/// The URL with what lets a client find out in seconds that a server is gone, and, `read_write`, refuse one that takes no
/// writes. What the URL says itself stays.
pub(super) fn patient(url: &str, read_write: bool) -> String {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let authority = before.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    let said = |key: &str| {
        query
            .split('&')
            .find_map(|it| it.strip_prefix(key)?.strip_prefix('='))
    };
    let several = hosts.contains(',') || said("host").is_some_and(|it| it.contains(','));
    let mut all: Vec<String> = query
        .split('&')
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect();
    for (key, value) in [
        ("connect_timeout", "3"),
        ("keepalives_idle", "5"),
        ("keepalives_interval", "2"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "10000"),
        ("target_session_attrs", "read-write"),
    ] {
        let wanted = key != "target_session_attrs" || read_write || several;
        if wanted && said(key).is_none() {
            all.push(format!("{key}={value}"));
        }
    }
    format!("{before}?{}", all.join("&"))
}

/// Bytes of its file system that an SQLite database has to find free: what a request with files needs, and its mail.
const ROOM: u64 = 8 * 1024 * 1024;

struct Manager(Target, Purpose);

diesel::define_sql_function! {
    fn current_setting(name: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// Refuses a server that takes no writes: a standby, or what was the primary until just now. Said so that the statement is
/// kept prepared: every request asks it.
pub(super) fn takes_writes(pg: &mut diesel::PgConnection) -> Result<(), StoreError> {
    let read_only: String =
        diesel::select(current_setting("transaction_read_only")).get_result(pg)?;
    if read_only == "on" {
        return Err(StoreError::Connect("the server is read-only".to_owned()));
    }
    Ok(())
}

impl ManageConnection for Manager {
    type Connection = Db;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Db, Self::Error> {
        Ok(match &self.0 {
            Target::Postgresql(url) => {
                let for_requests = self.1 == Purpose::Requests;
                let mut pg = diesel::PgConnection::establish(&patient(url, for_requests))?;
                if for_requests {
                    pg.batch_execute(REQUEST_LIMITS)
                        .map_err(diesel::r2d2::Error::QueryError)?;
                }
                Db::Pg(pg)
            }
            Target::Sqlite(path) => {
                let mut conn = diesel::SqliteConnection::establish(path)?;
                conn.batch_execute(
                    "PRAGMA busy_timeout=10000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA journal_size_limit=67108864;",
                )
                .map_err(diesel::r2d2::Error::QueryError)?;
                Db::Sqlite(conn)
            }
        })
    }

    fn is_valid(&self, conn: &mut Db) -> Result<(), Self::Error> {
        let failed = |error: StoreError| match error {
            StoreError::Query(error) => diesel::r2d2::Error::QueryError(error),
            other => diesel::r2d2::Error::ConnectionError(diesel::ConnectionError::BadConnection(
                other.to_string(),
            )),
        };
        match conn {
            // No dearer than a ping, and a connection to a former primary leaves the pool with it.
            Db::Pg(pg) if self.1 == Purpose::Requests => takes_writes(pg).map_err(failed),
            _ => conn.ping().map_err(diesel::r2d2::Error::QueryError),
        }
    }

    fn has_broken(&self, conn: &mut Db) -> bool {
        std::thread::panicking() || conn.is_broken()
    }
}

thread_local! {
    /// What the write transaction on this thread wants told to others once it has committed.
    static WAKES: RefCell<Vec<Wake>> = const { RefCell::new(Vec::new()) };
}

/// The database: a pool of readers, and for SQLite a single writer (two would only wait for each other).
#[derive(Clone)]
pub struct Database {
    readers: Pool<Manager>,
    writer: Pool<Manager>,
    target: Target,
    pub hub: Arc<Hub>,
    /// Whether it takes writes, as asked last.
    pub pulse: Arc<Pulse>,
    /// Beside an SQLite database.
    pub mark_file: Option<Arc<MarkFile>>,
}

impl Database {
    /// Opens the database whatever its schema, for `xenbeta schema`.
    pub fn open_any_schema(url: &str, connections: u32) -> Result<Self, StoreError> {
        Self::open_for(url, connections, Purpose::Commands)
    }

    pub(super) fn open_for(
        url: &str,
        connections: u32,
        purpose: Purpose,
    ) -> Result<Self, StoreError> {
        let target = Target::parse(url)?;
        // The first connection is made by hand: a pool would hide why it failed behind a time-out.
        let first = Manager(target.clone(), purpose)
            .connect()
            .map_err(|error| StoreError::Connect(error.to_string()))?;
        drop(first);
        // A pool tries again to connect at up to half of this: short, as after a failover the next try decides how soon
        // the portal works again. SQLite's one writer is waited for longer.
        let patience = Duration::from_secs(match target {
            Target::Postgresql(_) => 4,
            Target::Sqlite(_) => 10,
        });
        let pool = |size: u32| {
            Pool::builder()
                .max_size(size)
                .min_idle(Some(1))
                .test_on_check_out(matches!(target, Target::Postgresql(_)))
                .connection_timeout(patience)
                .build(Manager(target.clone(), purpose))
                .map_err(|error| StoreError::Connect(error.to_string()))
        };
        let readers = pool(connections.max(1))?;
        let writer = match target {
            Target::Postgresql(_) => readers.clone(),
            Target::Sqlite(_) => pool(1)?,
        };
        let mark_file = match &target {
            Target::Postgresql(_) => None,
            Target::Sqlite(path) => Some(Arc::new(MarkFile::beside(path))),
        };
        Ok(Self {
            readers,
            writer,
            mark_file,
            target,
            hub: Arc::new(Hub::default()),
            pulse: Arc::new(Pulse::default()),
        })
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    fn conn(pool: &Pool<Manager>) -> Result<PooledConnection<Manager>, StoreError> {
        pool.get()
            .map_err(|error| StoreError::Connect(error.to_string()))
    }

    /// Runs queries that change nothing. Blocking: call it from `web::block` or a thread.
    pub fn read<T, E: From<StoreError>>(
        &self,
        f: impl FnOnce(&mut Db) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conn = Self::conn(&self.readers)?;
        f(&mut conn)
    }

    /// Runs `f` in one transaction: all of it is kept, or nothing. SQLite takes its write lock at the start
    /// (`BEGIN IMMEDIATE`); a plain one fails with "locked" half way. Blocking.
    pub fn write<T, E: From<StoreError>>(
        &self,
        f: impl FnOnce(&mut Db) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conn = Self::conn(&self.writer)?;
        WAKES.with_borrow_mut(Vec::clear);
        let value = transaction(&mut conn, f)?;
        let wakes = WAKES.with_borrow_mut(std::mem::take);
        drop(conn);
        for wake in wakes {
            self.hub.wake(wake);
        }
        Ok(value)
    }
}

impl Database {
    /// Writes something that changes nothing, durably: what a request's write would come to. Blocking, for seconds at most
    /// where the server answers at all.
    pub fn try_write(&self) -> Result<(), Unwell> {
        let mut conn = self
            .writer
            .get_timeout(Duration::from_millis(1500))
            .map_err(|error| Unwell::from_words(&error.to_string(), Unwell::Away))?;
        transaction(&mut conn, |conn| match conn {
            // A record of the log without a row: no lock, nothing to clean up, and its commit waits for a synchronous
            // standby as every other.
            Db::Pg(pg) => diesel::sql_query("SELECT pg_logical_emit_message(true, 'xenbeta', '')")
                .execute(pg)
                .map_err(StoreError::from),
            Db::Sqlite(lite) => diesel::sql_query("UPDATE portal SET id = id")
                .execute(lite)
                .map_err(StoreError::from),
        })
        .map_err(|error| {
            tracing::warn!(%error, "the database takes no writes");
            Unwell::from_words(&error.to_string(), Unwell::Refuses)
        })?;
        self.has_room()
    }

    /// What is small goes into parts of the log that are free again, also where no request's write would fit.
    fn has_room(&self) -> Result<(), Unwell> {
        let Target::Sqlite(path) = &self.target else {
            return Ok(());
        };
        match rustix::fs::statvfs(path.as_str()) {
            Ok(there) if there.f_bavail.saturating_mul(there.f_frsize) < ROOM => Err(Unwell::Full),
            _ => Ok(()),
        }
    }
}

fn transaction<T, E: From<StoreError>>(
    conn: &mut Db,
    f: impl FnOnce(&mut Db) -> Result<T, E>,
) -> Result<T, E> {
    let begun = match conn {
        Db::Pg(pg) => AnsiTransactionManager::begin_transaction_sql(pg, "BEGIN"),
        Db::Sqlite(lite) => AnsiTransactionManager::begin_transaction_sql(lite, "BEGIN IMMEDIATE"),
    };
    begun.map_err(StoreError::from)?;
    match f(conn) {
        Ok(value) => {
            <Db as Connection>::TransactionManager::commit_transaction(conn)
                .map_err(StoreError::from)?;
            Ok(value)
        }
        Err(error) => {
            // The first error is the one worth telling; a connection whose roll-back failed is dropped by the pool.
            if let Err(rollback) =
                <Db as Connection>::TransactionManager::rollback_transaction(conn)
            {
                tracing::warn!(%rollback, "a roll-back failed");
            }
            Err(error)
        }
    }
}

/// Tells `wake` to those who wait for it, here and in other portals, if and when the current transaction commits.
pub fn wake_on_commit(conn: &mut Db, wake: Wake) -> Result<(), StoreError> {
    if let Db::Pg(pg) = conn {
        diesel::sql_query("SELECT pg_notify($1, $2)")
            .bind::<diesel::sql_types::Text, _>(super::wake::CHANNEL)
            .bind::<diesel::sql_types::Text, _>(wake.to_payload())
            .execute(pg)
            .map_err(StoreError::from)?;
    }
    WAKES.with_borrow_mut(|wakes| {
        if !wakes.contains(&wake) {
            wakes.push(wake);
        }
    });
    Ok(())
}

/// The lock of this name, which goes with the transaction. SQLite has one writer anyway.
pub(super) fn lock_named(conn: &mut Db, name: [u8; 4]) -> Result<(), StoreError> {
    if let Db::Pg(pg) = conn {
        let key = u32::from_be_bytes(name);
        pg.batch_execute(&format!("SELECT pg_advisory_xact_lock({key})"))?;
    }
    Ok(())
}

/// Only one transaction at a time schedules; the lock goes with the transaction. SQLite has one writer anyway.
pub fn lock_scheduler(conn: &mut Db) -> Result<(), StoreError> {
    lock_named(conn, *b"xens")
}

/// Runs pending schema migrations under a lock, so that two portals starting at once do not both try.
pub(super) fn run_migrations(conn: &mut Db) -> Result<usize, StoreError> {
    let failed =
        |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Schema(error.to_string());
    Ok(match conn {
        Db::Pg(pg) => {
            // "xenb" in ASCII; any constant of our own will do.
            pg.batch_execute("SELECT pg_advisory_lock(2019913314)")
                .map_err(StoreError::from)?;
            let done = pg
                .run_pending_migrations(POSTGRESQL)
                .map(|versions| versions.len());
            pg.batch_execute("SELECT pg_advisory_unlock(2019913314)")
                .map_err(StoreError::from)?;
            done.map_err(failed)?
        }
        Db::Sqlite(lite) => lite.run_pending_migrations(SQLITE).map_err(failed)?.len(),
    })
}

/// Runs a statement by the database's own connection: `direct!(conn, |conn| …load(conn))`. Run by a [`Db`], Diesel writes its
/// text anew each time, twice, and asks of each value which database it came from; so what pages ask is run like this.
macro_rules! direct {
    ($conn:expr, |$own:ident| $run:expr) => {
        match $conn {
            $crate::store::db::Db::Pg($own) => $run,
            $crate::store::db::Db::Sqlite($own) => $run,
        }
    };
}
pub(in crate::store) use direct;

/// Adapter for a query fragment that both databases understand, but that Diesel does not offer for the two together.
pub struct Both<T>(pub T);

impl<T> diesel::query_builder::QueryFragment<MultiBackend> for Both<T>
where
    T: diesel::query_builder::QueryFragment<diesel::pg::Pg>
        + diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite>,
{
    fn walk_ast<'b>(
        &'b self,
        pass: diesel::query_builder::AstPass<'_, 'b, MultiBackend>,
    ) -> QueryResult<()> {
        MultiBackend::walk_variant_ast(&self.0, pass)
    }
}
impl<T: diesel::query_builder::QueryId> diesel::query_builder::QueryId for Both<T> {
    type QueryId = T::QueryId;
    const HAS_STATIC_QUERY_ID: bool = T::HAS_STATIC_QUERY_ID;
}
impl<T: diesel::query_builder::Query> diesel::query_builder::Query for Both<T> {
    type SqlType = T::SqlType;
}
impl<T> RunQueryDsl<Db> for Both<T> {}

/// The row of a key, if there is one: `by_key!(conn, hosts, id, Host)`.
macro_rules! by_key {
    ($conn:expr, $table:ident, $key:expr, $row:ty) => {
        $table::table
            .find($key)
            .select($crate::store::db::columns::<$row>())
            .get_result($conn)
            .optional()?
    };
}
pub(super) use by_key;

/// The columns of a model for a RETURNING clause, where `as_returning()` is tied to one database.
pub fn columns<T: Selectable<MultiBackend>>() -> T::SelectExpression {
    T::construct_selection()
}

#[cfg(test)]
mod tests {
    use super::patient;

    #[test]
    fn a_url_is_given_what_it_does_not_say() {
        let all = "connect_timeout=3&keepalives_idle=5&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=10000";
        assert_eq!(
            patient("postgres://u@h/d", false),
            format!("postgres://u@h/d?{all}")
        );
        assert_eq!(
            patient("postgres://u:p,w@h:1,i:2/d", false),
            format!("postgres://u:p,w@h:1,i:2/d?{all}&target_session_attrs=read-write")
        );
        assert_eq!(
            patient("postgres:///d?host=/run/pg&target_session_attrs=any", true),
            format!("postgres:///d?host=/run/pg&target_session_attrs=any&{all}")
        );
    }
}
