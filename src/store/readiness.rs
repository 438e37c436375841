//! The rows behind the readiness figures.

use diesel::prelude::*;

use super::db::{Db, StoreError};
use super::migrations::down_s;
use super::schema::{hosts, migrations};
use super::schema_board::bugs;
use crate::domain::bug::{BugState, Severity};
use crate::domain::readiness::Move;
use crate::domain::time::Time;
use crate::domain::words::{MigrationKind, MigrationState};

/// Moves that one page may be made from.
const MOST: i64 = 200_000;

type Row = (
    MigrationKind,
    MigrationState,
    Option<Time>,
    Option<Time>,
    Option<Time>,
    Option<Time>,
    bool,
);

/// Moves started at or after `since`, ways back aside.
pub fn moves(conn: &mut Db, since: Time) -> Result<Vec<Move>, StoreError> {
    let rows: Vec<Row> = migrations::table
        .filter(migrations::started_at.ge(since))
        .filter(migrations::kind.ne(MigrationKind::Return))
        .order(migrations::started_at)
        .limit(MOST)
        .select((
            migrations::kind,
            migrations::state,
            migrations::started_at,
            migrations::stopped_at,
            migrations::running_at,
            migrations::finished_at,
            migrations::was_running,
        ))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .filter_map(|(kind, state, started, stopped, running, finished, ran)| {
            Some(Move {
                kind,
                state,
                started: started?,
                down_s: down_s(ran, stopped, running, finished),
            })
        })
        .collect())
}

/// Hosts that were heard from once, and not since `since`.
pub fn silent_hosts(conn: &mut Db, since: Time) -> Result<i64, StoreError> {
    Ok(hosts::table
        .filter(hosts::last_seen_at.lt(since))
        .count()
        .get_result(conn)?)
}

/// Open bugs, counted by state and severity.
pub fn open_bugs(conn: &mut Db) -> Result<Vec<(BugState, Severity, i64)>, StoreError> {
    let open = [BugState::New, BugState::Confirmed, BugState::InProgress];
    Ok(bugs::table
        .filter(bugs::state.eq_any(open))
        .group_by((bugs::state, bugs::severity))
        .select((bugs::state, bugs::severity, diesel::dsl::count_star()))
        .load(conn)?)
}
