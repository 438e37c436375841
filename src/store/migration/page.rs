//! What the page of a migration shows, read in a fixed number of queries.

use diesel::prelude::*;

use super::check::{CheckRun, CheckedRow};
use super::{Digest, Migration, MigrationEvent, check, queue, timing};
use crate::domain::host::SILENT_S;
use crate::domain::ids::{AccountId, HostId, MigrationId};
use crate::domain::job::{JobKind, JobState};
use crate::domain::linode::check::CheckState;
use crate::domain::migration::MigrationState;
use crate::domain::migration::forecast::Forecast;
use crate::domain::placement::Shut;
use crate::domain::time::Time;
use crate::domain::trial::{First, NotNow};
use crate::store::attention::{self, Pause};
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::host::{Host, room};
use crate::store::job::{Job, pauses};
use crate::store::limit::Limit;
use crate::store::linode::disk::Disk;
use crate::store::linode::{self, Linode};
use crate::store::programme::move_times;
use crate::store::trial::Trial;
use crate::store::wave::HeldBack;
use crate::store::{migration, receipt, schema, trial, wave};

/// Everything on a migration's page.
pub struct MigrationDetail {
    pub migration: Migration,
    pub linode: Linode,
    pub source: Host,
    pub destination: Host,
    pub events: Vec<MigrationEvent>,
    pub digests: Vec<Digest>,
    /// There is a signed one, or will be when it is asked for.
    pub has_receipt: bool,
    pub disks: Vec<Disk>,
    /// The step at work or waiting, if any.
    pub job: Option<Job>,
    /// The way back begun from this migration, newest.
    pub child: Option<Migration>,
    /// What was to answer, if its member named something.
    pub checks: Option<(CheckRun, Vec<CheckedRow>)>,
    pub queue: Place,
    /// The last one.
    pub trial: Option<Trial>,
    /// May another be asked for?
    pub may_try: Result<(), NotNow>,
}

/// What changes of a migration while one looks.
pub struct NowOf {
    pub migration: Migration,
    /// At work or waiting.
    pub job: Option<Job>,
    pub queue: Place,
    pub trial: Option<Trial>,
    /// How its checks stand, if its member named something.
    pub checks: Option<CheckRun>,
}

/// Where a migration stands among the queued, and what holds it back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// From 1, while it waits for a slot to be copied.
    pub position: Option<i64>,
    /// The end of the quiet hours, if they hold its stop, or will when its time comes.
    pub held_until: Option<Time>,
    /// The host that cannot take part now, and why, while it is offered or queued.
    pub shut: Option<(HostId, Shut)>,
    /// While it holds: how long its Linode would be off, stopped now.
    pub forecast: Option<Forecast>,
    /// Since when staff hold its next job back.
    pub job_paused: Option<Time>,
    /// It is finished, and its checks are being asked.
    pub is_asked: bool,
    /// While it holds, of one that is tried first: how that stands.
    pub first: Option<First>,
    /// Why nothing happens to its Linode at all.
    pub pause: Pause,
    /// Staff hold it back with others, while it is offered or queued.
    pub held_back: Option<HeldBack>,
    /// When the host at work, or to be at work, was heard of last.
    pub heard: Option<Time>,
}

