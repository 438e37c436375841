//! Bugs with their posts, events, hits, facts and links. Lists are newest first, read a page at a time, and their parts in a
//! fixed number of queries. Staff's notes are read by [`notes`] and by nothing else.

pub mod digest;
pub mod files;
pub mod links;
pub mod moderation;
pub mod page;

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::db::{Both, Db, by_key, columns, lock_named};
use super::error::Result;
use super::schema::{bug_events, bug_hits, bug_notes, bug_posts, bugs, users};
use super::{name_index, search};
use crate::domain::bug::{BugState, Changed, Component, Severity};
use crate::domain::ids::{AccountId, BugId, BugPostId, UserId};
use crate::domain::mail::MailKind;
use crate::domain::time::Time;
use crate::store::limit::Limit;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = bugs)]
pub struct Bug {
    pub id: BugId,
    pub title: String,
    pub happened: String,
    pub expected: String,
    pub reproduce: String,
    pub state: BugState,
    pub severity: Severity,
    pub component: Component,
    pub duplicate_of: Option<BugId>,
    /// The bug that is worked on: itself, or the one it is a duplicate of.
    pub root_id: BugId,
    pub opened_by: UserId,
    pub account_id: AccountId,
    /// How often staff changed it.
    pub version: i32,
    pub opened_at: Time,
    /// Since when its opening (title, texts, facts, first files) is for staff alone; by whom, and why.
    pub hidden_at: Option<Time>,
    pub hidden_by: Option<UserId>,
    pub hidden_reason: String,
}

/// A bug in a list: without its long texts.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = bugs)]
pub struct BugHead {
    pub id: BugId,
    pub title: String,
    pub state: BugState,
    pub severity: Severity,
    pub component: Component,
    pub duplicate_of: Option<BugId>,
    pub root_id: BugId,
    pub opened_by: UserId,
    pub opened_at: Time,
    pub changed_at: Time,
    pub hidden_at: Option<Time>,
}

#[derive(Insertable)]
#[diesel(table_name = bugs)]
pub struct NewBug<'a> {
    pub title: &'a str,
    pub happened: &'a str,
    pub expected: &'a str,
    pub reproduce: &'a str,
    pub state: BugState,
    pub severity: Severity,
    pub component: Component,
    pub opened_by: UserId,
    pub account_id: AccountId,
    pub once: &'a str,
    pub opened_at: Time,
    pub changed_at: Time,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = bug_posts)]
pub struct Post {
    pub id: BugPostId,
    pub author_id: UserId,
    pub by_staff: bool,
    pub body: String,
    pub at: Time,
    pub hidden_at: Option<Time>,
    pub hidden_by: Option<UserId>,
    pub hidden_reason: String,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = bug_notes)]
pub struct Note {
    pub author_id: UserId,
    pub body: String,
    pub at: Time,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = bug_events)]
pub struct BugEvent {
    pub bug_id: BugId,
    pub author_id: UserId,
    pub what: Changed,
    pub before: String,
    pub after: String,
    pub duplicate_of: Option<BugId>,
    pub at: Time,
}

/// Which bugs a list is about.
#[derive(Debug, Clone, Default)]
pub struct BugFilter {
    /// Any of these; empty for all.
    pub states: Vec<BugState>,
    pub severity: Option<Severity>,
    pub component: Option<Component>,
    /// Opened by someone of this account.
    pub of: Option<AccountId>,
    /// Hits this user.
    pub hits: Option<UserId>,
    /// Words that all stand in its public texts; staff find it by names, too (`store::name_index`).
    pub text: String,
    /// Whose members read the list: it leaves out what staff have hidden, but their own.
    pub reader: Option<AccountId>,
}

type Boxed<'a> = diesel::helper_types::IntoBoxed<'a, bugs::table, super::db::MultiBackend>;

