//! What staff hide of a bug, and what is searched of it then.

use diesel::prelude::*;

use crate::domain::bug::Part;
use crate::domain::ids::{BugId, BugPostId, UserId};
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{bug_files, bug_posts, bugs};
use crate::store::search;

/// Who hides something, when, and why.
#[derive(Debug, Clone, Copy)]
pub struct Hiding<'a> {
    pub by: UserId,
    pub at: Time,
    pub reason: &'a str,
}

/// Hides a part of a bug, or shows it again (`None`); `false` if it is so already, or if the bug has no such part.
pub fn set(conn: &mut Db, bug: BugId, part: Part, to: Option<Hiding<'_>>) -> Result<bool> {
    let is_hidden = to.is_none();
    let (at, by) = (to.map(|it| it.at), to.map(|it| it.by));
    let reason = to.map_or("", |it| it.reason);
    let changed = match part {
        Part::Opening => diesel::update(
            bugs::table
                .find(bug)
                .filter(bugs::hidden_at.is_not_null().eq(is_hidden)),
        )
        .set((
            bugs::hidden_at.eq(at),
            bugs::hidden_by.eq(by),
            bugs::hidden_reason.eq(reason),
        ))
        .execute(conn)?,
        Part::Post(id) => diesel::update(
            bug_posts::table
                .find(id)
                .filter(bug_posts::bug_id.eq(bug))
                .filter(bug_posts::hidden_at.is_not_null().eq(is_hidden)),
        )
        .set((
            bug_posts::hidden_at.eq(at),
            bug_posts::hidden_by.eq(by),
            bug_posts::hidden_reason.eq(reason),
        ))
        .execute(conn)?,
        Part::File(id) => diesel::update(
            bug_files::table
                .find(id)
                .filter(bug_files::bug_id.eq(bug))
                .filter(bug_files::hidden_at.is_not_null().eq(is_hidden)),
        )
        .set((
            bug_files::hidden_at.eq(at),
            bug_files::hidden_by.eq(by),
            bug_files::hidden_reason.eq(reason),
        ))
        .execute(conn)?,
    };
    Ok(changed == 1)
}

/// Is there such a part?
pub fn exists(conn: &mut Db, bug: BugId, part: Part) -> Result<bool> {
    let count: i64 = match part {
        Part::Opening => bugs::table.find(bug).count().get_result(conn)?,
        Part::Post(id) => bug_posts::table
            .find(id)
            .filter(bug_posts::bug_id.eq(bug))
            .count()
            .get_result(conn)?,
        Part::File(id) => bug_files::table
            .find(id)
            .filter(bug_files::bug_id.eq(bug))
            .count()
            .get_result(conn)?,
    };
    Ok(count == 1)
}

/// Replies that are read at a time.
const BATCH: i64 = 200;

/// From now on, what is searched of a bug is what everybody may read of it.
pub fn search_what_shows(conn: &mut Db, bug: BugId) -> Result<()> {
    search::forget_bug(conn, bug)?;
    let opening: Option<(String, String, String, String)> = bugs::table
        .find(bug)
        .filter(bugs::hidden_at.is_null())
        .select((bugs::title, bugs::happened, bugs::expected, bugs::reproduce))
        .get_result(conn)
        .optional()?;
    if let Some((title, happened, expected, reproduce)) = opening {
        let text = [title, happened, expected, reproduce].join("\n");
        search::add_bug_text(conn, bug, &text)?;
    }
    let mut after = BugPostId(0);
    loop {
        let some: Vec<(BugPostId, String)> = bug_posts::table
            .filter(bug_posts::bug_id.eq(bug))
            .filter(bug_posts::id.gt(after))
            .filter(bug_posts::hidden_at.is_null())
            .order(bug_posts::id)
            .select((bug_posts::id, bug_posts::body))
            .at_most::<BATCH>()
            .load(conn)?;
        let Some((last, _)) = some.last() else {
            return Ok(());
        };
        after = *last;
        for (_, body) in &some {
            search::add_bug_text(conn, bug, body)?;
        }
    }
}
