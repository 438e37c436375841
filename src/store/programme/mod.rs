//! The programme's one row: its state and the limits that staff set.

pub mod end;
pub mod funnel;
pub mod move_times;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::db::{Both, Columns, Db, by_key, columns, direct, lock_named};
use super::error::Result;
use super::schema::{programme, programme_texts};
use crate::domain::ids::UserId;
use crate::domain::programme::{ProgrammeState, TextSection};
use crate::domain::time::Time;

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = programme)]
#[diesel(treat_none_as_null = true)]
pub struct Programme {
    pub state: ProgrammeState,
    pub irc_url: String,
    pub forum_url: String,
    /// Linodes the beta takes; `None` is no limit.
    pub seats: Option<i64>,
    pub offer_days: i32,
    pub way_back_days: i32,
    /// Migrations at work at once, in all and between the same two hosts.
    pub max_overall: i32,
    pub max_per_link: i32,
    pub max_warm_passes: i32,
    /// How long a started Linode is watched before its migration counts as finished.
    pub watch_s: i32,
    pub changed_at: Time,
    /// Registration begins; `None`: it has.
    pub opens_at: Option<Time>,
    /// What members are told of the end.
    pub expected_end_at: Option<Time>,
    /// Set only while the state is `ended`.
    pub ended_at: Option<Time>,
}

impl Programme {
    /// As it was set, else with its defaults.
    pub(super) fn or_new(set: Option<Self>, now: Time) -> Self {
        set.unwrap_or_else(|| Self::new(now))
    }

    pub fn new(now: Time) -> Self {
        Self {
            state: ProgrammeState::Open,
            irc_url: String::new(),
            forum_url: String::new(),
            seats: None,
            offer_days: 14,
            way_back_days: 7,
            max_overall: 20,
            max_per_link: 2,
            max_warm_passes: 6,
            // Longer than the provider's initramfs waits for a root device (30 s) before it gives the guest up.
            watch_s: 45,
            changed_at: now,
            opens_at: None,
            expected_end_at: None,
            ended_at: None,
        }
    }
}

/// The programme stays as it is until this transaction ends. Who does what its state allows takes this before any row, so
/// that the end of the beta is either before it or after it.
pub fn hold(conn: &mut Db) -> Result<()> {
    if let Db::Pg(pg) = conn {
        // "xenp" in ASCII, as of `lock`.
        pg.batch_execute("SELECT pg_advisory_xact_lock_shared(2019913328)")?;
    }
    Ok(())
}

/// Waits for all who [`hold`] the programme, and for another who changes it. Before any row, and never after `hold`.
pub fn lock(conn: &mut Db) -> Result<()> {
    lock_named(conn, *b"xenp")
}

/// One at a time takes of the seats. After [`hold`], which keeps their number as it is.
pub fn lock_seats(conn: &mut Db) -> Result<()> {
    lock_named(conn, *b"xenq")
}

#[diesel::dsl::auto_type]
pub(super) fn row() -> _ {
    let all: Columns<Programme> = columns::<Programme>();
    programme::table.find(1_i64).select(all)
}

/// As it was set, if it ever was.
pub fn stored(conn: &mut Db) -> Result<Option<Programme>> {
    Ok(direct!(conn, |conn| row().get_result(conn)).optional()?)
}

pub fn get(conn: &mut Db, now: Time) -> Result<Programme> {
    Ok(Programme::or_new(stored(conn)?, now))
}

pub fn set(conn: &mut Db, to: &Programme) -> Result<()> {
    let changed = diesel::update(programme::table.find(1_i64))
        .set(to)
        .execute(conn)?;
    if changed == 0 {
        diesel::insert_into(programme::table)
            .values((programme::id.eq(1_i64), to))
            .execute(conn)?;
    }
    Ok(())
}

/// What staff wrote for a section of the announcement.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = programme_texts)]
#[diesel(treat_none_as_null = true)]
pub struct Text {
    pub section: TextSection,
    /// Markdown.
    pub body: String,
    pub changed_at: Time,
    pub changed_by: Option<UserId>,
}

/// Those that were written; a section without one has its default text.
pub fn texts(conn: &mut Db) -> Result<Vec<Text>> {
    Ok(programme_texts::table
        .select(Text::as_select())
        .load(conn)?)
}

pub fn text(conn: &mut Db, section: TextSection) -> Result<Option<Text>> {
    Ok(by_key!(conn, programme_texts, section, Text))
}

pub fn put_text(conn: &mut Db, text: &Text) -> Result<()> {
    Both(
        diesel::insert_into(programme_texts::table)
            .values(text)
            .on_conflict(programme_texts::section)
            .do_update()
            .set(text),
    )
    .execute(conn)?;
    Ok(())
}

pub fn drop_text(conn: &mut Db, section: TextSection) -> Result<()> {
    diesel::delete(programme_texts::table.find(section)).execute(conn)?;
    Ok(())
}
