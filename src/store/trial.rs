//! Trials of moves: what was asked for, how it stands, and what its console said.

use diesel::prelude::*;

use super::db::{Db, columns};
use super::error::StoreError;
use super::migration::Migration;
use super::schema::{jobs, trials};
use crate::domain::ids::{HostId, JobId, MigrationId, TrialId, UserId};
use crate::domain::job::{self, JobState};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::domain::trial::{self, NotNow, Standing, TrialState, has_failed, is_open};
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

pub fn insert(conn: &mut Db, new: &NewTrial) -> Result<(), StoreError> {
    diesel::insert_into(trials::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

/// The last one of a migration, whatever became of it.
pub fn newest(conn: &mut Db, migration: MigrationId) -> Result<Option<Trial>, StoreError> {
    Ok(trials::table
        .filter(trials::migration_id.eq(migration))
        .order(trials::id.desc())
        .select(columns::<Trial>())
        .at_most::<1>()
        .get_result(conn)
        .optional()?)
}

pub fn of_job(conn: &mut Db, job: JobId) -> Result<Option<Trial>, StoreError> {
    Ok(trials::table
        .filter(trials::job_id.eq(job))
        .select(columns::<Trial>())
        .at_most::<1>()
        .get_result(conn)
        .optional()?)
}

/// Is one of another migration there, or about to be?
pub fn is_any_on(conn: &mut Db, host: HostId) -> Result<bool, StoreError> {
    let there = trials::table
        .filter(trials::host_id.eq(host))
        .filter(trials::state.eq_any(TrialState::those(is_open)));
    Ok(diesel::select(diesel::dsl::exists(there)).get_result(conn)?)
}

/// May one begin for this move now? Asked for pages, and again under the migration's lock.
pub fn may_begin(conn: &mut Db, row: &Migration) -> Result<Result<(), NotNow>, StoreError> {
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
pub fn open(conn: &mut Db) -> Result<Vec<MigrationId>, StoreError> {
    Ok(trials::table
        .filter(trials::state.eq_any(TrialState::those(is_open)))
        .order(trials::id)
        .select(trials::migration_id)
        .at_most::<1000>()
        .load(conn)?)
}

/// Its host has the order. `false`: it is not waited for any more.
pub fn begin(conn: &mut Db, job: JobId, now: Time) -> Result<bool, StoreError> {
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
pub fn note_console(conn: &mut Db, job: JobId, console: &str) -> Result<(), StoreError> {
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
pub fn end(conn: &mut Db, id: TrialId, end: &End<'_>) -> Result<bool, StoreError> {
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
pub fn forsaken(conn: &mut Db) -> Result<Vec<Trial>, StoreError> {
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
pub fn failed(conn: &mut Db) -> Result<Vec<MigrationId>, StoreError> {
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
