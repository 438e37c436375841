//! Waves and what is in them, as staff's pages show them: a fixed number of queries, however many there are.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::{Wave, columns};
use crate::domain::ids::{LinodeId, MigrationId, UserId, WaveId};
use crate::domain::migration::MigrationState;
use crate::domain::time::Time;
use crate::domain::wave::{self, ItemState, Stage, WaveState};
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{accounts, hosts, linodes, migrations, users, wave_items, waves};
use crate::store::types::Utc;

/// How many of a wave's Linodes are at each stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(Vec<(Stage, i64)>);

impl Counts {
    fn add(&mut self, stage: Stage, count: i64) {
        match self.0.iter_mut().find(|(of, _)| *of == stage) {
            Some((_, sum)) => *sum += count,
            None => self.0.push((stage, count)),
        }
    }

    pub fn of(&self, fits: impl Fn(Stage) -> bool) -> i64 {
        let fitting = self.0.iter().filter(|(stage, _)| fits(*stage));
        fitting.map(|(_, count)| *count).sum()
    }

    pub fn in_all(&self) -> i64 {
        self.of(|_| true)
    }
}

pub struct WaveRow {
    pub wave: Wave,
    pub made_by: String,
    pub counts: Counts,
}

diesel::allow_columns_to_appear_in_same_group_by_clause!(
    wave_items::wave_id,
    wave_items::state,
    migrations::state,
);

type Grouped = (WaveId, ItemState, Option<MigrationState>, i64);

fn counts(conn: &mut Db, ids: Vec<WaveId>) -> Result<Vec<Grouped>> {
    Ok(wave_items::table
        .left_join(migrations::table)
        .filter(wave_items::wave_id.eq_any(ids))
        .group_by((wave_items::wave_id, wave_items::state, migrations::state))
        .select((
            wave_items::wave_id,
            wave_items::state,
            migrations::state.nullable(),
            diesel::dsl::count_star(),
        ))
        .load(conn)?)
}

fn counts_of(all: &[Grouped], id: WaveId) -> Counts {
    let mut counts = Counts::default();
    for (of, item, state, count) in all {
        if *of == id {
            counts.add(wave::stage(*item, *state), *count);
        }
    }
    counts
}

/// Newest first; `before`: the key of the last row seen.
pub fn waves(
    conn: &mut Db,
    state: Option<WaveState>,
    before: Option<WaveId>,
    limit: i64,
) -> Result<Vec<WaveRow>> {
    let mut query = waves::table
        .inner_join(users::table)
        .filter(waves::id.lt(before.unwrap_or(WaveId(i64::MAX))))
        .order(waves::id.desc())
        .select((columns::<Wave>(), users::email))
        .into_boxed();
    if let Some(state) = state {
        query = query.filter(waves::state.eq(state));
    }
    let rows: Vec<(Wave, String)> = query.limited(limit).load(conn)?;
    let all = counts(conn, rows.iter().map(|(wave, _)| wave.id).collect())?;
    Ok(rows
        .into_iter()
        .map(|(wave, made_by)| WaveRow {
            counts: counts_of(&all, wave.id),
            wave,
            made_by,
        })
        .collect())
}

/// A wave with how far it is.
pub struct Detail {
    pub wave: Wave,
    pub made_by: String,
    pub run_by: Option<String>,
    pub source: Option<String>,
    pub counts: Counts,
}

pub fn detail(conn: &mut Db, id: WaveId) -> Result<Option<Detail>> {
    let Some(wave) = super::wave(conn, id)? else {
        return Ok(None);
    };
    let ids: Vec<UserId> = wave.run_by.into_iter().chain([wave.made_by]).collect();
    let names: Vec<(UserId, String)> = users::table
        .filter(users::id.eq_any(ids))
        .select((users::id, users::email))
        .load(conn)?;
    let name = |of: UserId| {
        names
            .iter()
            .find(|(id, _)| *id == of)
            .map(|it| it.1.clone())
    };
    let source = match wave.source_host_id {
        Some(host) => hosts::table
            .find(host)
            .select(hosts::name)
            .get_result(conn)
            .optional()?,
        None => None,
    };
    let all = counts(conn, vec![id])?;
    Ok(Some(Detail {
        made_by: name(wave.made_by).unwrap_or_default(),
        run_by: wave.run_by.and_then(name),
        source,
        counts: counts_of(&all, id),
        wave,
    }))
}

/// One of a wave, in its list.
#[derive(Debug, Clone, Queryable)]
pub struct ItemRow {
    pub linode: LinodeId,
    pub label: String,
    pub account: String,
    pub place: i32,
    pub state: ItemState,
    pub why: String,
    pub given_at: Option<Time>,
    pub migration: Option<MigrationId>,
    pub migration_state: Option<MigrationState>,
}

impl ItemRow {
    pub fn stage(&self) -> Stage {
        wave::stage(self.state, self.migration_state)
    }
}

/// In the order in which they go, after this place.
pub fn items(
    conn: &mut Db,
    (id, state): (WaveId, Option<ItemState>),
    after: Option<i32>,
    limit: i64,
) -> Result<Vec<ItemRow>> {
    let mut query = wave_items::table
        .inner_join(linodes::table)
        .inner_join(accounts::table)
        .left_join(migrations::table)
        .filter(wave_items::wave_id.eq(id))
        .filter(wave_items::place.gt(after.unwrap_or(0)))
        .order(wave_items::place)
        .select((
            linodes::id,
            linodes::label,
            accounts::name,
            wave_items::place,
            wave_items::state,
            wave_items::why,
            wave_items::given_at,
            wave_items::migration_id,
            migrations::state.nullable(),
        ))
        .into_boxed();
    if let Some(state) = state {
        query = query.filter(wave_items::state.eq(state));
    }
    Ok(query.limited(limit).load(conn)?)
}

/// When something became of one of its moves: begun, done, failed or gone back.
#[derive(Debug, Clone, QueryableByName)]
pub struct Moment {
    #[diesel(sql_type = diesel::sql_types::Nullable<Utc>)]
    pub started_at: Option<Time>,
    #[diesel(sql_type = diesel::sql_types::Nullable<Utc>)]
    pub finished_at: Option<Time>,
}

/// Of all that it has given out, for the picture of how it went.
pub fn moments(conn: &mut Db, id: WaveId) -> Result<Vec<Moment>> {
    const SQL: &str = "SELECT m.started_at, m.finished_at FROM wave_items i \
        JOIN migrations m ON m.id = i.migration_id WHERE i.wave_id = $1 AND i.state = 'given'";
    let query = diesel::sql_query(SQL).bind::<BigInt, _>(id);
    Ok(match conn {
        Db::Pg(conn) => query.load(conn)?,
        Db::Sqlite(conn) => query.load(conn)?,
    })
}
