//! Trials of moves: what was asked for, how it stands, and what its console said.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::db::{Db, columns};
use super::error::Result;
use super::migration::Migration;
use super::schema::{jobs, trials};
use crate::domain::ids::{HostId, JobId, MigrationId, TrialId, UserId};
use crate::domain::job::{self, JobState};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::domain::trial::{self, First, NotNow, Standing, TrialState, has_failed, is_open};
use crate::store::limit::Limit;
use crate::wire::KNOWS_TRIALS;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = trials)]
pub struct Trial {
    pub id: TrialId,
    pub migration_id: MigrationId,
    pub asked_at: Time,
    /// `None`: it was asked for with the move.
    pub asked_by: Option<UserId>,
    pub job_id: JobId,
    pub host_id: HostId,
    pub state: TrialState,
    /// In words for its member.
    pub outcome: String,
    pub detail: String,
    /// The last of its console, or so far.
    pub console: String,
    pub began_at: Option<Time>,
    pub ended_at: Option<Time>,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = trials)]
pub struct NewTrial {
    pub migration_id: MigrationId,
    pub asked_at: Time,
    pub asked_by: Option<UserId>,
    pub job_id: JobId,
    pub host_id: HostId,
    pub state: TrialState,
}

pub fn insert(conn: &mut Db, new: &NewTrial) -> Result<()> {
    diesel::insert_into(trials::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

/// The last one of a migration, whatever became of it.
pub fn newest(conn: &mut Db, migration: MigrationId) -> Result<Option<Trial>> {
    Ok(trials::table
        .filter(trials::migration_id.eq(migration))
        .order(trials::id.desc())
        .select(columns::<Trial>())
        .one(conn)?)
}

pub fn of_job(conn: &mut Db, job: JobId) -> Result<Option<Trial>> {
    Ok(trials::table
        .filter(trials::job_id.eq(job))
        .select(columns::<Trial>())
        .one(conn)?)
}

/// How a move stands that is tried first; `None`: it is not.
pub fn first(conn: &mut Db, row: &Migration) -> Result<Option<First>> {
    let Some(since) = row.try_first_since else {
        return Ok(None);
    };
    first_since(conn, row.id, since).map(Some)
}

/// The same, by trials that ended later than this.
pub fn first_since(conn: &mut Db, id: MigrationId, since: Time) -> Result<First> {
    let firsts = firsts(conn, &[(id, since)])?;
    Ok(firsts.get(&id).copied().unwrap_or(First::ToTry))
}

/// The same of several, each since its moment.
pub fn firsts(conn: &mut Db, of: &[(MigrationId, Time)]) -> Result<BTreeMap<MigrationId, First>> {
    if of.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<MigrationId> = of.iter().map(|(id, _)| *id).collect();
    let all: Vec<(MigrationId, TrialState, Option<Time>)> = trials::table
        .filter(trials::migration_id.eq_any(ids))
        .order(trials::id.desc())
        .select((trials::migration_id, trials::state, trials::ended_at))
        .at_most::<10_000>()
        .load(conn)?;
    let stands = |(id, since): &(MigrationId, Time)| {
        let its = all.iter().filter(|(of, ..)| of == id);
        (
            *id,
            trial::first(*since, its.map(|(_, state, end)| (*state, *end))),
        )
    };
    Ok(of.iter().map(stands).collect())
}

/// Is one of another migration there, or about to be?
pub fn is_any_on(conn: &mut Db, host: HostId) -> Result<bool> {
    let there = trials::table
        .filter(trials::host_id.eq(host))
        .filter(trials::state.eq_any(TrialState::those(is_open)));
    Ok(diesel::select(diesel::dsl::exists(there)).get_result(conn)?)
}

/// May one begin for this move now? Asked for pages, and again under the migration's lock.
pub fn may_begin(conn: &mut Db, row: &Migration) -> Result<Result<(), NotNow>> {
    let last = newest(conn, row.id)?;
    let there = row.destination_host_id;
    let may = trial::may_begin(Standing {
        state: row.state,
        step: row.step,
        cancel_asked: row.cancel_asked,
        last: last.map(|trial| trial.state),
        is_known_there: super::host::speaks(conn, there, KNOWS_TRIALS)?,
    });
    if may.is_ok() && is_any_on(conn, there)? {
        return Ok(Err(NotNow::HostBusy));
    }
    Ok(may)
}

/// Migrations that have one now; at most 1,000.
pub fn open(conn: &mut Db) -> Result<Vec<MigrationId>> {
    Ok(trials::table
        .filter(trials::state.eq_any(TrialState::those(is_open)))
        .order(trials::id)
        .select(trials::migration_id)
        .at_most::<1000>()
        .load(conn)?)
}

/// Its host has the order. `false`: it is not waited for any more.
pub fn begin(conn: &mut Db, job: JobId, now: Time) -> Result<bool> {
    let asked = trials::table
        .filter(trials::job_id.eq(job))
        .filter(trials::state.eq_any(TrialState::those(is_open)));
    let begun = diesel::update(asked)
        .set((
            trials::state.eq(TrialState::Running),
            trials::began_at.eq(now),
        ))
        .execute(conn)?;
    Ok(begun == 1)
}

/// What its clone said so far.
pub fn note_console(conn: &mut Db, job: JobId, console: &str) -> Result<()> {
    let running = trials::table
        .filter(trials::job_id.eq(job))
        .filter(trials::state.eq(TrialState::Running));
    diesel::update(running)
        .set(trials::console.eq(console))
        .execute(conn)?;
    Ok(())
}

/// How one ended.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    pub state: TrialState,
    pub outcome: &'a str,
    pub detail: &'a str,
    /// `None`: as much as was told while it ran.
    pub console: Option<&'a str>,
    pub now: Time,
}

/// `false`: it had ended.
pub fn end(conn: &mut Db, id: TrialId, end: &End<'_>) -> Result<bool> {
    let open = trials::table
        .find(id)
        .filter(trials::state.eq_any(TrialState::those(is_open)));
    let ended = diesel::update(open)
        .set((
            trials::state.eq(end.state),
            trials::outcome.eq(end.outcome),
            trials::detail.eq(end.detail),
            trials::ended_at.eq(end.now),
        ))
        .execute(conn)?;
    if let Some(console) = end.console.filter(|_| ended == 1) {
        diesel::update(trials::table.find(id))
            .set(trials::console.eq(console))
            .execute(conn)?;
    }
    Ok(ended == 1)
}

/// Those whose job is over, however that came, and that have not heard of it; at most 1,000.
pub fn forsaken(conn: &mut Db) -> Result<Vec<Trial>> {
    let at_it = jobs::table
        .filter(jobs::id.eq(trials::job_id))
        .filter(jobs::state.eq_any(JobState::those(job::is_open)));
    Ok(trials::table
        .filter(trials::state.eq_any(TrialState::those(is_open)))
        .filter(diesel::dsl::not(diesel::dsl::exists(at_it)))
        .order(trials::id)
        .select(columns::<Trial>())
        .at_most::<1000>()
        .load(conn)?)
}

/// Migrations whose last trial ran and did not come up; at most 1,000, the newest.
pub fn failed(conn: &mut Db) -> Result<Vec<MigrationId>> {
    let later = diesel::alias!(trials as later);
    let newer = later
        .filter(later.field(trials::migration_id).eq(trials::migration_id))
        .filter(later.field(trials::id).gt(trials::id));
    Ok(trials::table
        .filter(trials::state.eq_any(TrialState::those(has_failed)))
        .filter(diesel::dsl::not(diesel::dsl::exists(newer)))
        .order(trials::id.desc())
        .select(trials::migration_id)
        .at_most::<1000>()
        .load(conn)?)
}
