//! Jobs: one step of work on one host, claimed under a lease by one conditional statement.

pub mod claim;
pub mod list;
pub mod pauses;

use diesel::prelude::*;

use super::db::{Db, by_key, columns, wake_on_commit};
use super::error::Result;
use super::linode::Linode;
use super::schema::jobs;
use super::wake::Wake;
use crate::domain::ids::{HostId, JobId, LinodeId, MigrationId, UserId};
use crate::domain::job::{self, JobKind, JobState};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store::limit::Limit;

pub use claim::{Claim, anything_for, claim};

/// Failures of its step after which a job has failed; and losses in a row, after which it waits for staff.
pub const MOST_TRIES: i32 = 5;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub struct Job {
    pub id: JobId,
    pub host_id: HostId,
    pub linode_id: LinodeId,
    pub migration_id: Option<MigrationId>,
    pub kind: JobKind,
    pub state: JobState,
    /// The epoch the step acts under; what that means depends on the kind (see `wire::Task`).
    pub epoch: i64,
    pub attempt: i32,
    pub run_after: Time,
    pub lease_hash: Option<String>,
    pub lease_until: Option<Time>,
    pub cancel_asked: bool,
    pub requested_by: Option<UserId>,
    pub entered_at: Time,
    /// When its host took it, this time: another try begins anew.
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    /// JSON of `wire::Progress`.
    pub progress: Option<String>,
    pub progress_at: Option<Time>,
    pub message: String,
    pub detail: String,
    /// How often its step failed, and how often in a row it was lost without a word, since it was entered or tried again.
    pub failures: i32,
    pub losses: i32,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = jobs)]
pub struct NewJob {
    pub host_id: HostId,
    pub linode_id: LinodeId,
    pub migration_id: Option<MigrationId>,
    pub kind: JobKind,
    pub state: JobState,
    pub epoch: i64,
    pub run_after: Time,
    pub requested_by: Option<UserId>,
    pub entered_at: Time,
}

impl NewJob {
    /// A job on the Linode's own host under its present epoch, outside of any migration.
    pub fn own(linode: &Linode, kind: JobKind, now: Time, requested_by: Option<UserId>) -> Self {
        Self {
            host_id: linode.host_id,
            linode_id: linode.id,
            migration_id: None,
            kind,
            state: JobState::Pending,
            epoch: linode.epoch,
            run_after: now,
            requested_by,
            entered_at: now,
        }
    }
}

/// Enqueues a job and wakes its host when the transaction commits.
pub fn enqueue(conn: &mut Db, new: &NewJob) -> Result<JobId> {
    let id = diesel::insert_into(jobs::table)
        .values(new)
        .returning(jobs::id)
        .get_result(conn)?;
    wake_on_commit(conn, Wake::Host(new.host_id))?;
    Ok(id)
}

/// The row, locked for this transaction on PostgreSQL. Its migration's comes before it.
pub fn locked(conn: &mut Db, id: JobId) -> Result<Option<Job>> {
    if let Db::Pg(pg) = conn {
        return Ok(jobs::table
            .find(id)
            .select(columns::<Job>())
            .for_no_key_update()
            .get_result(pg)
            .optional()?);
    }
    job(conn, id)
}

pub fn job(conn: &mut Db, id: JobId) -> Result<Option<Job>> {
    Ok(by_key!(conn, jobs, id, Job))
}

/// What an agent shows to speak of a job: only the holder of the current lease has all four right.
#[derive(Debug, Clone, Copy)]
pub struct Lease<'a> {
    pub job: JobId,
    pub host: HostId,
    pub attempt: i32,
    pub hash: &'a str,
}

/// The job under this lease, or `None` if it is stale (or never was).
pub fn under_lease(conn: &mut Db, lease: Lease<'_>) -> Result<Option<Job>> {
    Ok(jobs::table
        .find(lease.job)
        .filter(jobs::host_id.eq(lease.host))
        .filter(jobs::attempt.eq(lease.attempt))
        .filter(jobs::lease_hash.eq(lease.hash))
        .filter(jobs::state.eq(JobState::Leased))
        .select(Job::as_select())
        .get_result(conn)
        .optional()?)
}

