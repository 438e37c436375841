//! What the pages of bugs show, read in a number of queries that does not grow with the number of rows.

use std::collections::HashMap;

use super::files::{self, BugFile};
use super::{Bug, BugEvent, BugFilter, BugHead, Person, Post, links};
use crate::domain::bug::FactKind;
use crate::domain::ids::{BugId, BugPostId, UserId};
use crate::store::bug;
use crate::store::db::Db;
use crate::store::error::Result;

/// A bug in a list.
#[derive(Debug)]
pub struct BugRow {
    pub bug: BugHead,
    /// Members it hits; of a duplicate, those of the bug that is worked on.
    pub hits: i64,
    pub replies: i64,
    pub author: Option<Person>,
}

pub fn rows(
    conn: &mut Db,
    filter: &BugFilter,
    before: Option<BugId>,
    limit: i64,
) -> Result<Vec<BugRow>> {
    let found = bug::list(conn, filter, before, limit)?;
    complete(conn, found)
}

/// These bugs, in this order.
pub fn rows_of(conn: &mut Db, ids: &[BugId]) -> Result<Vec<BugRow>> {
    let mut found = bug::by_ids(conn, ids)?;
    found.sort_by_key(|bug| ids.iter().position(|id| *id == bug.id));
    complete(conn, found)
}

fn complete(conn: &mut Db, found: Vec<BugHead>) -> Result<Vec<BugRow>> {
    let roots: Vec<BugId> = found.iter().map(|bug| bug.root_id).collect();
    let ids: Vec<BugId> = found.iter().map(|bug| bug.id).collect();
    let hits = links::hits(conn, &roots)?;
    let replies = bug::replies(conn, &ids)?;
    let names = bug::names(conn, found.iter().map(|bug| bug.opened_by).collect())?;
    Ok(found
        .into_iter()
        .map(|bug| BugRow {
            hits: hits.get(&bug.root_id).copied().unwrap_or(0),
            replies: replies.get(&bug.id).copied().unwrap_or(0),
            author: names.get(&bug.opened_by).cloned(),
            bug,
        })
        .collect())
}

/// A thread with all that anyone who may see it sees; the page leaves out what its reader may not.
#[derive(Debug)]
pub struct Thread {
    pub bug: Bug,
    pub posts: Vec<Post>,
    pub events: Vec<BugEvent>,
    pub files: Vec<BugFile>,
    pub facts: Vec<(FactKind, String)>,
    pub people: HashMap<UserId, Person>,
    pub hits: i64,
    /// The reader said it hits them (or opened it, or a duplicate of it).
    pub hits_reader: bool,
    /// … and can take that back: they said so of a bug they did not open.
    pub can_undo: bool,
    /// Of a duplicate: the bug that is worked on.
    pub root: Option<(BugId, String, bool)>,
    /// With their titles, and whether those are hidden, as in `root`.
    pub duplicates: Vec<(BugId, String, bool)>,
}

pub fn thread(
    conn: &mut Db,
    id: BugId,
    reader: UserId,
    after: BugPostId,
    limit: i64,
) -> Result<Option<Thread>> {
    let Some(bug) = bug::bug(conn, id)? else {
        return Ok(None);
    };
    let posts = bug::posts(conn, id, after, limit)?;
    let events = bug::events(conn, id)?;
    let mut of: Vec<UserId> = posts.iter().map(|post| post.author_id).collect();
    of.extend(events.iter().map(|event| event.author_id));
    of.push(bug.opened_by);
    let files = files::of_bug(conn, id)?;
    of.extend(bug.hidden_by);
    of.extend(posts.iter().filter_map(|post| post.hidden_by));
    of.extend(files.iter().filter_map(|file| file.hidden_by));
    of.sort_unstable();
    of.dedup();
    let said = links::hits_user(conn, bug.root_id, reader)?;
    let root = match bug.duplicate_of {
        Some(root) => {
            bug::bug(conn, root)?.map(|root| (root.id, root.title, root.hidden_at.is_some()))
        }
        None => None,
    };
    Ok(Some(Thread {
        files,
        facts: links::facts(conn, id)?,
        people: bug::names(conn, of)?,
        hits: links::hits(conn, &[bug.root_id])?
            .get(&bug.root_id)
            .copied()
            .unwrap_or(0),
        hits_reader: !said.is_empty(),
        can_undo: said.iter().any(|opened| !opened),
        duplicates: bug::duplicates(conn, id)?,
        posts,
        events,
        root,
        bug,
    }))
}
