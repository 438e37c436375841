//! A host that staff empty: its Linodes as the planner wants them, the rows that move them, and how far it is. A fixed
//! number of queries, however many Linodes there are.

use diesel::prelude::*;

use super::db::{Db, columns};
use super::error::Result;
use super::graduation::{self, Row, Which};
use super::migration::{Migration, NewMigration};
use super::schema::{linodes, migrations};
use crate::domain::evacuation::{Candidate, Stands};
use crate::domain::ids::{HostId, LinodeId};
use crate::domain::migration::{self, BEFORE_THE_STOP, MigrationKind, MigrationState};
use crate::domain::programme::move_times::time_reminder;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store::limit::Limit;

/// The Linodes on this host, or those of `only` that are.
pub fn residents(conn: &mut Db, host: HostId, only: Option<&[LinodeId]>) -> Result<Vec<Candidate>> {
    let which = only.map_or(Which::On(host), |ids| Which::TheseOn(host, ids));
    Ok(graduation::rows(conn, which)?
        .into_iter()
        .map(|row| Candidate {
            stands: stands(&row),
            linode: row.linode,
            label: row.label,
            account: row.account,
            plan: row.plan,
            plan_label: row.plan_label,
            memory_mb: row.memory_mb,
            disk_mb: row.disk_mb,
            kernels: row.kernels,
        })
        .collect())
}

fn stands(row: &Row) -> Stands {
    if let Some(live) = row.moves.iter().find(|it| migration::is_live(it.state)) {
        return match (live.state, live.kind) {
            (MigrationState::Offered, _) => Stands::Free {
                offer: Some(live.id),
            },
            (state, MigrationKind::Evacuation) if live.from == row.host => Stands::Evacuating {
                migration: live.id,
                to: live.to,
                at: live.not_before.filter(|_| BEFORE_THE_STOP.contains(&state)),
            },
            _ => Stands::Moving(live.id),
        };
    }
    row.moves
        .iter()
        .find(|it| it.is_open(row))
        .map_or(Stands::Free { offer: None }, |open| {
            Stands::WayBackOpen(open.id)
        })
}

/// Has it been moved off this host by staff, so that asking for that again is asking for what is done?
pub fn was_moved_off(conn: &mut Db, host: HostId, linode: LinodeId) -> Result<bool> {
    let moved = [MigrationState::Finished, MigrationState::Confirmed];
    let found = migrations::table
        .filter(migrations::linode_id.eq(linode))
        .filter(migrations::kind.eq(MigrationKind::Evacuation))
        .filter(migrations::source_host_id.eq(host))
        .filter(migrations::state.eq_any(moved));
    Ok(diesel::select(diesel::dsl::exists(found)).get_result(conn)?)
}

/// Fails with a duplicate if the Linode has a live migration. `reason`: for its members; `times`: it is not stopped before the
/// second, and copying begins at the first.
pub fn insert(
    conn: &mut Db,
    new: &NewMigration,
    reason: &str,
    times: Option<(Time, Time)>,
) -> Result<Migration> {
    let (begins, at) = times.unzip();
    let remind_at = at.and_then(|at| time_reminder(at, new.offered_at));
    Ok(diesel::insert_into(migrations::table)
        .values((
            new,
            migrations::reason.eq(reason),
            migrations::not_before.eq(at),
            migrations::begin_at.eq(begins),
            migrations::remind_at.eq(remind_at),
        ))
        .returning(columns::<Migration>())
        .get_result(conn)?)
}

/// How far it is, from the rows made since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub moved: i64,
    /// Moved, and taken back by staff.
    pub went_back: i64,
    pub moving: i64,
    /// Queued, those that wait for their time included.
    pub waiting: i64,
    /// … of them until it is time to begin.
    pub timed: i64,
    pub failed: i64,
    pub cancelled: i64,
}

pub fn progress(conn: &mut Db, host: HostId, since: Time, now: Time) -> Result<Progress> {
    use MigrationState as S;
    let counts: Vec<(S, i64)> = migrations::table
        .filter(migrations::kind.eq(MigrationKind::Evacuation))
        .filter(migrations::source_host_id.eq(host))
        .filter(migrations::offered_at.ge(since))
        .group_by(migrations::state)
        .select((migrations::state, diesel::dsl::count_star()))
        .load(conn)?;
    let timed = migrations::table
        .filter(migrations::kind.eq(MigrationKind::Evacuation))
        .filter(migrations::source_host_id.eq(host))
        .filter(migrations::offered_at.ge(since))
        .filter(migrations::state.eq(S::Queued))
        .filter(migrations::begin_at.gt(now))
        .count()
        .get_result(conn)?;
    let mut progress = Progress {
        timed,
        ..Progress::default()
    };
    for (state, count) in counts {
        let slot = match state {
            S::Finished | S::Confirmed => &mut progress.moved,
            S::Returning | S::Returned => &mut progress.went_back,
            S::Preparing | S::Copying | S::Holding | S::Switching => &mut progress.moving,
            S::Queued => &mut progress.waiting,
            S::Failed => &mut progress.failed,
            S::Offered | S::Expired | S::Cancelled => &mut progress.cancelled,
        };
        *slot += count;
    }
    Ok(progress)
}

/// What still hangs on a host besides the Linodes on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hanging {
    /// Moves that left it and are not confirmed: it keeps their disks.
    pub ways_back: i64,
    /// The last of these windows ends then.
    pub until: Option<Time>,
    /// Moves on their way to it.
    pub coming: i64,
}

pub fn hanging(conn: &mut Db, host: HostId) -> Result<Hanging> {
    let open = MigrationState::those(migration::has_way_back);
    let (ways_back, until) = migrations::table
        .inner_join(linodes::table)
        .filter(migrations::source_host_id.eq(host))
        .filter(migrations::state.eq_any(open))
        .filter(migrations::kind.ne(MigrationKind::Return))
        .filter(linodes::host_id.ne(host))
        .select((
            diesel::dsl::count_star(),
            diesel::dsl::max(migrations::way_back_until),
        ))
        .at_most::<1>()
        .get_result(conn)?;
    let live = MigrationState::those(migration::is_live);
    let coming = migrations::table
        .inner_join(linodes::table)
        .filter(migrations::destination_host_id.eq(host))
        .filter(migrations::state.eq_any(live))
        .filter(linodes::host_id.ne(host))
        .count()
        .get_result(conn)?;
    Ok(Hanging {
        ways_back,
        until,
        coming,
    })
}