/// So long a job must have gone on, in seconds, for its progress to end a row of losses: what gets on and dies sooner, each
/// time, gets nowhere.
const STEADY_S: i64 = 300;

/// Extends the lease and notes progress; gives back whether a cancel was asked, `None` if the lease is stale.
pub fn renew(
    conn: &mut Db,
    lease: Lease<'_>,
    until: Time,
    progress: Option<(&str, Time)>,
) -> Result<Option<bool>> {
    let target = jobs::table
        .find(lease.job)
        .filter(jobs::host_id.eq(lease.host))
        .filter(jobs::attempt.eq(lease.attempt))
        .filter(jobs::lease_hash.eq(lease.hash))
        .filter(jobs::state.eq(JobState::Leased));
    Ok(match progress {
        Some((progress, at)) => diesel::update(target)
            .set((
                jobs::lease_until.eq(until),
                jobs::progress.eq(progress),
                jobs::progress_at.eq(at),
                // It was given out soon after it could be.
                jobs::losses.eq(diesel::dsl::case_when(
                    jobs::run_after.le(at.plus_s(-STEADY_S)),
                    0_i32.into_sql::<diesel::sql_types::Integer>(),
                )
                .otherwise(jobs::losses)),
            ))
            .returning(jobs::cancel_asked)
            .get_result(conn)
            .optional()?,
        None => diesel::update(target)
            .set(jobs::lease_until.eq(until))
            .returning(jobs::cancel_asked)
            .get_result(conn)
            .optional()?,
    })
}

pub struct End<'a> {
    pub state: JobState,
    pub message: &'a str,
    pub detail: &'a str,
    pub now: Time,
}

#[derive(AsChangeset)]
#[diesel(table_name = jobs, treat_none_as_null = true)]
struct Ended<'a> {
    state: JobState,
    lease_hash: Option<&'a str>,
    lease_until: Option<Time>,
    finished_at: Option<Time>,
    message: &'a str,
    detail: &'a str,
}

impl End<'_> {
    fn set(&self) -> Ended<'_> {
        Ended {
            state: self.state,
            lease_hash: None,
            lease_until: None,
            finished_at: Some(self.now),
            message: self.message,
            detail: self.detail,
        }
    }
}

/// Ends a job under its lease; `false` if the lease is stale.
pub fn finish(conn: &mut Db, lease: Lease<'_>, end: &End<'_>) -> Result<bool> {
    Ok(diesel::update(
        jobs::table
            .find(lease.job)
            .filter(jobs::host_id.eq(lease.host))
            .filter(jobs::attempt.eq(lease.attempt))
            .filter(jobs::lease_hash.eq(lease.hash))
            .filter(jobs::state.eq(JobState::Leased)),
    )
    .set((end.set(), jobs::losses.eq(0)))
    .execute(conn)?
        == 1)
}

/// When a job is to be claimed again, and what it has behind it then.
pub struct Again<'a> {
    pub run_after: Time,
    pub failures: i32,
    pub losses: i32,
    pub detail: &'a str,
}

/// Gives a job back to be claimed again, keeping its attempt count; `false` if it is no longer in the state, and at the
/// attempt, that `job` was read in.
pub fn release(conn: &mut Db, job: &Job, again: &Again<'_>) -> Result<bool> {
    let host = diesel::update(
        jobs::table
            .find(job.id)
            .filter(jobs::state.eq(job.state))
            .filter(jobs::attempt.eq(job.attempt)),
    )
    .set((
        jobs::state.eq(JobState::Pending),
        jobs::lease_hash.eq(None::<String>),
        jobs::lease_until.eq(None::<Time>),
        jobs::run_after.eq(again.run_after),
        jobs::failures.eq(again.failures),
        jobs::losses.eq(again.losses),
        jobs::detail.eq(again.detail),
    ))
    .returning(jobs::host_id)
    .get_result::<HostId>(conn)
    .optional()?;
    if let Some(host) = host {
        wake_on_commit(conn, Wake::Host(host))?;
    }
    Ok(host.is_some())
}