fn filtered<'a>(conn: &Db, filter: &BugFilter) -> Boxed<'a> {
    let mut query = bugs::table.into_boxed();
    if !filter.states.is_empty() {
        query = query.filter(bugs::state.eq_any(filter.states.clone()));
    }
    if let Some(severity) = filter.severity {
        query = query.filter(bugs::severity.eq(severity));
    }
    if let Some(component) = filter.component {
        query = query.filter(bugs::component.eq(component));
    }
    if let Some(account) = filter.of {
        query = query.filter(bugs::account_id.eq(account));
    }
    if let Some(user) = filter.hits {
        query = query.filter(
            bugs::id.eq_any(
                bug_hits::table
                    .filter(bug_hits::user_id.eq(user))
                    .select(bug_hits::bug_id),
            ),
        );
    }
    if let Some(reader) = filter.reader {
        query = query.filter(bugs::hidden_at.is_null().or(bugs::account_id.eq(reader)));
    }
    if let Some(condition) = search::bugs_with(conn, &filter.text) {
        // Whose they are helps staff alone to find them.
        let names = match filter.reader {
            None => name_index::bugs_with(conn, &filter.text),
            Some(_) => None,
        };
        query = match names {
            Some(names) => query.filter(condition.or(names)),
            None => query.filter(condition),
        };
    }
    query
}

/// Newest first; `before`: the key of the last row seen.
pub fn list(
    conn: &mut Db,
    filter: &BugFilter,
    before: Option<BugId>,
    limit: i64,
) -> Result<Vec<BugHead>> {
    let mut query = filtered(conn, filter)
        .select(BugHead::as_select())
        .order(bugs::id.desc());
    if let Some(before) = before {
        query = query.filter(bugs::id.lt(before));
    }
    Ok(query.limited(limit).load(conn)?)
}

pub fn count(conn: &mut Db, filter: &BugFilter) -> Result<i64> {
    let query = filtered(conn, filter).count();
    Ok(query.get_result(conn)?)
}

/// Bugs by state, each with when the first of them was opened.
pub fn oldest(conn: &mut Db) -> Result<Vec<(BugState, i64, Option<Time>)>> {
    Ok(bugs::table
        .group_by(bugs::state)
        .select((
            bugs::state,
            diesel::dsl::count_star(),
            diesel::dsl::min(bugs::opened_at),
        ))
        .load(conn)?)
}

pub fn counts(conn: &mut Db) -> Result<Vec<(BugState, i64)>> {
    Ok(bugs::table
        .group_by(bugs::state)
        .select((bugs::state, diesel::dsl::count_star()))
        .load(conn)?)
}

pub fn by_ids(conn: &mut Db, ids: &[BugId]) -> Result<Vec<BugHead>> {
    Ok(bugs::table
        .filter(bugs::id.eq_any(ids.to_vec()))
        .select(BugHead::as_select())
        .load(conn)?)
}

pub fn bug(conn: &mut Db, id: BugId) -> Result<Option<Bug>> {
    Ok(by_key!(conn, bugs, id, Bug))
}

/// Only one transaction at a time triages, so that no two make each other's bugs duplicates. SQLite has one writer anyway.
pub fn lock_triage(conn: &mut Db) -> Result<()> {
    lock_named(conn, *b"xenT")
}

pub fn insert(conn: &mut Db, new: &NewBug<'_>) -> Result<Bug> {
    Ok(diesel::insert_into(bugs::table)
        .values(new)
        .returning(columns::<Bug>())
        .get_result(conn)?)
}

/// The bug that this form has opened already, if it was sent before.
pub fn opened_once(conn: &mut Db, by: UserId, once: &str) -> Result<Option<BugId>> {
    Ok(bugs::table
        .filter(bugs::opened_by.eq(by))
        .filter(bugs::once.eq(once))
        .select(bugs::id)
        .at_most::<1>()
        .get_result(conn)
        .optional()?)
}

