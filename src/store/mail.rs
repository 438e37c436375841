//! Mail that was decided on, in the transaction that decided it; the mailer sends it afterwards.

use diesel::prelude::*;

use super::db::{Db, by_key, columns};
use super::error::Result;
use super::name_index;
use super::schema::{outbox, users};
use crate::domain::ids::{BugId, MailId, MigrationId};
use crate::domain::mail::{MailKind, MailState, is_of_access};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store::limit::Limit;

#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = outbox)]
pub struct Mail {
    pub id: MailId,
    pub kind: String,
    pub recipient: String,
    pub subject: String,
    pub text_body: String,
    pub html_body: String,
    pub state: MailState,
    pub attempts: i32,
    pub next_at: Time,
    pub last_error: String,
    pub created_at: Time,
    pub sent_at: Option<Time>,
    /// The text of a calendar file that goes with it.
    pub calendar: Option<String>,
    /// From when on it says nothing of use.
    pub stale_at: Option<Time>,
    /// Whose receipt goes with it.
    pub receipt_of: Option<MigrationId>,
}

#[derive(Insertable)]
#[diesel(table_name = outbox)]
pub struct NewMail<'a> {
    pub kind: &'a str,
    pub recipient: &'a str,
    pub subject: &'a str,
    pub text_body: &'a str,
    pub html_body: &'a str,
    pub state: MailState,
    pub next_at: Time,
    pub created_at: Time,
    pub calendar: Option<&'a str>,
    pub stale_at: Option<Time>,
    /// The bug it tells of, if it does.
    pub bug_id: Option<BugId>,
    pub receipt_of: Option<MigrationId>,
}

pub fn insert(conn: &mut Db, mail: &NewMail<'_>) -> Result<MailId> {
    Ok(diesel::insert_into(outbox::table)
        .values(mail)
        .returning(outbox::id)
        .get_result(conn)?)
}

/// Takes the next mail that is due, and puts it off until `until`: another mailer, or this one after a crash, tries again
/// then. Mail of access goes first, whatever waits. Call it in a transaction of its own.
pub fn take_due(conn: &mut Db, now: Time, until: Time) -> Result<Option<Mail>> {
    let urgent = MailKind::those(is_of_access);
    let urgent: Vec<&str> = urgent.iter().map(|kind| kind.as_str()).collect();
    let due = || {
        outbox::table
            .filter(outbox::state.eq(MailState::Pending))
            .filter(outbox::next_at.le(now))
            .order((outbox::next_at, outbox::id))
            .select(outbox::id)
    };
    let first = due().filter(outbox::kind.eq_any(urgent));
    let found = match conn {
        Db::Pg(pg) => {
            let first: Option<MailId> = first.for_update().skip_locked().one(pg)?;
            match first {
                Some(id) => Some(id),
                None => due().for_update().skip_locked().one(pg)?,
            }
        }
        Db::Sqlite(lite) => match first.at_most::<1>().get_result(lite).optional()? {
            Some(id) => Some(id),
            None => due().at_most::<1>().get_result(lite).optional()?,
        },
    };
    let Some(id) = found else {
        return Ok(None);
    };
    let taken = diesel::update(outbox::table.find::<MailId>(id))
        .set((
            outbox::attempts.eq(outbox::attempts + 1),
            outbox::next_at.eq(until),
        ))
        .returning(columns::<Mail>())
        .get_result(conn)?;
    Ok(Some(taken))
}

/// Which mail a mailer took, and for which try: ids of deleted rows come again on SQLite, and a mail that took one is
/// another; and who took longer than its time speaks of a try that is not the last one any more.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub id: MailId,
    created_at: Time,
    attempts: i32,
    until: Time,
}

impl From<&Mail> for Taken {
    fn from(mail: &Mail) -> Self {
        Self {
            id: mail.id,
            created_at: mail.created_at,
            attempts: mail.attempts,
            until: mail.next_at,
        }
    }
}

#[diesel::dsl::auto_type]
fn this(of: Taken) -> _ {
    let (id, created_at): (MailId, Time) = (of.id, of.created_at);
    outbox::table
        .filter(outbox::id.eq(id))
        .filter(outbox::created_at.eq(created_at))
}

/// It was sent, and that stays true whoever else tried it meanwhile.
pub fn mark_sent(conn: &mut Db, of: Taken, now: Time) -> Result<()> {
    diesel::update(this(of))
        .filter(outbox::state.ne(MailState::Sent))
        .set((
            outbox::state.eq(MailState::Sent),
            outbox::sent_at.eq(now),
            outbox::last_error.eq(""),
        ))
        .execute(conn)?;
    forget_secrets(conn, of)
}

