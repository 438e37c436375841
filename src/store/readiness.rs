//! The rows behind the readiness figures.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::db::{Both, Db};
use super::error::Result;
use super::fairness::Summary;
use super::fairness::pack::DAY_STEP;
use super::schema::{
    bug_events, bugs, host_fairness, hosts, jobs, migration_events, migrations, readiness_limits,
};
use crate::domain::bug::Changed;
use crate::domain::ids::MigrationId;
use crate::domain::job::JobState;
use crate::domain::migration::{MigrationKind, MigrationState, down_s};
use crate::domain::platform;
use crate::domain::readiness::backlog::{BugChange, BugNow};
use crate::domain::readiness::verdict::Limits;
use crate::domain::readiness::{FailedTry, Move};
use crate::domain::time::Time;
use crate::store::limit::Limit;

/// Rows of each kind that one page may be made from.
const MOST: i64 = 200_000;
const DAY: i64 = 86_400;

#[derive(Queryable)]
struct Row {
    id: MigrationId,
    kind: MigrationKind,
    state: MigrationState,
    started: Option<Time>,
    stopped: Option<Time>,
    running: Option<Time>,
    finished: Option<Time>,
    ran: bool,
}

impl Row {
    /// `failed`: when its tries failed; the last is the last.
    fn into_move(self, failed: &[Time]) -> Option<Move> {
        let started = self.started?;
        // Of the last try: what another one left is not its.
        let stopped = self.stopped.filter(|at| *at >= started);
        // A try that failed after the stop ended with the Linode started again at its source.
        let over = self.finished.or_else(|| failed.last().copied());
        let over = over.filter(|over| stopped.is_some_and(|at| *over >= at));
        Some(Move {
            id: self.id,
            kind: self.kind,
            state: self.state,
            started,
            tries_failed: u32::try_from(failed.len()).unwrap_or(u32::MAX),
            down_s: down_s(self.ran, stopped, self.running, over),
        })
    }
}

/// Moves whose last try was started at or after `since`, ways back aside, and all tries that failed since then.
pub fn moves(conn: &mut Db, since: Time) -> Result<(Vec<Move>, Vec<FailedTry>)> {
    let tries: Vec<(MigrationId, MigrationKind, Time)> = migration_events::table
        .inner_join(migrations::table)
        .filter(migration_events::state.eq(MigrationState::Failed))
        .filter(migration_events::at.ge(since))
        .filter(migrations::kind.ne(MigrationKind::Return))
        .order(migration_events::at)
        .select((
            migration_events::migration_id,
            migrations::kind,
            migration_events::at,
        ))
        .at_most::<MOST>()
        .load(conn)?;
    let mut failed: HashMap<MigrationId, Vec<Time>> = HashMap::new();
    for (id, _, at) in &tries {
        failed.entry(*id).or_default().push(*at);
    }
    let rows: Vec<Row> = migrations::table
        .filter(migrations::started_at.ge(since))
        .filter(migrations::kind.ne(MigrationKind::Return))
        .order(migrations::started_at)
        .select((
            migrations::id,
            migrations::kind,
            migrations::state,
            migrations::started_at,
            migrations::stopped_at,
            migrations::running_at,
            migrations::finished_at,
            migrations::was_running,
        ))
        .at_most::<MOST>()
        .load(conn)?;
    let moves = rows.into_iter().filter_map(|row| {
        let failed = failed.get(&row.id).map_or(&[][..], Vec::as_slice);
        row.into_move(failed)
    });
    let tries = tries.iter().map(|(_, kind, at)| FailedTry {
        kind: *kind,
        at: *at,
    });
    Ok((moves.collect(), tries.collect()))
}

/// Downtimes foretold and measured since then, in milliseconds, of Linodes whose agents say when they had been started.
pub fn foretold(conn: &mut Db, since: Time) -> Result<Vec<(i64, i64)>> {
    let rows: Vec<(i64, Time, Time)> = migrations::table
        .filter(migrations::finished_at.ge(since))
        .filter(migrations::was_running.eq(true))
        .filter(migrations::foretold_ms.is_not_null())
        .filter(migrations::stopped_at.is_not_null())
        .filter(migrations::running_at.is_not_null())
        .order(migrations::id.desc())
        .select((
            migrations::foretold_ms.assume_not_null(),
            migrations::stopped_at.assume_not_null(),
            migrations::running_at.assume_not_null(),
        ))
        .at_most::<MOST>()
        .load(conn)?;
    let pair = |(told, stopped, running): (i64, Time, Time)| (told, running.millis_since(stopped));
    Ok(rows
        .into_iter()
        .map(pair)
        .filter(|(_, was)| *was >= 0)
        .collect())
}

/// What the beta must come up to, with when that was changed last; `None`: never.
pub fn limits(conn: &mut Db) -> Result<(Limits, Option<Time>)> {
    type Row = (i64, i64, i64, i64, i64, i64, i64, i64, i64, Time);
    let found: Option<Row> = readiness_limits::table
        .find(1_i64)
        .select((
            readiness_limits::moves_least,
            readiness_limits::reached_least_percent,
            readiness_limits::serious_bugs_most,
            readiness_limits::down_median_most_s,
            readiness_limits::down_p90_most_s,
            readiness_limits::unfair_hosts_most,
            readiness_limits::went_back_most_percent,
            readiness_limits::failed_jobs_most,
            readiness_limits::silent_hosts_most,
            readiness_limits::changed_at,
        ))
        .get_result(conn)
        .optional()?;
    Ok(match found {
        None => (Limits::default(), None),
        Some((moves, reached, bugs, median, p90, unfair, back, jobs, silent, changed)) => {
            let values = [
                moves, reached, bugs, median, p90, unfair, back, jobs, silent,
            ];
            (Limits::from(values), Some(changed))
        }
    })
}