pub fn opened_since(conn: &mut Db, account: AccountId, since: Time) -> Result<i64> {
    Ok(bugs::table
        .filter(bugs::account_id.eq(account))
        .filter(bugs::opened_at.gt(since))
        .count()
        .get_result(conn)?)
}

/// What staff decided of a bug.
#[derive(Debug, Clone, Copy, AsChangeset)]
#[diesel(table_name = bugs)]
#[diesel(treat_none_as_null = true)]
pub struct Triage {
    pub state: BugState,
    pub severity: Severity,
    pub component: Component,
    pub duplicate_of: Option<BugId>,
    pub version: i32,
    pub changed_at: Time,
}

pub fn triage(conn: &mut Db, id: BugId, to: &Triage) -> Result<()> {
    diesel::update(bugs::table.find(id)).set(to).execute(conn)?;
    Ok(())
}

/// Duplicates of `from` become duplicates of `to`, so that none points to a bug that is one itself.
pub fn repoint(conn: &mut Db, from: BugId, to: BugId) -> Result<()> {
    diesel::update(
        bugs::table
            .filter(bugs::root_id.eq(from))
            .filter(bugs::duplicate_of.is_not_null()),
    )
    .set(bugs::duplicate_of.eq(to))
    .execute(conn)?;
    Ok(())
}

/// The duplicates of a bug, oldest first, with whether their titles are hidden: at most 50.
pub fn duplicates(conn: &mut Db, of: BugId) -> Result<Vec<(BugId, String, bool)>> {
    Ok(bugs::table
        .filter(bugs::root_id.eq(of))
        .filter(bugs::duplicate_of.is_not_null())
        .order(bugs::id)
        .select((bugs::id, bugs::title, bugs::hidden_at.is_not_null()))
        .at_most::<50>()
        .load(conn)?)
}

// Posts, notes, events.

#[derive(Insertable)]
#[diesel(table_name = bug_posts)]
pub struct NewPost<'a> {
    pub bug_id: BugId,
    pub author_id: UserId,
    pub by_staff: bool,
    pub body: &'a str,
    pub once: &'a str,
    pub at: Time,
}

pub fn insert_post(conn: &mut Db, new: &NewPost<'_>) -> Result<BugPostId> {
    Ok(diesel::insert_into(bug_posts::table)
        .values(new)
        .returning(bug_posts::id)
        .get_result(conn)?)
}

/// The text that this form has posted already, if it was sent before.
pub fn posted_once(conn: &mut Db, by: UserId, once: &str) -> Result<Option<String>> {
    Ok(bug_posts::table
        .filter(bug_posts::author_id.eq(by))
        .filter(bug_posts::once.eq(once))
        .select(bug_posts::body)
        .at_most::<1>()
        .get_result(conn)
        .optional()?)
}

/// Posts of anyone of the account since then.
pub fn posts_since(conn: &mut Db, account: AccountId, since: Time) -> Result<i64> {
    Ok(bug_posts::table
        .inner_join(users::table)
        .filter(users::account_id.eq(account))
        .filter(bug_posts::at.gt(since))
        .count()
        .get_result(conn)?)
}

/// Posts of a thread in order, after the one with this id: at most `limit`.
pub fn posts(conn: &mut Db, bug: BugId, after: BugPostId, limit: i64) -> Result<Vec<Post>> {
    Ok(bug_posts::table
        .filter(bug_posts::bug_id.eq(bug))
        .filter(bug_posts::id.gt(after))
        .order(bug_posts::id)
        .select(Post::as_select())
        .limited(limit)
        .load(conn)?)
}