/// A mail that is done with keeps its subject and, if it held a link that gives access, nothing else.
fn forget_secrets(conn: &mut Db, of: Taken) -> Result<()> {
    diesel::update(this(of))
        .filter(outbox::kind.eq(MailKind::PasswordReset.as_str()))
        .set((outbox::text_body.eq(""), outbox::html_body.eq("")))
        .execute(conn)?;
    Ok(())
}

/// This try failed. `again`: when to try next; `None` gives up. Nothing is written if another try was made since.
pub fn mark_failed(conn: &mut Db, of: Taken, error: &str, again: Option<Time>) -> Result<()> {
    let this_try = diesel::update(this(of))
        .filter(outbox::state.eq(MailState::Pending))
        .filter(outbox::attempts.eq(of.attempts))
        .filter(outbox::next_at.eq(of.until));
    let hit = match again {
        Some(at) => this_try
            .set((outbox::next_at.eq(at), outbox::last_error.eq(error)))
            .execute(conn)?,
        None => this_try
            .set((
                outbox::state.eq(MailState::Failed),
                outbox::last_error.eq(error),
            ))
            .execute(conn)?,
    };
    if hit == 1 && again.is_none() {
        forget_secrets(conn, of)?;
    }
    Ok(())
}

#[derive(Debug, Clone, Default)]
pub struct MailFilter {
    pub state: Option<MailState>,
    /// Parts of the recipient's name, address or account's name: see `store::name_index`.
    pub recipient: String,
}

/// A mail in a list: without its text.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = outbox)]
pub struct MailRow {
    pub id: MailId,
    pub kind: String,
    pub recipient: String,
    pub subject: String,
    pub state: MailState,
    pub attempts: i32,
    pub next_at: Time,
    pub last_error: String,
    pub created_at: Time,
    pub sent_at: Option<Time>,
}

/// Newest first; `before`: the key of the last row seen.
pub fn list(
    conn: &mut Db,
    filter: &MailFilter,
    before: Option<MailId>,
    limit: i64,
) -> Result<Vec<MailRow>> {
    let mut query = outbox::table
        .select(MailRow::as_select())
        .order(outbox::id.desc())
        .into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(outbox::state.eq(state));
    }
    if let Some(condition) = name_index::mail_to(conn, &filter.recipient) {
        query = query.filter(condition);
    }
    if let Some(before) = before {
        query = query.filter(outbox::id.lt(before));
    }
    Ok(query.limited(limit).load(conn)?)
}

pub fn counts(conn: &mut Db) -> Result<Vec<(MailState, i64)>> {
    Ok(outbox::table
        .group_by(outbox::state)
        .select((outbox::state, diesel::dsl::count_star()))
        .load(conn)?)
}

pub fn mail(conn: &mut Db, id: MailId) -> Result<Option<Mail>> {
    Ok(by_key!(conn, outbox, id, Mail))
}

/// Why a mail is not worth sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InVain {
    /// Its recipient's access was taken away.
    Disabled,
    /// Its moment has passed.
    Stale,
    /// It held a link that gives access, and lost its text when it failed.
    Secret,
    /// What it told of is hidden, or it failed long ago.
    Textless,
}

impl InVain {
    pub fn words(self) -> &'static str {
        match self {
            Self::Disabled => "its recipient is disabled",
            Self::Stale => "its moment has passed",
            Self::Secret => "its link for a new password has ended",
            Self::Textless => "its text is not kept any more",
        }
    }
}

/// Users without access, by address.
#[diesel::dsl::auto_type]
fn disabled() -> _ {
    users::table
        .filter(users::email.eq(outbox::recipient))
        .filter(users::disabled.eq(true))
}

/// Is it in vain to send this mail now?
pub fn in_vain(conn: &mut Db, mail: &Mail, now: Time) -> Result<Option<InVain>> {
    if mail.text_body.is_empty() {
        let held_link = mail.kind == MailKind::PasswordReset.as_str();
        return Ok(Some(if held_link {
            InVain::Secret
        } else {
            InVain::Textless
        }));
    }
    if mail.stale_at.is_some_and(|at| at <= now) {
        return Ok(Some(InVain::Stale));
    }
    let user = super::account::user_by_email(conn, &mail.recipient)?;
    Ok(user.filter(|user| user.disabled).map(|_| InVain::Disabled))
}

type Boxed<'a> = diesel::helper_types::IntoBoxed<'a, outbox::table, super::db::MultiBackend>;

