//! How long hosts were silent, by day: what the reconciler saw of them. A row per host and day on which one was silent, kept
//! as long as other figures.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::domain::host::HostState;
use crate::domain::ids::HostId;
use crate::domain::time::Time;
use crate::store::db::{Both, Db};
use crate::store::error::Result;
use crate::store::schema::{host_silence, hosts, silence_looks};
use crate::store::types::Utc;

/// Hosts that should speak and do not: they take part (enabled, or draining), their agent was heard of before `since`, and
/// not since.
#[diesel::dsl::auto_type]
pub fn is_silent(since: Time) -> _ {
    let taking_part: [HostState; 2] = HostState::TAKING_PART;
    hosts::state
        .eq_any(taking_part)
        .and(hosts::last_seen_at.lt(since))
}

pub fn count(conn: &mut Db, since: Time) -> Result<i64> {
    Ok(hosts::table
        .filter(is_silent(since))
        .count()
        .get_result(conn)?)
}

pub fn now_silent(conn: &mut Db, since: Time) -> Result<Vec<HostId>> {
    Ok(hosts::table
        .filter(is_silent(since))
        .select(hosts::id)
        .load(conn)?)
}

/// The server's time, which is one for all portals. None on SQLite, whose portals share their machine's.
pub fn server_time(conn: &mut Db) -> Result<Option<Time>> {
    match conn {
        Db::Pg(pg) => {
            let now = diesel::dsl::sql::<Utc>("clock_timestamp()");
            Ok(Some(diesel::select(now).get_result(pg)?))
        }
        Db::Sqlite(_) => Ok(None),
    }
}

/// When it was first looked, and when last.
pub fn looks(conn: &mut Db) -> Result<Option<(Time, Time)>> {
    Ok(silence_looks::table
        .find(1_i64)
        .select((silence_looks::began_at, silence_looks::looked_at))
        .get_result(conn)
        .optional()?)
}

/// Notes that it was looked now; `false` if another portal did since `last`.
pub fn take_look(conn: &mut Db, last: Option<Time>, now: Time) -> Result<bool> {
    let hit = match last {
        Some(last) => diesel::update(
            silence_looks::table
                .find(1_i64)
                .filter(silence_looks::looked_at.eq(last)),
        )
        .set(silence_looks::looked_at.eq(now))
        .execute(conn)?,
        None => Both(
            diesel::insert_into(silence_looks::table)
                .values((
                    silence_looks::id.eq(1_i64),
                    silence_looks::began_at.eq(now),
                    silence_looks::looked_at.eq(now),
                ))
                .on_conflict_do_nothing(),
        )
        .execute(conn)?,
    };
    Ok(hit == 1)
}

/// `seconds` more of silence of these hosts on a day.
pub fn add(conn: &mut Db, day: i64, of: &[HostId], seconds: i64) -> Result<()> {
    for host in of {
        let known = host_silence::table.find((day, *host));
        let hit = diesel::update(known)
            .set(host_silence::silent_s.eq(host_silence::silent_s + seconds))
            .execute(conn)?;
        if hit == 0 {
            diesel::insert_into(host_silence::table)
                .values((
                    host_silence::day.eq(day),
                    host_silence::host_id.eq(*host),
                    host_silence::silent_s.eq(seconds),
                ))
                .execute(conn)?;
        }
    }
    Ok(())
}

pub fn forget(conn: &mut Db, before: i64) -> Result<usize> {
    Ok(diesel::delete(host_silence::table.filter(host_silence::day.lt(before))).execute(conn)?)
}

/// A week's silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct SilentWeek {
    /// Which, counted from the first Monday of 1970.
    #[diesel(sql_type = BigInt)]
    pub week: i64,
    /// Hosts that were silent at some time in it.
    #[diesel(sql_type = BigInt)]
    pub hosts: i64,
    /// All their seconds together.
    #[diesel(sql_type = BigInt)]
    pub seconds: i64,
}

/// From a day on; a week without silence has no row.
pub fn by_week(conn: &mut Db, from_day: i64) -> Result<Vec<SilentWeek>> {
    // Day 4 of 1970 was its first Monday.
    const SQL: &str = "SELECT (day - 4) / 7 AS week, COUNT(DISTINCT host_id) AS hosts, \
        CAST(SUM(silent_s) AS BIGINT) AS seconds FROM host_silence WHERE day >= $1 GROUP BY 1 ORDER BY 1";
    let query = diesel::sql_query(SQL).bind::<BigInt, _>(from_day);
    Ok(match conn {
        Db::Pg(conn) => query.load(conn)?,
        Db::Sqlite(conn) => query.load(conn)?,
    })
}
