//! Migrations with their events and digests. A state is only ever changed from the state it was read in.

pub mod check;
pub mod chosen;
pub mod digests;
pub mod list;
pub mod page;
pub mod pause;
pub mod queue;
pub mod timing;

use diesel::prelude::*;

use super::db::{Db, by_key, columns, wake_on_commit};
use super::error::Result;
use super::schema::{linodes, migration_events, migrations};
use super::wake::Wake;
use crate::domain::ids::{AccountId, HostId, JobId, LinodeId, MigrationId, RegistrationId, UserId};
use crate::domain::linode::LinodeStatus;
use crate::domain::migration::forecast::Forecast;
use crate::domain::migration::hold::InStep;
use crate::domain::migration::{self, BEFORE_THE_STOP, MigrationKind, MigrationState, Step};
use crate::domain::placement::Link;
use crate::domain::programme::move_times;
use crate::domain::time::Time;
use crate::store::limit::Limit;

pub use digests::{Digest, digests, put_digest};

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = migrations)]
pub struct Migration {
    pub id: MigrationId,
    pub kind: MigrationKind,
    pub linode_id: LinodeId,
    pub account_id: AccountId,
    pub registration_id: Option<RegistrationId>,
    pub parent_id: Option<MigrationId>,
    pub source_host_id: HostId,
    pub destination_host_id: HostId,
    pub state: MigrationState,
    pub step: Option<Step>,
    /// Counts the tries; a retry begins the next one.
    pub round: i32,
    /// The epoch the source holds the Linode under in this round; the destination gets `epoch + 1`.
    pub epoch: i64,
    /// Sealed disks of this epoch stand at the destination already (a way back): copying starts from them.
    pub base_epoch: Option<i64>,
    pub was_running: bool,
    pub kernels_accepted: bool,
    pub stop_limit_s: i32,
    pub offered_at: Time,
    pub expires_at: Time,
    /// The time its member chose: the Linode is not stopped before it.
    pub not_before: Option<Time>,
    pub queued_at: Option<Time>,
    pub queued_by: Option<UserId>,
    pub started_at: Option<Time>,
    pub stopped_at: Option<Time>,
    pub committed_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub way_back_until: Option<Time>,
    pub closed_at: Option<Time>,
    pub cancel_asked: bool,
    /// Why it failed, in words for the member; the detail is for staff.
    pub failure: String,
    pub failure_detail: String,
    pub total_bytes: i64,
    pub sent_bytes: i64,
    pub warm_passes: i32,
    /// JSON list of `domain::linode::translate::Profile`, before and after the commit.
    pub profiles_before: Option<String>,
    pub profiles_after: Option<String>,
    /// When its member is to be reminded next.
    pub remind_at: Option<Time>,
    /// The SEQUENCE of the next calendar file about its chosen time.
    pub calendar_seq: i32,
    /// When its destination had started it; `None` also if its agent does not say.
    pub running_at: Option<Time>,
    /// Why staff move it off its host, or why they called it off, in words for its members.
    pub reason: String,
    /// The job whose word its present step waits for.
    pub step_job_id: Option<JobId>,
    /// What the portal's watched seconds must have come to before the way-back window ends.
    pub way_back_watched_s: Option<i64>,
    /// When the old disks at its source were deleted.
    pub purged_at: Option<Time>,
    /// Whether the copy was read back past the cache, where the agent says.
    pub uncached: Option<bool>,
    /// When copying begins, so that it is in step by the time chosen.
    pub begin_at: Option<Time>,
    /// For how long after the time chosen it may still stop, if it was not in step by then.
    pub patience_s: i32,
    /// Its member was told that it is late.
    pub late_told: bool,
    /// The end of the last pass.
    pub in_step_at: Option<Time>,
    /// What the last pass took.
    pub pass_s: i32,
    /// From its beginning until it was in step first.
    pub copied_s: Option<i32>,
    /// Its cancel leaves its member the offer.
    pub offer_again: bool,
    /// The longest downtime that its member allows.
    pub down_limit_s: Option<i32>,
    /// What its guest changes a second, by its last pass, in bytes.
    pub changed_b_s: i64,
    /// The downtime foretold when it was ordered to stop: expected, and at most.
    pub foretold_ms: Option<i64>,
    pub foretold_most_ms: Option<i64>,
    /// It is not stopped before a trial of it that ended later than this came up; `None`: it need not be tried.
    pub try_first_since: Option<Time>,
}