/// Failed mails to recipients with these parts in their names (all, if it is empty).
fn failed<'a>(conn: &Db, recipient: &str) -> Boxed<'a> {
    let query = outbox::table
        .filter(outbox::state.eq(MailState::Failed))
        .into_boxed();
    match name_index::mail_to(conn, recipient) {
        Some(condition) => query.filter(condition),
        None => query,
    }
}

/// Those of them that are worth sending.
fn worth_it<'a>(conn: &Db, recipient: &str, now: Time) -> Boxed<'a> {
    failed(conn, recipient)
        .filter(outbox::text_body.ne(""))
        .filter(outbox::stale_at.is_null().or(outbox::stale_at.gt(now)))
        .filter(diesel::dsl::not(diesel::dsl::exists(disabled())))
}

/// How many failed mails would be sent again, and how many there are.
pub fn count_failed(conn: &mut Db, recipient: &str, now: Time) -> Result<(i64, i64)> {
    let worth = worth_it(conn, recipient, now).count().get_result(conn)?;
    let all = failed(conn, recipient).count().get_result(conn)?;
    Ok((worth, all))
}

/// Lets a failed mail be sent again; `false` if it has not failed.
pub fn revive_one(conn: &mut Db, id: MailId, now: Time) -> Result<bool> {
    Ok(revive_these(conn, &[id], now)? == 1)
}

/// Lets failed mails that are worth it be sent again; says how many.
pub fn revive(conn: &mut Db, recipient: &str, now: Time) -> Result<usize> {
    let ids: Vec<MailId> = worth_it(conn, recipient, now)
        .select(outbox::id)
        .load(conn)?;
    let mut revived = 0;
    for some in ids.chunks(1000) {
        revived += revive_these(conn, some, now)?;
    }
    Ok(revived)
}

fn revive_these(conn: &mut Db, ids: &[MailId], now: Time) -> Result<usize> {
    Ok(diesel::update(
        outbox::table
            .filter(outbox::id.eq_any(ids.to_vec()))
            .filter(outbox::state.eq(MailState::Failed)),
    )
    .set((
        outbox::state.eq(MailState::Pending),
        outbox::attempts.eq(0),
        outbox::next_at.eq(now),
        outbox::last_error.eq(""),
    ))
    .execute(conn)?)
}

/// Mails about a bug that were not sent yet, of this kind: their ids and readers, at most 5000.
pub fn waiting_about(conn: &mut Db, bug: BugId, kind: MailKind) -> Result<Vec<(MailId, String)>> {
    Ok(outbox::table
        .filter(outbox::bug_id.eq(bug))
        .filter(outbox::state.eq_any([MailState::Pending, MailState::Failed]))
        .filter(outbox::kind.eq(kind.as_str()))
        .select((outbox::id, outbox::recipient))
        .at_most::<5000>()
        .load(conn)?)
}

/// Was one of this kind posted to them in that time?
pub fn was_posted(
    conn: &mut Db,
    (kind, to): (MailKind, &str),
    (from, until): (Time, Time),
) -> Result<bool> {
    let found: Option<MailId> = outbox::table
        .filter(outbox::recipient.eq(to))
        .filter(outbox::kind.eq(kind.as_str()))
        .filter(outbox::created_at.ge(from))
        .filter(outbox::created_at.lt(until))
        .select(outbox::id)
        .one(conn)?;
    Ok(found.is_some())
}

/// Writes a waiting mail anew.
pub fn rewrite(conn: &mut Db, id: MailId, (subject, text, html): (&str, &str, &str)) -> Result<()> {
    diesel::update(outbox::table.find(id))
        .set((
            outbox::subject.eq(subject),
            outbox::text_body.eq(text),
            outbox::html_body.eq(html),
        ))
        .execute(conn)?;
    Ok(())
}

/// Throws waiting mails away. One that was tried may be on its way, or out, with nobody left who knows: it stays, without what
/// it says, and does not go again.
pub fn drop_waiting(conn: &mut Db, of: &[MailId]) -> Result<()> {
    for some in of.chunks(500) {
        let these = outbox::table.filter(outbox::id.eq_any(some.to_vec()));
        diesel::delete(these.clone().filter(outbox::attempts.eq(0))).execute(conn)?;
        diesel::update(these)
            .set((
                outbox::state.eq(MailState::Failed),
                outbox::subject.eq("Hidden"),
                outbox::text_body.eq(""),
                outbox::html_body.eq(""),
                outbox::last_error.eq("Not sent: what it told of is hidden."),
            ))
            .execute(conn)?;
    }
    Ok(())
}
