//! What the portal knows of its own memory: one row, and its incarnations. Every transaction that changes who may run a
//! Linode counts the revision up; agents keep the highest they saw, and so notice a portal that went back.

use diesel::prelude::*;

use crate::domain::ownership::Incarnation;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::{Result, StoreError};
use crate::store::schema::{incarnations, portal};
use crate::wire::PortalMark;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = portal)]
pub struct Portal {
    pub incarnation: String,
    pub revision: i64,
    pub recovery_since: Option<Time>,
    pub recovery_why: String,
    pub database_mark: String,
    /// Seconds that portals have watched go by.
    pub watched_s: i64,
    pub watched_at: Option<Time>,
    pub clock_jump_s: Option<i64>,
    pub clock_jump_at: Option<Time>,
}

impl Portal {
    pub fn mark(&self) -> PortalMark {
        PortalMark {
            incarnation: self.incarnation.clone(),
            revision: self.revision,
        }
    }
}

pub fn get(conn: &mut Db) -> Result<Portal> {
    Ok(portal::table
        .find(1_i64)
        .select(Portal::as_select())
        .get_result(conn)?)
}

/// As [`get`], and nobody else changes it until the transaction ends.
pub fn locked(conn: &mut Db) -> Result<Portal> {
    if let Db::Pg(pg) = conn {
        return Ok(portal::table
            .find(1_i64)
            .select(crate::store::db::columns::<Portal>())
            .for_no_key_update()
            .get_result(pg)?);
    }
    get(conn)
}

/// One more commit that changes who may run what.
pub fn count_up(conn: &mut Db) -> Result<()> {
    diesel::update(portal::table.find(1_i64))
        .set(portal::revision.eq(portal::revision + 1))
        .execute(conn)?;
    Ok(())
}

/// Oldest first.
pub fn incarnations(conn: &mut Db) -> Result<Vec<Incarnation>> {
    let rows: Vec<(String, i64)> = incarnations::table
        .order(incarnations::began_revision)
        .select((incarnations::id, incarnations::began_revision))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(id, began)| Incarnation { id, began })
        .collect())
}

/// A new life, and with it a recovery, from `revision` on.
pub fn begin(conn: &mut Db, id: &str, revision: i64, (now, why): (Time, &str)) -> Result<()> {
    diesel::insert_into(incarnations::table)
        .values((
            incarnations::id.eq(id),
            incarnations::began_revision.eq(revision),
            incarnations::began_at.eq(now),
            incarnations::why.eq(why),
        ))
        .execute(conn)?;
    diesel::update(portal::table.find(1_i64))
        .set((
            portal::incarnation.eq(id),
            portal::revision.eq(revision),
            portal::recovery_since.eq(now),
            portal::recovery_why.eq(why),
        ))
        .execute(conn)?;
    Ok(())
}

pub fn end_recovery(conn: &mut Db) -> Result<()> {
    diesel::update(portal::table.find(1_i64))
        .set((
            portal::recovery_since.eq(None::<Time>),
            portal::recovery_why.eq(""),
        ))
        .execute(conn)?;
    Ok(())
}

pub fn set_database_mark(conn: &mut Db, mark: &str) -> Result<()> {
    diesel::update(portal::table.find(1_i64))
        .set(portal::database_mark.eq(mark))
        .execute(conn)?;
    Ok(())
}

/// As [`watched`], if nobody did since `last`; `false` if another portal did.
pub fn take_look(conn: &mut Db, last: Option<Time>, now: Time, seconds: i64) -> Result<bool> {
    let set = (
        portal::watched_s.eq(portal::watched_s + seconds),
        portal::watched_at.eq(now),
    );
    let row = portal::table.find(1_i64);
    let hit = match last {
        Some(last) => diesel::update(row.filter(portal::watched_at.eq(last)))
            .set(set)
            .execute(conn)?,
        None => diesel::update(row.filter(portal::watched_at.is_null()))
            .set(set)
            .execute(conn)?,
    };
    Ok(hit == 1)
}

/// The clock jumped by so many seconds; `None`: it is right (again).
pub fn set_clock_jump(conn: &mut Db, jump: Option<(i64, Time)>) -> Result<()> {
    diesel::update(portal::table.find(1_i64))
        .set((
            portal::clock_jump_s.eq(jump.map(|(seconds, _)| seconds)),
            portal::clock_jump_at.eq(jump.map(|(_, at)| at)),
        ))
        .execute(conn)?;
    Ok(())
}

/// What tells this database from one that was put in its place: PostgreSQL's system, timeline and the table's own number,
/// which a promoted standby and a restored dump change; SQLite's file, unless a backup was written into the very same one
/// (`mark_file` notices that).
pub fn database_mark(conn: &mut Db) -> Result<String> {
    #[derive(QueryableByName)]
    struct Mark {
        #[diesel(sql_type = diesel::sql_types::Text)]
        mark: String,
    }
    match conn {
        Db::Pg(pg) => {
            // The name of a file of the log begins with its timeline, which changes at the moment of a promotion.
            let found: Mark = diesel::sql_query(
                "SELECT (SELECT system_identifier FROM pg_control_system())::text || ' ' || \
                 (SELECT oid FROM pg_database WHERE datname = current_database())::text || ' ' || \
                 'portal'::regclass::oid::text || ' ' || \
                 CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS mark",
            )
            .get_result(pg)?;
            Ok(found.mark)
        }
        Db::Sqlite(lite) => sqlite_mark(lite),
    }
}

/// Which file it is on its disk.
fn sqlite_mark(conn: &mut diesel::SqliteConnection) -> Result<String> {
    use std::os::unix::fs::MetadataExt;
    #[derive(QueryableByName)]
    struct Opened {
        #[diesel(sql_type = diesel::sql_types::Text)]
        file: String,
    }
    let opened: Opened =
        diesel::sql_query("SELECT file FROM pragma_database_list WHERE name = 'main'")
            .get_result(conn)?;
    let about = std::fs::metadata(&opened.file)
        .map_err(|error| StoreError::Connect(format!("{}: {error}", opened.file)))?;
    Ok(format!("file {}:{}", about.dev(), about.ino()))
}
