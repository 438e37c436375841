//! What is still to be told of bugs: new ones to staff, replies to those whom a thread concerns.

use diesel::prelude::*;

use crate::domain::ids::{BugId, BugPostId, UserId};
use crate::domain::time::Time;
use crate::store::db::{Both, Db, by_key};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{bug_digests, bug_posts, bugs};

/// The telling of a thread's replies: in rounds, each in pieces of some readers.
#[derive(Debug, Clone, Copy, Queryable, Selectable)]
#[diesel(table_name = bugs)]
pub struct Round {
    pub id: BugId,
    /// The last reply that was told.
    pub news_post: i64,
    /// The last that this round tells; 0: it has not begun.
    pub news_until: i64,
    /// The last reader it has reached.
    pub news_reader: i64,
}

/// A reply is there: it is told at once, or `every_s` seconds after the round before. Call it before the reply is written:
/// the bug's row is locked by it, so that replies of a thread become visible in the order of their ids.
pub fn announce(conn: &mut Db, bug: BugId, now: Time, every_s: i64) -> Result<()> {
    let (due, last): (Option<Time>, Option<Time>) = {
        let row = bugs::table
            .find(bug)
            .select((bugs::news_due, bugs::news_at));
        match conn {
            Db::Pg(pg) => row.for_update().get_result(pg)?,
            Db::Sqlite(lite) => row.get_result(lite)?,
        }
    };
    let at = last.map_or(now, |last| now.max(last.plus_s(every_s)));
    diesel::update(bugs::table.find(bug))
        .set((
            bugs::changed_at.eq(now),
            bugs::news_due.eq(due.unwrap_or(at)),
        ))
        .execute(conn)?;
    Ok(())
}

/// A thread with replies to tell, held until the end of the transaction.
pub fn take_due(conn: &mut Db, now: Time) -> Result<Option<Round>> {
    let due = bugs::table
        .filter(bugs::news_due.le(now))
        .order(bugs::news_due)
        .select(bugs::id);
    let id: Option<BugId> = match conn {
        Db::Pg(pg) => due.for_update().skip_locked().at_most::<1>().get_result(pg),
        Db::Sqlite(lite) => due.at_most::<1>().get_result(lite),
    }
    .optional()?;
    let Some(id) = id else { return Ok(None) };
    Ok(by_key!(conn, bugs, id, Round))
}

pub fn is_due(conn: &mut Db, now: Time) -> Result<bool> {
    let first: Option<BugId> = bugs::table
        .filter(bugs::news_due.le(now))
        .order(bugs::news_due)
        .select(bugs::id)
        .one(conn)?;
    Ok(first.is_some())
}

pub fn last_post(conn: &mut Db, bug: BugId) -> Result<i64> {
    let last: Option<BugPostId> = bug_posts::table
        .filter(bug_posts::bug_id.eq(bug))
        .order(bug_posts::id.desc())
        .select(bug_posts::id)
        .one(conn)?;
    Ok(last.map_or(0, |last| last.0))
}

/// The next piece of this round goes on after this reader.
pub fn go_on(conn: &mut Db, round: &Round, until: i64, reader: UserId) -> Result<()> {
    diesel::update(bugs::table.find(round.id))
        .set((bugs::news_until.eq(until), bugs::news_reader.eq(reader.0)))
        .execute(conn)?;
    Ok(())
}

/// The round is done; `next`: when the next one may begin, if there are replies for it.
pub fn end(conn: &mut Db, round: &Round, until: i64, now: Time, next: Option<Time>) -> Result<()> {
    diesel::update(bugs::table.find(round.id))
        .set((
            bugs::news_post.eq(until),
            bugs::news_until.eq(0),
            bugs::news_reader.eq(0),
            bugs::news_at.eq(now),
            bugs::news_due.eq(next),
        ))
        .execute(conn)?;
    Ok(())
}

/// Replies of a round that everybody may read, in order: at most `limit`.
pub fn posts(
    conn: &mut Db,
    bug: BugId,
    (after, until): (i64, i64),
    limit: i64,
) -> Result<Vec<super::Post>> {
    Ok(bug_posts::table
        .filter(bug_posts::bug_id.eq(bug))
        .filter(bug_posts::id.gt(BugPostId(after)))
        .filter(bug_posts::id.le(BugPostId(until)))
        .filter(bug_posts::hidden_at.is_null())
        .order(bug_posts::id)
        .select(super::Post::as_select())
        .limited(limit)
        .load(conn)?)
}

// New bugs.

/// Bugs that staff were not told of, oldest first: at most `limit`.
pub fn untold(conn: &mut Db, limit: i64) -> Result<Vec<(BugId, String)>> {
    Ok(bugs::table
        // As the index says it.
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("NOT bugs.told"))
        .order(bugs::id)
        .select((bugs::id, bugs::title))
        .limited(limit)
        .load(conn)?)
}

pub fn mark_told(conn: &mut Db, of: &[BugId]) -> Result<()> {
    for some in of.chunks(500) {
        diesel::update(bugs::table.filter(bugs::id.eq_any(some.to_vec())))
            .set(bugs::told.eq(true))
            .execute(conn)?;
    }
    Ok(())
}

pub fn last_digest(conn: &mut Db) -> Result<Option<Time>> {
    Ok(bug_digests::table
        .find(1)
        .select(bug_digests::at)
        .get_result(conn)
        .optional()?)
}

pub fn note_digest(conn: &mut Db, now: Time) -> Result<()> {
    let sql = diesel::insert_into(bug_digests::table)
        .values((bug_digests::id.eq(1), bug_digests::at.eq(now)))
        .on_conflict(bug_digests::id)
        .do_update()
        .set(bug_digests::at.eq(now));
    Both(sql).execute(conn)?;
    Ok(())
}
