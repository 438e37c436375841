//! A wave's moves, as the gates and the scheduler look at them.

use std::collections::{BTreeSet, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use crate::domain::bug::{BugState, FactKind};
use crate::domain::ids::{BugId, HostId, MigrationId, WaveId};
use crate::domain::migration::MigrationState;
use crate::domain::placement::Link;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::domain::wave::gate::Move;
use crate::domain::wave::{WaveState, holds_moves};
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::fairness::Summary;
use crate::store::limit::Limit;
use crate::store::schema::{bug_facts, bug_migrations, bugs, migrations, wave_items, waves};
use crate::store::types::Utc;

/// Bugs that are looked at, the newest first.
const MOST_BUGS: i64 = 5000;

/// One of a wave's moves.
#[derive(Debug, Clone, QueryableByName)]
pub struct MoveRow {
    #[diesel(sql_type = BigInt)]
    pub id: MigrationId,
    #[diesel(sql_type = BigInt)]
    pub destination: HostId,
    #[diesel(sql_type = Text)]
    state: MigrationState,
    #[diesel(sql_type = Bool)]
    was_running: bool,
    #[diesel(sql_type = Nullable<Utc>)]
    stopped_at: Option<Time>,
    #[diesel(sql_type = Nullable<Utc>)]
    running_at: Option<Time>,
    #[diesel(sql_type = Nullable<Utc>)]
    finished_at: Option<Time>,
    #[diesel(sql_type = Nullable<Utc>)]
    closed_at: Option<Time>,
    #[diesel(sql_type = Nullable<BigInt>)]
    most_ms: Option<i64>,
    #[diesel(sql_type = Nullable<Utc>)]
    back_at: Option<Time>,
}

impl MoveRow {
    pub fn as_move(&self) -> Move {
        Move {
            state: self.state,
            finished_at: self.finished_at,
            closed_at: self.closed_at,
            back_at: self.back_at,
            // Where no agent says when it ran again, nothing was measured.
            down_ms: (self.running_at.zip(self.stopped_at))
                .filter(|_| self.was_running)
                .map(|(running, stopped)| running.millis_since(stopped))
                .filter(|ms| *ms >= 0),
            most_ms: self.most_ms,
        }
    }
}

/// All that a wave has given out.
pub fn all(conn: &mut Db, wave: WaveId) -> Result<Vec<MoveRow>> {
    const SQL: &str = "SELECT m.id, m.destination_host_id AS destination, m.state, m.was_running, m.stopped_at, m.running_at, \
        m.finished_at, m.closed_at, m.foretold_most_ms AS most_ms, \
        (SELECT max(c.offered_at) FROM migrations c WHERE c.parent_id = m.id) AS back_at \
        FROM wave_items i JOIN migrations m ON m.id = i.migration_id WHERE i.wave_id = $1 AND i.state = 'given'";
    let query = diesel::sql_query(SQL).bind::<BigInt, _>(wave);
    Ok(match conn {
        Db::Pg(conn) => query.load(conn)?,
        Db::Sqlite(conn) => query.load(conn)?,
    })
}

/// A move of a wave that holds its moves back.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct OfWave {
    pub migration: MigrationId,
    pub wave: WaveId,
    state: MigrationState,
    source: HostId,
    destination: HostId,
}

impl OfWave {
    /// Between which hosts it is, if it holds.
    pub fn holding(&self) -> Option<Link> {
        (self.state == MigrationState::Holding).then_some(Link {
            migration: self.migration,
            source: self.source,
            destination: self.destination,
            is_back: false,
        })
    }
}

/// Which of the moves that are queued or at work are of such a wave.
pub fn at_work(conn: &mut Db) -> Result<Vec<OfWave>> {
    const STATES: [MigrationState; 5] = [
        MigrationState::Queued,
        MigrationState::Preparing,
        MigrationState::Copying,
        MigrationState::Holding,
        MigrationState::Switching,
    ];
    Ok(wave_items::table
        .inner_join(migrations::table)
        .inner_join(waves::table)
        .filter(migrations::state.eq_any(STATES))
        .filter(waves::state.eq_any(WaveState::those(holds_moves)))
        .select((
            migrations::id,
            waves::id,
            migrations::state,
            migrations::source_host_id,
            migrations::destination_host_id,
        ))
        .load(conn)?)
}