/// Replies by bug.
pub fn replies(conn: &mut Db, of: &[BugId]) -> Result<HashMap<BugId, i64>> {
    let rows: Vec<(BugId, i64)> = bug_posts::table
        .filter(bug_posts::bug_id.eq_any(of.to_vec()))
        .group_by(bug_posts::bug_id)
        .select((bug_posts::bug_id, diesel::dsl::count_star()))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

/// `false` if this form was sent before.
pub fn insert_note(
    conn: &mut Db,
    bug: BugId,
    by: UserId,
    body: &str,
    once: &str,
    now: Time,
) -> Result<bool> {
    let new = (
        bug_notes::bug_id.eq(bug),
        bug_notes::author_id.eq(by),
        bug_notes::body.eq(body),
        bug_notes::once.eq(once),
        bug_notes::at.eq(now),
    );
    let sql = diesel::insert_into(bug_notes::table)
        .values(new)
        .on_conflict((bug_notes::author_id, bug_notes::once))
        .do_nothing();
    Ok(Both(sql).execute(conn)? == 1)
}

/// For staff's pages only. The newest 200, in order.
pub fn notes(conn: &mut Db, bug: BugId) -> Result<Vec<Note>> {
    let mut rows: Vec<Note> = bug_notes::table
        .filter(bug_notes::bug_id.eq(bug))
        .order(bug_notes::id.desc())
        .select(Note::as_select())
        .at_most::<200>()
        .load(conn)?;
    rows.reverse();
    Ok(rows)
}

pub fn insert_event(conn: &mut Db, event: &BugEvent) -> Result<()> {
    diesel::insert_into(bug_events::table)
        .values(event)
        .execute(conn)?;
    Ok(())
}

/// The newest 200, in order.
pub fn events(conn: &mut Db, bug: BugId) -> Result<Vec<BugEvent>> {
    let mut rows: Vec<BugEvent> = bug_events::table
        .filter(bug_events::bug_id.eq(bug))
        .order(bug_events::id.desc())
        .select(BugEvent::as_select())
        .at_most::<200>()
        .load(conn)?;
    rows.reverse();
    Ok(rows)
}

// People.

/// Whom an act in a thread concerns, by id, after this one: its author, those who wrote in it, those it (or a duplicate of
/// it) hits, each once. Not those who are disabled, nor those who switched this kind of mail off.
pub fn readers(
    conn: &mut Db,
    bug: BugId,
    kind: MailKind,
    after: UserId,
    limit: i64,
) -> Result<Vec<super::account::User>> {
    let concerned = diesel::dsl::sql::<Bool>(
        "users.id IN (SELECT opened_by FROM bugs WHERE bugs.id = ",
    )
    .bind::<BigInt, _>(bug.0)
    .sql(" UNION SELECT author_id FROM bug_posts WHERE bug_id = ")
    .bind::<BigInt, _>(bug.0)
    .sql(" UNION SELECT user_id FROM bug_hits WHERE bug_id = ")
    .bind::<BigInt, _>(bug.0)
    .sql(" UNION SELECT user_id FROM bug_hits JOIN bugs ON bugs.id = bug_hits.bug_id WHERE bugs.root_id = ")
    .bind::<BigInt, _>(bug.0)
    .sql(")");
    let wanted = diesel::dsl::sql::<Bool>(
        "NOT EXISTS (SELECT 1 FROM muted_mails WHERE muted_mails.user_id = users.id AND muted_mails.kind = ",
    )
    .bind::<Text, _>(kind.to_string())
    .sql(")");
    Ok(users::table
        .filter(concerned)
        .filter(wanted)
        .filter(users::id.gt(after))
        .filter(users::disabled.eq(false))
        .order(users::id)
        .select(super::account::User::as_select())
        .limited(limit)
        .load(conn)?)
}

/// Names, by id, of these people.
pub fn names(conn: &mut Db, of: Vec<UserId>) -> Result<HashMap<UserId, Person>> {
    let rows: Vec<(UserId, String, Option<AccountId>)> = users::table
        .filter(users::id.eq_any(of))
        .select((users::id, users::name, users::account_id))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(id, name, account)| (id, Person { name, account }))
        .collect())
}

#[derive(Debug, Clone)]
pub struct Person {
    pub name: String,
    pub account: Option<AccountId>,
}