impl Migration {
    /// Between which hosts it is.
    pub fn link(&self) -> Link {
        Link {
            migration: self.id,
            source: self.source_host_id,
            destination: self.destination_host_id,
            is_back: self.kind == MigrationKind::Return,
        }
    }

    /// It waits in the queue, and for no time of its own.
    pub fn is_due(&self, now: Time) -> bool {
        self.state == MigrationState::Queued && self.begin_at.is_none_or(|at| at <= now)
    }

    /// It goes on, and its Linode was not told to stop: until then everything can be chosen anew.
    pub fn awaits_stop(&self) -> bool {
        BEFORE_THE_STOP.contains(&self.state) && !self.cancel_asked
    }

    /// What its downtime would be, and the limit of its member that this is over, if it is.
    pub fn over_limit(&self, forecast: Option<Forecast>) -> Option<(i32, Forecast)> {
        self.down_limit_s
            .zip(forecast)
            .filter(|(limit_s, forecast)| !forecast.keeps(*limit_s))
    }

    /// Does it hold? Then it is in step since, and its last pass took so long.
    pub fn in_step(&self) -> Option<InStep> {
        let holds = self.state == MigrationState::Holding;
        Some(InStep {
            since: self.in_step_at.filter(|_| holds)?,
            pass_s: i64::from(self.pass_s),
            changed_b_s: self.changed_b_s,
            in_pass: self.step == Some(Step::TopUp),
        })
    }

    /// Is the time for its way back over, by the clock and by what portals have watched of it? `way_backs_over` asks the same.
    pub fn way_back_is_over(&self, now: Time, watched_s: i64) -> bool {
        self.way_back_until.is_none_or(|until| until <= now)
            && self
                .way_back_watched_s
                .is_none_or(|least| least <= watched_s)
    }

    /// How long the Linode was away: from the order to stop it until it was started again, in seconds. Where the agent does
    /// not say when that was, until the move was finished, which is later: after the destination had watched it.
    pub fn down_s(&self) -> Option<i64> {
        migration::down_s(
            self.was_running,
            self.stopped_at,
            self.running_at,
            self.finished_at,
        )
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = migrations)]
pub struct NewMigration {
    pub kind: MigrationKind,
    pub linode_id: LinodeId,
    pub account_id: AccountId,
    pub registration_id: Option<RegistrationId>,
    pub parent_id: Option<MigrationId>,
    pub source_host_id: HostId,
    pub destination_host_id: HostId,
    pub state: MigrationState,
    pub epoch: i64,
    pub base_epoch: Option<i64>,
    pub offered_by: Option<UserId>,
    pub offered_at: Time,
    pub expires_at: Time,
    pub queued_at: Option<Time>,
    pub queued_by: Option<UserId>,
    pub kernels_accepted: bool,
    pub stop_limit_s: i32,
}

/// Fails with a duplicate if the Linode has a live migration. The member of an offer is reminded of its end.
pub fn insert(conn: &mut Db, new: &NewMigration) -> Result<Migration> {
    let remind_at = (new.state == MigrationState::Offered)
        .then(|| move_times::offer_reminder(new.expires_at, new.offered_at))
        .flatten();
    Ok(diesel::insert_into(migrations::table)
        .values((new, migrations::remind_at.eq(remind_at)))
        .returning(columns::<Migration>())
        .get_result(conn)?)
}

pub fn migration(conn: &mut Db, id: MigrationId) -> Result<Option<Migration>> {
    Ok(by_key!(conn, migrations, id, Migration))
}

/// The row, locked for this transaction on PostgreSQL (SQLite's write transaction has the whole database).
/// Every transition reads it so: two events for one migration follow each other.
pub fn locked(conn: &mut Db, id: MigrationId) -> Result<Option<Migration>> {
    if let Db::Pg(pg) = conn {
        return Ok(migrations::table
            .find(id)
            .select(columns::<Migration>())
            .for_no_key_update()
            .get_result(pg)
            .optional()?);
    }
    migration(conn, id)
}