/// Leased jobs of a host that its agent does not say it holds: they were lost on the way to it.
pub fn lost(conn: &mut Db, host: HostId, held: &[JobId]) -> Result<Vec<Job>> {
    let leased: Vec<Job> = jobs::table
        .filter(jobs::host_id.eq(host))
        .filter(jobs::state.eq(JobState::Leased))
        .select(Job::as_select())
        .load(conn)?;
    Ok(leased
        .into_iter()
        .filter(|job| !held.contains(&job.id))
        .collect())
}

/// All leases get until then: nobody could renew them for a while.
pub fn extend_all(conn: &mut Db, until: Time) -> Result<usize> {
    Ok(
        diesel::update(jobs::table.filter(jobs::state.eq(JobState::Leased)))
            .set(jobs::lease_until.eq(until))
            .execute(conn)?,
    )
}

/// What went wrong with a job that has ended.
pub fn set_tries(conn: &mut Db, id: JobId, (failures, losses): (i32, i32)) -> Result<()> {
    diesel::update(jobs::table.find(id))
        .set((jobs::failures.eq(failures), jobs::losses.eq(losses)))
        .execute(conn)?;
    Ok(())
}

/// Pauses and leases that end later than any that is given now end at `now`, and at `lease`. Says how many there were.
pub fn bring_back(
    conn: &mut Db,
    (now, pause_most): (Time, Time),
    (lease, lease_most): (Time, Time),
) -> Result<usize> {
    let waiting = diesel::update(jobs::table.filter(waits_beyond(pause_most)))
        .set(jobs::run_after.eq(now))
        .execute(conn)?;
    let leased = diesel::update(jobs::table.filter(leased_beyond(lease_most)))
        .set(jobs::lease_until.eq(lease))
        .execute(conn)?;
    Ok(waiting + leased)
}

#[diesel::dsl::auto_type]
fn waits_beyond(most: Time) -> _ {
    let pending: JobState = JobState::Pending;
    jobs::state.eq(pending).and(jobs::run_after.gt(most))
}

#[diesel::dsl::auto_type]
fn leased_beyond(most: Time) -> _ {
    let leased: JobState = JobState::Leased;
    jobs::state
        .eq(leased)
        .and(jobs::lease_until.gt(most).assume_not_null())
}

/// Is there anything to be brought back? Asked first, so that a round without takes no lock to write.
pub fn any_ahead(conn: &mut Db, pause_most: Time, lease_most: Time) -> Result<bool> {
    let ahead = waits_beyond(pause_most).or(leased_beyond(lease_most));
    Ok(diesel::select(diesel::dsl::exists(jobs::table.filter(ahead))).get_result(conn)?)
}

pub fn expired(conn: &mut Db, now: Time, limit: i64) -> Result<Vec<JobId>> {
    Ok(jobs::table
        .filter(jobs::state.eq(JobState::Leased))
        .filter(jobs::lease_until.lt(now))
        .order(jobs::lease_until)
        .select(jobs::id)
        .limited(limit)
        .load(conn)?)
}

const BEFORE_IT_BEGAN: &str = "Cancelled before it began.";

fn before_it_began(now: Time) -> End<'static> {
    End {
        state: JobState::Cancelled,
        message: BEFORE_IT_BEGAN,
        detail: "",
        now,
    }
}

/// Cancels a job that no agent was ever given; `false`: one was.
pub fn cancel_ungiven(conn: &mut Db, id: JobId, now: Time) -> Result<bool> {
    let end = before_it_began(now);
    let hit = diesel::update(
        jobs::table
            .find(id)
            .filter(jobs::state.eq(JobState::Pending))
            .filter(jobs::attempt.eq(0)),
    )
    .set(end.set())
    .execute(conn)?;
    Ok(hit == 1)
}

/// Cancels the migration's jobs that nobody has taken, and asks the agents at work for it to stop; says how many these are.
/// What tidies up after an earlier round goes on: its end ends nothing.
pub fn stop(conn: &mut Db, migration: MigrationId, now: Time) -> Result<usize> {
    let of = || {
        jobs::table
            .filter(jobs::migration_id.eq(migration))
            .filter(jobs::kind.ne_all(JobKind::NO_STEPS))
    };
    diesel::update(of().filter(jobs::state.eq(JobState::Pending)))
        .set((
            jobs::state.eq(JobState::Cancelled),
            jobs::finished_at.eq(now),
            jobs::message.eq(BEFORE_IT_BEGAN),
        ))
        .execute(conn)?;
    Ok(
        diesel::update(of().filter(jobs::state.eq(JobState::Leased)))
            .set(jobs::cancel_asked.eq(true))
            .execute(conn)?,
    )
}

