//! Mail that was decided on, in the transaction that decided it; the mailer sends it afterwards.

use diesel::prelude::*;

use super::db::{Db, StoreError, columns};
use super::schema::outbox;
use crate::domain::ids::MailId;
use crate::domain::text::Word;
use crate::domain::time::Time;
use crate::domain::words::MailKind;

#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = outbox)]
pub struct Mail {
    pub id: MailId,
    pub kind: String,
    pub recipient: String,
    pub subject: String,
    pub text_body: String,
    pub html_body: String,
    /// `pending`, `sent` or `failed`.
    pub state: String,
    pub attempts: i32,
    pub next_at: Time,
    pub last_error: String,
    pub created_at: Time,
    pub sent_at: Option<Time>,
}

#[derive(Insertable)]
#[diesel(table_name = outbox)]
pub struct NewMail<'a> {
    pub kind: &'a str,
    pub recipient: &'a str,
    pub subject: &'a str,
    pub text_body: &'a str,
    pub html_body: &'a str,
    pub state: &'a str,
    pub next_at: Time,
    pub created_at: Time,
}

pub fn insert(conn: &mut Db, mail: &NewMail<'_>) -> Result<MailId, StoreError> {
    Ok(diesel::insert_into(outbox::table)
        .values(mail)
        .returning(outbox::id)
        .get_result(conn)?)
}

/// Takes up to `limit` mails that are due, putting each off until `until`: another mailer, or this one after a crash,
/// tries again then. Call it in a transaction of its own.
pub fn take_due(
    conn: &mut Db,
    now: Time,
    until: Time,
    limit: i64,
) -> Result<Vec<Mail>, StoreError> {
    let due = outbox::table
        .filter(outbox::state.eq("pending"))
        .filter(outbox::next_at.le(now))
        .order((outbox::next_at, outbox::id))
        .limit(limit)
        .select(outbox::id);
    let ids: Vec<MailId> = match conn {
        Db::Pg(pg) => due.for_update().skip_locked().load(pg)?,
        Db::Sqlite(lite) => due.load(lite)?,
    };
    let mut mails = Vec::with_capacity(ids.len());
    for id in ids {
        mails.push(
            diesel::update(outbox::table.find(id))
                .set((
                    outbox::attempts.eq(outbox::attempts + 1),
                    outbox::next_at.eq(until),
                ))
                .returning(columns::<Mail>())
                .get_result(conn)?,
        );
    }
    Ok(mails)
}

pub fn mark_sent(conn: &mut Db, id: MailId, now: Time) -> Result<(), StoreError> {
    diesel::update(outbox::table.find(id))
        .set((
            outbox::state.eq("sent"),
            outbox::sent_at.eq(now),
            outbox::last_error.eq(""),
        ))
        .execute(conn)?;
    forget_secrets(conn, id)
}

/// A mail that is done with keeps its subject and, if it held a link that gives access, nothing else.
fn forget_secrets(conn: &mut Db, id: MailId) -> Result<(), StoreError> {
    diesel::update(outbox::table.find(id))
        .filter(outbox::kind.eq(MailKind::PasswordReset.as_str()))
        .set((outbox::text_body.eq(""), outbox::html_body.eq("")))
        .execute(conn)?;
    Ok(())
}

/// `again`: when to try next; `None` gives up.
pub fn mark_failed(
    conn: &mut Db,
    id: MailId,
    error: &str,
    again: Option<Time>,
) -> Result<(), StoreError> {
    match again {
        Some(at) => diesel::update(outbox::table.find(id))
            .set((outbox::next_at.eq(at), outbox::last_error.eq(error)))
            .execute(conn)
            .map(drop)?,
        None => {
            diesel::update(outbox::table.find(id))
                .set((outbox::state.eq("failed"), outbox::last_error.eq(error)))
                .execute(conn)?;
            forget_secrets(conn, id)?;
        }
    }
    Ok(())
}