/// The wave that holds this move back, if it is of one that is not over: its number and name.
pub fn wave_of(conn: &mut Db, of: MigrationId) -> Result<Option<(WaveId, String, WaveState)>> {
    Ok(wave_items::table
        .inner_join(waves::table)
        .filter(wave_items::migration_id.eq(of))
        .select((waves::id, waves::name, waves::state))
        .at_most::<1>()
        .get_result(conn)
        .optional()?)
}

/// How many open bugs name one of these moves since then: by what their authors sent along, or by staff's word.
pub fn bugs_naming(conn: &mut Db, moves: &[MoveRow], since: Time) -> Result<i64> {
    let ids: HashSet<MigrationId> = moves.iter().map(|it| it.id).collect();
    let open = || BugState::those(BugState::is_open);
    let said: Vec<(BugId, String)> = bugs::table
        .inner_join(bug_facts::table.on(bug_facts::bug_id.eq(bugs::id)))
        .filter(bugs::state.eq_any(open()))
        .filter(bugs::opened_at.ge(since))
        .filter(bug_facts::kind.eq(FactKind::Migration))
        .order(bugs::id.desc())
        .select((bugs::id, bug_facts::value))
        .at_most::<MOST_BUGS>()
        .load(conn)?;
    let linked: Vec<(BugId, MigrationId)> = bug_migrations::table
        .inner_join(bugs::table)
        .filter(bugs::state.eq_any(open()))
        .filter(bug_migrations::at.ge(since))
        .order(bugs::id.desc())
        .select((bugs::id, bug_migrations::migration_id))
        .at_most::<MOST_BUGS>()
        .load(conn)?;
    // The fact is in words that begin with the number.
    let number = |words: &str| {
        let digits = words
            .split(|c: char| !c.is_ascii_digit())
            .find(|it| !it.is_empty());
        digits.and_then(|it| it.parse().ok()).map(MigrationId)
    };
    let named: BTreeSet<BugId> = said
        .iter()
        .filter_map(|(bug, words)| Some((*bug, number(words)?)))
        .chain(linked)
        .filter(|(_, id)| ids.contains(id))
        .map(|(bug, _)| bug)
        .collect();
    Ok(i64::try_from(named.len()).unwrap_or(i64::MAX))
}

/// How these hosts divided their CPU in a time, in steps of so many seconds.
pub fn fairness(
    conn: &mut Db,
    hosts: &BTreeSet<HostId>,
    step: i64,
    (from, until): (i64, i64),
) -> Result<Vec<Summary>> {
    if hosts.is_empty() {
        return Ok(Vec::new());
    }
    // Numbers alone, so nothing of a text can get in.
    let ids: Vec<String> = hosts.iter().map(|host| host.0.to_string()).collect();
    let sql = format!(
        "SELECT host_id, CAST(SUM(judged_ms) AS BIGINT) AS judged_ms, CAST(SUM(contended_ms) AS BIGINT) AS contended_ms, \
        CAST(SUM(CASE WHEN guests > 0 THEN contended_ms ELSE 0 END) AS BIGINT) AS compared_ms, \
        CAST(SUM(CASE WHEN guests > 0 THEN jain * contended_ms ELSE 0 END) AS BIGINT) AS jain_ms, \
        CAST(SUM(CASE WHEN guests > 0 THEN least_ratio * contended_ms ELSE 0 END) AS BIGINT) AS least_ms \
        FROM host_fairness WHERE host_id IN ({}) AND step = $1 AND slot >= $2 AND slot < $3 GROUP BY host_id",
        ids.join(",")
    );
    let query = diesel::sql_query(sql)
        .bind::<BigInt, _>(step)
        .bind::<BigInt, _>(from)
        .bind::<BigInt, _>(until);
    Ok(match conn {
        Db::Pg(conn) => query.load(conn)?,
        Db::Sqlite(conn) => query.load(conn)?,
    })
}