/// As [`stop`], of one job.
pub fn stop_one(conn: &mut Db, id: JobId, now: Time) -> Result<()> {
    match locked(conn, id)?.map(|job| job.state) {
        Some(JobState::Pending) => {
            end_unclaimed(conn, id, &before_it_began(now))?;
        }
        Some(JobState::Leased) => {
            diesel::update(jobs::table.find(id))
                .set(jobs::cancel_asked.eq(true))
                .execute(conn)?;
        }
        Some(JobState::Succeeded | JobState::Failed | JobState::Cancelled) | None => {}
    }
    Ok(())
}

/// Ends a job that must not be given out any more, whatever its state; `false` if it had ended.
pub fn end_unclaimed(conn: &mut Db, id: JobId, end: &End<'_>) -> Result<bool> {
    Ok(diesel::update(
        jobs::table
            .find(id)
            .filter(jobs::state.eq_any(JobState::those(job::is_open))),
    )
    .set(end.set())
    .execute(conn)?
        == 1)
}

/// Ends whatever waits for a host that never comes back, or is at work on it.
pub fn end_all_of_host(conn: &mut Db, host: HostId, end: &End<'_>) -> Result<usize> {
    Ok(diesel::update(
        jobs::table
            .filter(jobs::host_id.eq(host))
            .filter(jobs::state.eq_any(JobState::those(job::is_open))),
    )
    .set(end.set())
    .execute(conn)?)
}

/// Pending jobs of a Linode that were put off may run at once.
pub fn hasten(conn: &mut Db, linode: LinodeId, kind: JobKind) -> Result<()> {
    let hosts: Vec<HostId> = diesel::update(
        jobs::table
            .filter(jobs::linode_id.eq(linode))
            .filter(jobs::kind.eq(kind))
            .filter(jobs::state.eq(JobState::Pending)),
    )
    .set(jobs::run_after.eq(jobs::entered_at))
    .returning(jobs::host_id)
    .get_results(conn)?;
    for host in hosts {
        wake_on_commit(conn, Wake::Host(host))?;
    }
    Ok(())
}

/// A failed job gets its tries back (staff's retry). Its attempts go on counting: they tell one lease from another.
pub fn revive(conn: &mut Db, id: JobId) -> Result<bool> {
    let host = diesel::update(
        jobs::table
            .find(id)
            .filter(jobs::state.eq(JobState::Failed)),
    )
    .set((
        jobs::state.eq(JobState::Pending),
        jobs::failures.eq(0),
        jobs::losses.eq(0),
        jobs::run_after.eq(jobs::entered_at),
        jobs::cancel_asked.eq(false),
        jobs::finished_at.eq(None::<Time>),
    ))
    .returning(jobs::host_id)
    .get_result::<HostId>(conn)
    .optional()?;
    if let Some(host) = host {
        wake_on_commit(conn, Wake::Host(host))?;
    }
    Ok(host.is_some())
}

/// Is a job of one of these kinds waiting or at work for the Linode?
pub fn open_of_linode(conn: &mut Db, linode: LinodeId, kinds: &[JobKind]) -> Result<Option<Job>> {
    Ok(jobs::table
        .filter(jobs::linode_id.eq(linode))
        .filter(jobs::state.eq_any(JobState::those(job::is_open)))
        .filter(jobs::kind.eq_any(kinds.to_vec()))
        .order(jobs::id.desc())
        .select(Job::as_select())
        .at_most::<1>()
        .get_result(conn)
        .optional()?)
}

pub fn counts(conn: &mut Db) -> Result<Vec<(JobState, i64)>> {
    Ok(jobs::table
        .group_by(jobs::state)
        .select((jobs::state, diesel::dsl::count_star()))
        .load(conn)?)
}
