//! The two ways to use the database, [`Database::read`] and [`Database::write`], and how statements are written that both
//! kinds of it understand.

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::{ManageConnection, Pool, PooledConnection};
use diesel_migrations::MigrationHarness;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::connect::{Manager, Purpose};
use super::error::{Result, StoreError};
use super::ownership::mark_file::MarkFile;
use super::pulse::{Pulse, Unwell};
use super::wake::{Hub, Wake};

pub use super::connect::{Db, MultiBackend, MultiRawValue, Target};

pub const POSTGRESQL: EmbeddedMigrations = embed_migrations!("migrations/postgresql");
pub const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Bytes of its file system that an SQLite database has to find free: what a request with files needs, and its mail.
const ROOM: u64 = 8 * 1024 * 1024;

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
    pub fn open_any_schema(url: &str, connections: u32) -> Result<Self> {
        Self::open_for(url, connections, Purpose::Commands)
    }

    pub(super) fn open_for(url: &str, connections: u32, purpose: Purpose) -> Result<Self> {
        let target = Target::parse(url)?;
        // The first connection is made by hand: a pool would hide why it failed behind a time-out.
        let first = Manager(target.clone(), purpose)
            .connect()
            .map_err(|error| StoreError::Connect(error.to_string()))?;
        drop(first);
        let pool = |size: u32| {
            Pool::builder()
                .max_size(size)
                .min_idle(Some(1))
                .test_on_check_out(matches!(target, Target::Postgresql(_)))
                .connection_timeout(target.patience())
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

    /// A connection whose server said just now that it takes writes; those that say otherwise leave the pool.
    fn for_writes(&self, patience: Duration) -> Result<PooledConnection<Manager>> {
        let begun = Instant::now();
        loop {
            let mut conn = self
                .writer
                .get_timeout(patience.saturating_sub(begun.elapsed()))
                .map_err(|error| StoreError::Connect(error.to_string()))?;
            match conn.ask(begun.elapsed()) {
                Ok(()) => return Ok(conn),
                // The pool asks a new one itself, so this ends.
                Err(_) => conn.broken = true,
            }
        }
    }

    /// Runs queries that change nothing. Blocking: call it from `web::block` or a thread.
    pub fn read<T, E: From<StoreError>>(
        &self,
        f: impl FnOnce(&mut Db) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conn = self
            .readers
            .get()
            .map_err(|error| StoreError::Connect(error.to_string()))?;
        f(&mut conn.db)
    }

    /// Runs `f` in one transaction: all of it is kept, or nothing. SQLite takes its write lock at the start
    /// (`BEGIN IMMEDIATE`); a plain one fails with "locked" half way. Blocking.
    pub fn write<T, E: From<StoreError>>(
        &self,
        f: impl FnOnce(&mut Db) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conn = self.for_writes(self.target.patience())?;
        WAKES.with_borrow_mut(Vec::clear);
        let value = transaction(&mut conn.db, f)?;
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
            .for_writes(Duration::from_millis(1500))
            .map_err(|error| Unwell::from_words(&error.to_string(), Unwell::Away))?;
        transaction(&mut conn.db, |conn| match conn {
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
pub fn wake_on_commit(conn: &mut Db, wake: Wake) -> Result<()> {
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
pub(super) fn lock_named(conn: &mut Db, name: [u8; 4]) -> Result<()> {
    if let Db::Pg(pg) = conn {
        let key = u32::from_be_bytes(name);
        pg.batch_execute(&format!("SELECT pg_advisory_xact_lock({key})"))?;
    }
    Ok(())
}

/// Only one transaction at a time schedules; the lock goes with the transaction. SQLite has one writer anyway.
pub fn lock_scheduler(conn: &mut Db) -> Result<()> {
    lock_named(conn, *b"xens")
}

/// Runs pending schema migrations under a lock, so that two portals starting at once do not both try.
pub(super) fn run_migrations(conn: &mut Db) -> Result<usize> {
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
            done.map_err(|error| schema_failed(&error.to_string()))?
        }
        Db::Sqlite(lite) => lite
            .run_pending_migrations(SQLITE)
            .map_err(|error| schema_failed(&error.to_string()))?
            .len(),
    })
}

/// What it failed of, with what to do where that is for another administrator.
fn schema_failed(error: &str) -> StoreError {
    StoreError::Schema(if error.contains("pg_trgm") {
        format!(
            "PostgreSQL's extension pg_trgm, by which names are found, could not be added ({error}). Install PostgreSQL's contrib modules on its server, or have its administrator run `CREATE EXTENSION pg_trgm` in this database; then run `xenbeta schema up` again. Nothing of this schema migration was kept."
        )
    } else {
        error.to_owned()
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

/// What [`columns`] gives.
pub(in crate::store) type Columns<T> = <T as Selectable<MultiBackend>>::SelectExpression;

/// The columns of a model, where `as_select()` and `as_returning()` are tied to one database.
pub fn columns<T: Selectable<MultiBackend>>() -> Columns<T> {
    T::construct_selection()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_extension_is_told_with_what_to_do() {
        for said in [
            "Failed to run 00000000000032_lists with: could not open extension control file \"/usr/share/postgresql/15/extension/pg_trgm.control\": No such file or directory",
            "Failed to run 00000000000032_lists with: permission denied to create extension \"pg_trgm\"",
        ] {
            let told = schema_failed(said).to_string();
            assert!(
                told.contains(said) && told.contains("CREATE EXTENSION pg_trgm"),
                "{told}"
            );
        }
        assert_eq!(schema_failed("disk full").to_string(), "disk full");
    }
}