pub fn set_limits(conn: &mut Db, to: &Limits, now: Time) -> Result<()> {
    let set = (
        readiness_limits::moves_least.eq(to.moves_least),
        readiness_limits::reached_least_percent.eq(to.reached_least_percent),
        readiness_limits::serious_bugs_most.eq(to.serious_bugs_most),
        readiness_limits::down_median_most_s.eq(to.down_median_most_s),
        readiness_limits::down_p90_most_s.eq(to.down_p90_most_s),
        readiness_limits::unfair_hosts_most.eq(to.unfair_hosts_most),
        readiness_limits::went_back_most_percent.eq(to.went_back_most_percent),
        readiness_limits::failed_jobs_most.eq(to.failed_jobs_most),
        readiness_limits::silent_hosts_most.eq(to.silent_hosts_most),
        readiness_limits::changed_at.eq(now),
    );
    Both(
        diesel::insert_into(readiness_limits::table)
            .values((readiness_limits::id.eq(1_i64), set))
            .on_conflict(readiness_limits::id)
            .do_update()
            .set(set),
    )
    .execute(conn)?;
    Ok(())
}

#[diesel::dsl::auto_type]
fn failed_since(since: Time) -> _ {
    let failed: JobState = JobState::Failed;
    jobs::state.eq(failed).and(jobs::finished_at.ge(since))
}

/// Jobs that failed since then, and were not given another try.
pub fn failed_jobs(conn: &mut Db, since: Time) -> Result<i64> {
    let all = jobs::table.filter(failed_since(since)).count();
    Ok(all.get_result(conn)?)
}

/// … those of them on hosts of the platform that the programme moves to.
pub fn failed_jobs_there(conn: &mut Db, since: Time) -> Result<i64> {
    let there = jobs::table
        .inner_join(hosts::table)
        .filter(failed_since(since))
        .filter(hosts::platform.eq(platform::TO));
    Ok(there.count().get_result(conn)?)
}

/// All bugs as they are now, and what was changed of them since then, newest first.
pub fn bugs_since(conn: &mut Db, since: Time) -> Result<(Vec<BugNow>, Vec<BugChange>)> {
    let rows = bugs::table
        .order(bugs::id)
        .select((bugs::id, bugs::opened_at, bugs::state, bugs::severity))
        .at_most::<MOST>()
        .load(conn)?
        .into_iter()
        .map(|(id, opened_at, state, severity)| BugNow {
            id,
            opened_at,
            state,
            severity,
        });
    let rows: Vec<BugNow> = rows.collect();
    let changes = bug_events::table
        .filter(bug_events::at.ge(since))
        .filter(bug_events::what.eq_any([Changed::State, Changed::Severity]))
        .order((bug_events::at.desc(), bug_events::id.desc()))
        .select((
            bug_events::bug_id,
            bug_events::what,
            bug_events::before,
            bug_events::at,
        ))
        .at_most::<MOST>()
        .load(conn)?
        .into_iter()
        .map(|(bug, what, before, at)| BugChange {
            bug,
            what,
            before,
            at,
        });
    Ok((rows, changes.collect()))
}

/// How a host divided its CPU in one week.
#[derive(Debug, Clone, QueryableByName)]
pub struct HostWeek {
    /// Which, counted from the first Monday of 1970.
    #[diesel(sql_type = BigInt)]
    pub week: i64,
    #[diesel(embed)]
    pub summary: Summary,
}

/// Every host with samples, week by week, from a moment on (seconds since 1970): days as far as they are made, and what came
/// after the last of them.
pub fn fairness_by_week(conn: &mut Db, from: i64) -> Result<Vec<HostWeek>> {
    // 345600 s into 1970 its first Monday began. Literal steps, so that the index is used for each part.
    const SQL: &str = "SELECT (slot - 345600) / 604800 AS week, host_id, \
        CAST(SUM(judged_ms) AS BIGINT) AS judged_ms, CAST(SUM(contended_ms) AS BIGINT) AS contended_ms, \
        CAST(SUM(CASE WHEN guests > 0 THEN contended_ms ELSE 0 END) AS BIGINT) AS compared_ms, \
        CAST(SUM(CASE WHEN guests > 0 THEN jain * contended_ms ELSE 0 END) AS BIGINT) AS jain_ms, \
        CAST(SUM(CASE WHEN guests > 0 THEN least_ratio * contended_ms ELSE 0 END) AS BIGINT) AS least_ms \
        FROM (SELECT * FROM host_fairness WHERE step = 86400 AND slot >= $1 \
        UNION ALL SELECT * FROM host_fairness WHERE step = 600 AND slot >= $2) AS parts \
        GROUP BY 1, host_id ORDER BY 1, host_id";
    let last: Option<i64> = host_fairness::table
        .filter(host_fairness::step.eq(DAY))
        .select(diesel::dsl::max(host_fairness::slot))
        .at_most::<1>()
        .get_result(conn)?;
    let after = last.map_or(from, |slot| (slot + DAY).max(from));
    debug_assert_eq!(DAY_STEP, 600);
    let query = diesel::sql_query(SQL)
        .bind::<BigInt, _>(from)
        .bind::<BigInt, _>(after);
    Ok(match conn {
        Db::Pg(conn) => query.load(conn)?,
        Db::Sqlite(conn) => query.load(conn)?,
    })
}
