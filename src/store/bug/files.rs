//! Files attached to bugs. Their content is read one at a time, by [`content`].

use diesel::prelude::*;

use crate::domain::bug::attachment::{Attachment, FileKind};
use crate::domain::ids::{AccountId, BugFileId, BugId, BugPostId, UserId};
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{bug_files, bug_posts, bugs};

/// A file without its content.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = bug_files)]
pub struct BugFile {
    pub id: BugFileId,
    pub bug_id: BugId,
    /// The reply it came with; `None`: the bug itself.
    pub post_id: Option<BugPostId>,
    pub account_id: Option<AccountId>,
    pub by_staff: bool,
    pub name: String,
    pub kind: FileKind,
    pub size: i64,
    pub hidden_at: Option<Time>,
    pub hidden_by: Option<UserId>,
    pub hidden_reason: String,
}

/// Where a file belongs, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub bug: BugId,
    pub post: Option<BugPostId>,
    pub author: UserId,
    pub account: Option<AccountId>,
    pub by_staff: bool,
}

pub fn insert(conn: &mut Db, at: Place, file: &Attachment, now: Time) -> Result<()> {
    diesel::insert_into(bug_files::table)
        .values((
            bug_files::bug_id.eq(at.bug),
            bug_files::post_id.eq(at.post),
            bug_files::author_id.eq(at.author),
            bug_files::account_id.eq(at.account),
            bug_files::by_staff.eq(at.by_staff),
            bug_files::name.eq(&file.name),
            bug_files::kind.eq(file.kind),
            bug_files::size.eq(i64::try_from(file.bytes.len()).unwrap_or(i64::MAX)),
            bug_files::content.eq(&file.bytes),
            bug_files::at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Is it for staff alone: itself, or what it came with?
pub fn is_hidden(conn: &mut Db, file: &BugFile) -> Result<bool> {
    if file.hidden_at.is_some() {
        return Ok(true);
    }
    Ok(match file.post_id {
        Some(post) => bug_posts::table
            .find(post)
            .select(bug_posts::hidden_at.is_not_null())
            .get_result(conn)?,
        None => bugs::table
            .find(file.bug_id)
            .select(bugs::hidden_at.is_not_null())
            .get_result(conn)?,
    })
}

/// Takes a file out of the database, which must be hidden; `false` if there is no such.
pub fn delete_hidden(conn: &mut Db, bug: BugId, id: BugFileId) -> Result<bool> {
    Ok(diesel::delete(
        bug_files::table
            .find(id)
            .filter(bug_files::bug_id.eq(bug))
            .filter(bug_files::hidden_at.is_not_null()),
    )
    .execute(conn)?
        == 1)
}

/// How many files a thread has.
pub fn count_of(conn: &mut Db, bug: BugId) -> Result<i64> {
    Ok(bug_files::table
        .filter(bug_files::bug_id.eq(bug))
        .count()
        .get_result(conn)?)
}

/// The files of a thread: at most 500, more than which it does not get.
pub fn of_bug(conn: &mut Db, bug: BugId) -> Result<Vec<BugFile>> {
    Ok(bug_files::table
        .filter(bug_files::bug_id.eq(bug))
        .order(bug_files::id)
        .select(BugFile::as_select())
        .at_most::<500>()
        .load(conn)?)
}

/// Sizes of all that an account has attached.
pub fn sizes_of(conn: &mut Db, account: AccountId) -> Result<i64> {
    let sizes: Vec<i64> = bug_files::table
        .filter(bug_files::account_id.eq(account))
        .select(bug_files::size)
        .load(conn)?;
    Ok(sizes.into_iter().sum())
}

pub fn content(conn: &mut Db, bug: BugId, id: BugFileId) -> Result<Option<(BugFile, Vec<u8>)>> {
    Ok(bug_files::table
        .filter(bug_files::id.eq(id))
        .filter(bug_files::bug_id.eq(bug))
        .select((BugFile::as_select(), bug_files::content))
        .one(conn)?)
}