/// `account`: whose it must be; `None` for staff. `None` comes back for no such migration, and for somebody else's.
pub fn migration_now(
    conn: &mut Db,
    account: Option<AccountId>,
    id: MigrationId,
    now: Time,
) -> Result<Option<NowOf>, StoreError> {
    let Some(migration) = migration::migration(conn, id)? else {
        return Ok(None);
    };
    if account.is_some_and(|account| account != migration.account_id) {
        return Ok(None);
    }
    let job: Option<(Job, Option<Time>)> = schema::jobs::table
        .inner_join(schema::hosts::table)
        .filter(schema::jobs::migration_id.eq(id))
        // It is no step.
        .filter(schema::jobs::kind.ne(JobKind::Trial))
        .filter(schema::jobs::state.eq_any([JobState::Pending, JobState::Leased, JobState::Failed]))
        .order(schema::jobs::id.desc())
        .select((Job::as_select(), schema::hosts::last_seen_at))
        .at_most::<1>()
        .get_result(conn)
        .optional()?;
    let (job, heard) = job.map_or((None, None), |(job, heard)| (Some(job), heard));
    let position = if migration.is_due(now) {
        Some(queue::queued_before(conn, &migration, now)? + 1)
    } else {
        None
    };
    let waits = matches!(
        migration.state,
        MigrationState::Offered | MigrationState::Queued
    );
    let shut = if waits {
        room::shut(conn, now.plus_s(-SILENT_S), &migration.link())?
    } else {
        None
    };
    let forecast = match migration.state {
        MigrationState::Holding => timing::forecast(conn, &migration, now)?,
        _ => None,
    };
    let checks = check::run(conn, id)?;
    let asks = |run: &CheckRun| run.state == CheckState::Asking;
    let is_asked = migration.state == MigrationState::Finished && checks.as_ref().is_some_and(asks);
    let first = match migration.state {
        MigrationState::Holding => trial::first(conn, &migration)?,
        _ => None,
    };
    let waiting = job.as_ref().filter(|job| {
        let is_undone =
            job.host_id == migration.destination_host_id && job.kind == JobKind::StopSeal;
        job.state == JobState::Pending && !is_undone
    });
    let job_paused = match waiting {
        Some(job) => pauses::all(conn)?
            .into_iter()
            .find(|pause| pause.holds(job.host_id, job.kind))
            .map(|pause| pause.made_at),
        None => None,
    };
    let pause = attention::pause(conn, migration.linode_id)?;
    let held_back = if waits {
        wave::held_back(conn, &migration, pause.moves_paused_at)?
    } else {
        None
    };
    let queue = Place {
        job_paused,
        is_asked,
        first,
        position,
        forecast,
        shut,
        held_until: move_times::held_until(conn, &migration, now)?,
        pause,
        held_back,
        heard,
    };
    Ok(Some(NowOf {
        trial: trial::newest(conn, id)?,
        migration,
        job,
        queue,
        checks,
    }))
}

/// Everything on a migration's page; `account` as for [`migration_now`].
pub fn migration(
    conn: &mut Db,
    account: Option<AccountId>,
    id: MigrationId,
    now: Time,
) -> Result<Option<MigrationDetail>, StoreError> {
    let Some(found) = migration_now(conn, account, id, now)? else {
        return Ok(None);
    };
    let NowOf {
        migration,
        job,
        queue,
        trial,
        checks,
    } = found;
    let Some(linode) = linode::linode(conn, migration.linode_id)? else {
        return Ok(None);
    };
    let mut hosts: Vec<Host> = schema::hosts::table
        .filter(schema::hosts::id.eq_any([migration.source_host_id, migration.destination_host_id]))
        .select(Host::as_select())
        .load(conn)?;
    let mut take = |id: HostId| {
        hosts
            .iter()
            .position(|host| host.id == id)
            .map(|at| hosts.swap_remove(at))
    };
    let (Some(source), Some(destination)) = (
        take(migration.source_host_id),
        take(migration.destination_host_id),
    ) else {
        return Err(StoreError::Data(format!(
            "migration {id} names a host that does not exist"
        )));
    };
    let child = schema::migrations::table
        .filter(schema::migrations::parent_id.eq(id))
        .order(schema::migrations::id.desc())
        .select(Migration::as_select())
        .at_most::<1>()
        .get_result(conn)
        .optional()?;
    let checks = match checks {
        Some(run) => Some((run, check::answers(conn, id)?)),
        None => None,
    };
    let may_try = match migration.state {
        MigrationState::Holding => trial::may_begin(conn, &migration)?,
        _ => Err(NotNow::NotInStep),
    };
    let digests = migration::digests(conn, id)?;
    let has_receipt = migration.finished_at.is_some()
        && (!digests.is_empty() || receipt::body(conn, id)?.is_some());
    Ok(Some(MigrationDetail {
        events: migration::events(conn, id)?,
        digests,
        has_receipt,
        disks: linode::disk::disks_of(conn, linode.id)?,
        migration,
        linode,
        source,
        destination,
        job,
        child,
        checks,
        queue,
        trial,
        may_try,
    }))
}

/// Bytes on the wire and seconds of the last finished migrations, for a rate to promise from: at most 20.
pub fn recent_moves(conn: &mut Db) -> Result<Vec<Migration>, StoreError> {
    Ok(schema::migrations::table
        .filter(schema::migrations::finished_at.is_not_null())
        .order(schema::migrations::id.desc())
        .select(Migration::as_select())
        .at_most::<20>()
        .load(conn)?)
}