/// All that is not over of a Linode (what failed included), newest first, locked as [`locked`] does. Who holds these knows
/// where the Linode is: nothing moves it but one of them. A transaction that changes several takes them so:
/// two that take them one after the other could wait for each other.
pub fn locked_of_linode(conn: &mut Db, linode: LinodeId) -> Result<Vec<Migration>> {
    locked_of_linodes(conn, &[linode])
}

/// As [`locked_of_linode`], of several.
pub fn locked_of_linodes(conn: &mut Db, of: &[LinodeId]) -> Result<Vec<Migration>> {
    let open = migrations::table
        .filter(migrations::linode_id.eq_any(of.to_vec()))
        .filter(migrations::state.ne_all(OVER))
        .order(migrations::id.desc())
        .select(columns::<Migration>());
    Ok(match conn {
        Db::Pg(pg) => open.for_no_key_update().load(pg)?,
        Db::Sqlite(lite) => open.load(lite)?,
    })
}

/// Linodes with a migration that is not over and has the host on either side.
pub fn with_host(conn: &mut Db, host: HostId) -> Result<Vec<LinodeId>> {
    Ok(migrations::table
        .filter(
            migrations::source_host_id
                .eq(host)
                .or(migrations::destination_host_id.eq(host)),
        )
        .filter(migrations::state.ne_all(OVER))
        .select(migrations::linode_id)
        .load(conn)?)
}

/// States that nothing leads out of.
const OVER: [MigrationState; 4] = [
    MigrationState::Confirmed,
    MigrationState::Returned,
    MigrationState::Expired,
    MigrationState::Cancelled,
];

pub fn of_linode(conn: &mut Db, linode: LinodeId) -> Result<Vec<Migration>> {
    Ok(migrations::table
        .filter(migrations::linode_id.eq(linode))
        .order(migrations::id.desc())
        .select(Migration::as_select())
        .at_most::<100>()
        .load(conn)?)
}

/// Is a migration of the Linode in one of these states?
pub fn is_in(conn: &mut Db, linode: LinodeId, states: &[MigrationState]) -> Result<bool> {
    let of = migrations::linode_id
        .eq(linode)
        .and(migrations::state.eq_any(states.to_vec()));
    Ok(diesel::select(diesel::dsl::exists(migrations::table.filter(of))).get_result(conn)?)
}

/// Those that brought a Linode to this host and whose source still has its disks, newest first.
pub fn brought_to(conn: &mut Db, host: HostId) -> Result<Vec<Migration>> {
    let brought = [
        MigrationState::Switching,
        MigrationState::Finished,
        MigrationState::Returning,
        MigrationState::Confirmed,
    ];
    Ok(migrations::table
        .filter(migrations::destination_host_id.eq(host))
        .filter(migrations::state.eq_any(brought))
        .filter(migrations::committed_at.is_not_null())
        .filter(migrations::purged_at.is_null())
        .order(migrations::id.desc())
        .select(Migration::as_select())
        .load(conn)?)
}

/// What a transition stores, besides the times its effects set.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = migrations)]
pub struct Change {
    pub round: Option<i32>,
    pub epoch: Option<i64>,
    pub base_epoch: Option<i64>,
    pub was_running: Option<bool>,
    pub kernels_accepted: Option<bool>,
    pub stop_limit_s: Option<i32>,
    pub not_before: Option<Option<Time>>,
    pub begin_at: Option<Option<Time>>,
    pub patience_s: Option<i32>,
    pub late_told: Option<bool>,
    pub in_step_at: Option<Time>,
    pub pass_s: Option<i32>,
    pub copied_s: Option<i32>,
    pub offer_again: Option<bool>,
    pub down_limit_s: Option<Option<i32>>,
    pub changed_b_s: Option<i64>,
    pub foretold_ms: Option<Option<i64>>,
    pub foretold_most_ms: Option<Option<i64>>,
    pub try_first_since: Option<Option<Time>>,
    pub queued_at: Option<Time>,
    pub queued_by: Option<UserId>,
    pub started_at: Option<Time>,
    pub stopped_at: Option<Option<Time>>,
    pub committed_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub way_back_until: Option<Time>,
    pub closed_at: Option<Time>,
    pub cancel_asked: Option<bool>,
    pub reason: Option<String>,
    pub failure: Option<String>,
    pub failure_detail: Option<String>,
    pub total_bytes: Option<i64>,
    pub sent_bytes: Option<i64>,
    pub warm_passes: Option<i32>,
    pub profiles_before: Option<String>,
    pub profiles_after: Option<String>,
    pub remind_at: Option<Option<Time>>,
    pub calendar_seq: Option<i32>,
    pub running_at: Option<Time>,
    pub step_job_id: Option<JobId>,
    pub way_back_watched_s: Option<i64>,
    pub purged_at: Option<Time>,
    pub uncached: Option<bool>,
}

