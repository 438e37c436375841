//! FAQ entries, in staff's order, and the questions that members put.

use diesel::prelude::*;

use super::db::{Db, by_key, columns};
use super::error::Result;
use super::schema::{faq_entries, faq_questions};
use super::search;
use crate::domain::ids::{AccountId, FaqId, QuestionId, UserId};
use crate::domain::time::Time;
use crate::store::limit::Limit;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = faq_entries)]
pub struct Entry {
    pub id: FaqId,
    /// Its anchor; stays as it is when the question changes.
    pub slug: String,
    pub question: String,
    pub answer: String,
    pub position: i64,
    pub dated_at: Time,
    pub retired_at: Option<Time>,
    pub version: i32,
}

#[derive(Insertable)]
#[diesel(table_name = faq_entries)]
pub struct NewEntry<'a> {
    pub slug: &'a str,
    pub question: &'a str,
    pub answer: &'a str,
    pub position: i64,
    pub dated_at: Time,
    pub changed_at: Time,
}

/// Entries there can be: all of them stand on one page.
pub const MOST_ENTRIES: i64 = 300;
/// From so many on, staff are told how many more there can be.
pub const NEARLY: usize = 270;

/// The entries that stand, in order; those with all of the words if any are asked for.
pub fn entries(conn: &mut Db, text: &str) -> Result<Vec<Entry>> {
    let mut query = faq_entries::table
        .filter(faq_entries::retired_at.is_null())
        .order((faq_entries::position, faq_entries::id))
        .select(Entry::as_select())
        .into_boxed();
    if let Some(condition) = search::entries_with(conn, text) {
        query = query.filter(condition);
    }
    Ok(query.at_most::<MOST_ENTRIES>().load(conn)?)
}

/// Anchors and questions of the first entries, for a page that leads to them.
pub fn first(conn: &mut Db, most: i64) -> Result<Vec<(String, String)>> {
    Ok(faq_entries::table
        .filter(faq_entries::retired_at.is_null())
        .order((faq_entries::position, faq_entries::id))
        .select((faq_entries::slug, faq_entries::question))
        .limited(most)
        .load(conn)?)
}

/// Entries that were retired, the newest first: at most 100.
pub fn retired(conn: &mut Db) -> Result<Vec<Entry>> {
    Ok(faq_entries::table
        .filter(faq_entries::retired_at.is_not_null())
        .order(faq_entries::id.desc())
        .select(Entry::as_select())
        .at_most::<100>()
        .load(conn)?)
}

pub fn entry(conn: &mut Db, id: FaqId) -> Result<Option<Entry>> {
    Ok(by_key!(conn, faq_entries, id, Entry))
}

pub fn slug_is_taken(conn: &mut Db, slug: &str) -> Result<bool> {
    Ok(faq_entries::table
        .filter(faq_entries::slug.eq(slug))
        .count()
        .get_result::<i64>(conn)?
        > 0)
}

pub fn last_position(conn: &mut Db) -> Result<i64> {
    let last: Option<i64> = faq_entries::table
        .select(diesel::dsl::max(faq_entries::position))
        .at_most::<1>()
        .get_result(conn)?;
    Ok(last.unwrap_or(0))
}

pub fn insert(conn: &mut Db, new: &NewEntry<'_>) -> Result<Entry> {
    Ok(diesel::insert_into(faq_entries::table)
        .values(new)
        .returning(columns::<Entry>())
        .get_result(conn)?)
}

/// What staff can change of an entry.
#[derive(AsChangeset)]
#[diesel(table_name = faq_entries)]
pub struct EntryChange<'a> {
    pub question: &'a str,
    pub answer: &'a str,
    pub dated_at: Time,
    pub changed_at: Time,
}

/// `false` if somebody changed it since it was at `version`.
pub fn change(conn: &mut Db, id: FaqId, version: i32, to: &EntryChange<'_>) -> Result<bool> {
    Ok(diesel::update(
        faq_entries::table
            .find(id)
            .filter(faq_entries::version.eq(version)),
    )
    .set((to, faq_entries::version.eq(version + 1)))
    .execute(conn)?
        == 1)
}

pub fn set_retired(conn: &mut Db, id: FaqId, at: Option<Time>) -> Result<()> {
    diesel::update(faq_entries::table.find(id))
        .set(faq_entries::retired_at.eq(at))
        .execute(conn)?;
    Ok(())
}

