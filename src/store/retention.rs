//! Deletes what is past its time, some of it at a time. The statements name what their indexes name: with a bound value
//! in its place neither database could tell that a partial index holds the row.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::db::Db;
use super::error::Result;
use super::schema::migrations;
use super::types::Utc;
use crate::domain::ids::MigrationId;
use crate::domain::migration::MigrationState;
use crate::domain::time::Time;
use crate::store::limit::Limit;

fn run(conn: &mut Db, sql: &str, before: Time, limit: i64) -> Result<usize> {
    let query = diesel::sql_query(sql)
        .bind::<Utc, _>(before)
        .bind::<BigInt, _>(limit);
    Ok(match conn {
        Db::Pg(conn) => query.execute(conn)?,
        Db::Sqlite(conn) => query.execute(conn)?,
    })
}

/// Ended jobs, but none of a migration that is not over: its page and its next round stand on them.
pub fn drop_jobs(conn: &mut Db, before: Time, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM jobs WHERE id IN (SELECT j.id FROM jobs j WHERE j.finished_at < $1 \
        AND j.state IN ('succeeded', 'failed', 'cancelled') AND j.id < (SELECT max(id) FROM jobs) \
        AND NOT EXISTS (SELECT 1 FROM migrations m WHERE m.id = j.migration_id \
        AND m.state NOT IN ('confirmed', 'returned', 'expired', 'cancelled')) ORDER BY j.finished_at LIMIT $2)";
    run(conn, SQL, before, limit)
}

/// Batches that are over, with what came of each of theirs; SQLite gives no number again here.
pub fn drop_batches(conn: &mut Db, before: Time, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)";
    run(conn, SQL, before, limit.min(5))
}

/// Logs of migrations that are over since then.
pub fn drop_events(conn: &mut Db, before: Time, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM migration_events WHERE id IN (SELECT e.id FROM migration_events e \
        WHERE e.at < $1 AND e.id < (SELECT max(id) FROM migration_events) \
        AND EXISTS (SELECT 1 FROM migrations m WHERE m.id = e.migration_id AND m.closed_at < $1 \
        AND m.state IN ('confirmed', 'returned', 'expired', 'cancelled')) ORDER BY e.at LIMIT $2)";
    run(conn, SQL, before, limit)
}

/// Their disks' digests, as long as their logs.
pub fn drop_digests(conn: &mut Db, before: Time, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM digests WHERE (migration_id, disk_id, side) IN (SELECT d.migration_id, d.disk_id, d.side \
        FROM digests d WHERE d.at < $1 \
        AND EXISTS (SELECT 1 FROM migrations m WHERE m.id = d.migration_id AND m.closed_at < $1 \
        AND m.state IN ('confirmed', 'returned', 'expired', 'cancelled')) ORDER BY d.at LIMIT $2)";
    run(conn, SQL, before, limit)
}

/// Their trials, as long as their logs.
pub fn drop_trials(conn: &mut Db, before: Time, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM trials WHERE id IN (SELECT t.id FROM trials t WHERE t.ended_at < $1 \
        AND EXISTS (SELECT 1 FROM migrations m WHERE m.id = t.migration_id AND m.closed_at < $1 \
        AND m.state IN ('confirmed', 'returned', 'expired', 'cancelled')) ORDER BY t.ended_at LIMIT $2)";
    run(conn, SQL, before, limit)
}

/// What stops, starts and last copies took by then.
pub fn drop_timings(conn: &mut Db, before: Time, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM timings WHERE id IN (SELECT t.id FROM timings t WHERE t.at < $1 ORDER BY t.at LIMIT $2)";
    run(conn, SQL, before, limit)
}

/// What mails said that were sent by then.
pub fn blank_bodies(conn: &mut Db, before: Time, limit: i64) -> Result<usize> {
    const SQL: &str = "UPDATE outbox SET text_body = '', html_body = '', calendar = NULL WHERE id IN (SELECT o.id FROM outbox o \
        WHERE o.sent_at < $1 AND o.state = 'sent' AND o.text_body <> '' ORDER BY o.sent_at LIMIT $2)";
    run(conn, SQL, before, limit)
}

/// Mails that were made by then, but none that still waits.
pub fn drop_mails(conn: &mut Db, before: Time, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM outbox WHERE id IN (SELECT o.id FROM outbox o WHERE o.created_at < $1 \
        AND o.state <> 'pending' AND o.id < (SELECT max(id) FROM outbox) ORDER BY o.created_at LIMIT $2)";
    run(conn, SQL, before, limit)
}

/// Links for a new password that ended by then, used or not.
pub fn drop_resets(conn: &mut Db, before: Time, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM password_resets WHERE hash IN (SELECT r.hash FROM password_resets r \
        WHERE r.expires_at < $1 ORDER BY r.expires_at LIMIT $2)";
    run(conn, SQL, before, limit)
}

/// Enrolment tokens that ended by then, used or not.
pub fn drop_enrolments(conn: &mut Db, before: Time, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM enrolment_tokens WHERE hash IN (SELECT t.hash FROM enrolment_tokens t \
        WHERE t.expires_at < $1 ORDER BY t.expires_at LIMIT $2)";
    run(conn, SQL, before, limit)
}

/// Migrations that failed by then, and that nobody has tried again. All that failed are looked at: they are few, because
/// of this.
pub fn failed_before(conn: &mut Db, before: Time, limit: i64) -> Result<Vec<MigrationId>> {
    Ok(migrations::table
        .filter(migrations::state.eq(MigrationState::Failed))
        .filter(migrations::closed_at.lt(before))
        .order(migrations::id)
        .select(migrations::id)
        .limited(limit)
        .load(conn)?)
}