/// Stores a transition; `false` if the row is no longer in the state and step it was read in.
pub fn advance(
    conn: &mut Db,
    from: &Migration,
    state: MigrationState,
    step: Option<Step>,
    change: &Change,
) -> Result<bool> {
    let target = migrations::table
        .find(from.id)
        .filter(migrations::state.eq(from.state));
    let set = (
        migrations::state.eq(state),
        migrations::step.eq(step),
        change,
    );
    let hit = match from.step {
        Some(step) => diesel::update(target.filter(migrations::step.eq(step)))
            .set(set)
            .execute(conn)?,
        None => diesel::update(target.filter(migrations::step.is_null()))
            .set(set)
            .execute(conn)?,
    };
    wake_on_commit(conn, Wake::Migration(from.id))?;
    Ok(hit == 1)
}

/// Notes a fact that changes no state (an asked cancel, a new time).
pub fn note(conn: &mut Db, id: MigrationId, change: &Change) -> Result<()> {
    diesel::update(migrations::table.find(id))
        .set(change)
        .execute(conn)?;
    wake_on_commit(conn, Wake::Migration(id))
}

pub fn insert_event(
    conn: &mut Db,
    id: MigrationId,
    now: Time,
    (state, step): (MigrationState, Option<Step>),
    message: &str,
) -> Result<()> {
    diesel::insert_into(migration_events::table)
        .values((
            migration_events::migration_id.eq(id),
            migration_events::at.eq(now),
            migration_events::state.eq(state),
            migration_events::step.eq(step),
            migration_events::message.eq(message),
        ))
        .execute(conn)?;
    Ok(())
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = migration_events)]
pub struct MigrationEvent {
    pub at: Time,
    pub state: MigrationState,
    pub step: Option<Step>,
    pub message: String,
}

pub fn events(conn: &mut Db, id: MigrationId) -> Result<Vec<MigrationEvent>> {
    Ok(migration_events::table
        .filter(migration_events::migration_id.eq(id))
        .order(migration_events::id)
        .select(MigrationEvent::as_select())
        .at_most::<1000>()
        .load(conn)?)
}

pub fn expired_offers(conn: &mut Db, now: Time, limit: i64) -> Result<Vec<MigrationId>> {
    Ok(migrations::table
        .filter(migrations::state.eq(MigrationState::Offered))
        .filter(migrations::expires_at.le(now))
        .order(migrations::expires_at)
        .select(migrations::id)
        .limited(limit)
        .load(conn)?)
}

/// Moves whose way-back window is over, by the clock and by the time that portals watched, and whose Linode is well, where it moved to. The others wait for their members,
/// however many they are, and hold up none of these.
pub fn way_backs_over(conn: &mut Db, now: Time, limit: i64) -> Result<Vec<MigrationId>> {
    let watched_s = super::ownership::memory::get(conn)?.watched_s;
    Ok(migrations::table
        .inner_join(linodes::table)
        .filter(migrations::state.eq(MigrationState::Finished))
        .filter(migrations::way_back_until.le(now))
        .filter(
            migrations::way_back_watched_s
                .is_null()
                .or(migrations::way_back_watched_s.le(watched_s)),
        )
        .filter(
            linodes::host_id
                .eq(migrations::destination_host_id)
                .and(
                    linodes::status
                        .eq(LinodeStatus::Running)
                        .or(migrations::was_running.eq(false)),
                )
                .or(migrations::kind
                    .eq(MigrationKind::Return)
                    .and(linodes::host_id.ne(migrations::destination_host_id))),
        )
        .order(migrations::way_back_until)
        .select(migrations::id)
        .limited(limit)
        .load(conn)?)
}

pub fn counts(conn: &mut Db) -> Result<Vec<(MigrationState, i64)>> {
    Ok(migrations::table
        .group_by(migrations::state)
        .select((migrations::state, diesel::dsl::count_star()))
        .load(conn)?)
}