pub fn set_position(conn: &mut Db, id: FaqId, position: i64) -> Result<()> {
    diesel::update(faq_entries::table.find(id))
        .set(faq_entries::position.eq(position))
        .execute(conn)?;
    Ok(())
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = faq_questions)]
pub struct Question {
    pub id: QuestionId,
    pub asked_by: UserId,
    pub question: String,
    /// `open`, `published` or `private`.
    pub state: String,
    pub entry_id: Option<FaqId>,
    pub answer: Option<String>,
    pub answered_by: Option<UserId>,
    pub asked_at: Time,
}

#[derive(Insertable)]
#[diesel(table_name = faq_questions)]
pub struct NewQuestion<'a> {
    pub asked_by: UserId,
    pub account_id: AccountId,
    pub question: &'a str,
    pub state: &'a str,
    pub once: &'a str,
    pub asked_at: Time,
}

pub fn insert_question(conn: &mut Db, new: &NewQuestion<'_>) -> Result<QuestionId> {
    Ok(diesel::insert_into(faq_questions::table)
        .values(new)
        .returning(faq_questions::id)
        .get_result(conn)?)
}

/// What this form has asked already, if it was sent before.
pub fn asked_once(conn: &mut Db, by: UserId, once: &str) -> Result<Option<(QuestionId, String)>> {
    Ok(faq_questions::table
        .filter(faq_questions::asked_by.eq(by))
        .filter(faq_questions::once.eq(once))
        .select((faq_questions::id, faq_questions::question))
        .one(conn)?)
}

pub fn asked_since(conn: &mut Db, account: AccountId, since: Time) -> Result<i64> {
    Ok(faq_questions::table
        .filter(faq_questions::account_id.eq(account))
        .filter(faq_questions::asked_at.gt(since))
        .count()
        .get_result(conn)?)
}

/// Takes the question's row lock on PostgreSQL; SQLite has one writer anyway.
pub fn lock_question(conn: &mut Db, id: QuestionId) -> Result<()> {
    if let Db::Pg(pg) = conn {
        faq_questions::table
            .find(id)
            .select(faq_questions::id)
            .for_no_key_update()
            .get_result::<QuestionId>(pg)
            .optional()?;
    }
    Ok(())
}

pub fn question(conn: &mut Db, id: QuestionId) -> Result<Option<Question>> {
    Ok(by_key!(conn, faq_questions, id, Question))
}

/// Questions that wait, oldest first; `after`: the key of the last row seen.
pub fn open_questions(conn: &mut Db, after: QuestionId, limit: i64) -> Result<Vec<Question>> {
    Ok(faq_questions::table
        .filter(faq_questions::state.eq("open"))
        .filter(faq_questions::id.gt(after))
        .order(faq_questions::id)
        .select(Question::as_select())
        .limited(limit)
        .load(conn)?)
}

pub fn count_open(conn: &mut Db) -> Result<i64> {
    Ok(faq_questions::table
        .filter(faq_questions::state.eq("open"))
        .count()
        .get_result(conn)?)
}

/// What someone asked, newest first: at most 20.
pub fn questions_of(conn: &mut Db, user: UserId) -> Result<Vec<Question>> {
    Ok(faq_questions::table
        .filter(faq_questions::asked_by.eq(user))
        .order(faq_questions::id.desc())
        .select(Question::as_select())
        .at_most::<20>()
        .load(conn)?)
}

/// Answers it; `false` if it no longer waits.
pub fn answer(
    conn: &mut Db,
    id: QuestionId,
    entry: Option<FaqId>,
    private: Option<&str>,
    by: UserId,
    now: Time,
) -> Result<bool> {
    let state = if entry.is_some() {
        "published"
    } else {
        "private"
    };
    Ok(diesel::update(
        faq_questions::table
            .find(id)
            .filter(faq_questions::state.eq("open")),
    )
    .set((
        faq_questions::state.eq(state),
        faq_questions::entry_id.eq(entry),
        faq_questions::answer.eq(private),
        faq_questions::answered_by.eq(by),
        faq_questions::answered_at.eq(now),
    ))
    .execute(conn)?
        == 1)
}
