//! Sessions of those who are signed in, and sign-ins that failed.

use diesel::prelude::*;

use super::User;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Time;
use crate::store::db::{Db, direct};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{sessions, sign_in_failures, users};

/// Everything a signed-in request needs, in one query.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = sessions)]
pub struct Session {
    pub id: SessionId,
    pub created_at: Time,
    pub seen_at: Time,
    pub address: String,
    pub user_agent: String,
    /// When they showed last who they are.
    pub proved_at: Option<Time>,
}

#[derive(Insertable)]
#[diesel(table_name = sessions)]
pub struct NewSession<'a> {
    pub hash: &'a str,
    pub user_id: UserId,
    pub created_at: Time,
    pub seen_at: Time,
    pub expires_at: Time,
    pub address: &'a str,
    pub user_agent: &'a str,
    pub proved_at: Option<Time>,
}

pub fn insert_session(conn: &mut Db, session: &NewSession<'_>) -> Result<SessionId> {
    Ok(diesel::insert_into(sessions::table)
        .values(session)
        .returning(sessions::id)
        .get_result(conn)?)
}

/// The session with its user, if neither has ended: not expired, seen after `idle_since`, user not disabled.
pub fn session(
    conn: &mut Db,
    hash: &str,
    now: Time,
    idle_since: Time,
) -> Result<Option<(Session, User)>> {
    // There is one at most: no limit.
    Ok(direct!(conn, |conn| sessions::table
        .inner_join(users::table)
        .filter(sessions::hash.eq(hash))
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::seen_at.gt(idle_since))
        .filter(users::disabled.eq(false))
        .select((Session::as_select(), User::as_select()))
        .get_result(conn))
    .optional()?)
}

/// Is it there still? SQLite gives numbers of deleted rows again, so its time counts too.
pub fn lives(conn: &mut Db, user: UserId, session: &Session, now: Time) -> Result<bool> {
    let found: Option<SessionId> = sessions::table
        .find(session.id)
        .filter(sessions::user_id.eq(user))
        .filter(sessions::created_at.eq(session.created_at))
        .filter(sessions::expires_at.gt(now))
        .select(sessions::id)
        .get_result(conn)
        .optional()?;
    Ok(found.is_some())
}

pub fn touch_session(conn: &mut Db, id: SessionId, now: Time) -> Result<()> {
    diesel::update(sessions::table.find(id))
        .set(sessions::seen_at.eq(now))
        .execute(conn)?;
    Ok(())
}

pub fn set_proved(conn: &mut Db, id: SessionId, now: Time) -> Result<()> {
    diesel::update(sessions::table.find(id))
        .set(sessions::proved_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// Those that can still be used: as [`session`] has it.
pub fn sessions_of(
    conn: &mut Db,
    user: UserId,
    now: Time,
    idle_since: Time,
) -> Result<Vec<Session>> {
    Ok(sessions::table
        .filter(sessions::user_id.eq(user))
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::seen_at.gt(idle_since))
        .order(sessions::seen_at.desc())
        .select(Session::as_select())
        .at_most::<100>()
        .load(conn)?)
}

/// Ends one session of this user; `false` if it is not theirs or already ended.
pub fn end_session(conn: &mut Db, user: UserId, id: SessionId) -> Result<bool> {
    Ok(
        diesel::delete(sessions::table.find(id).filter(sessions::user_id.eq(user)))
            .execute(conn)?
            == 1,
    )
}

/// Ends all sessions of a user but `keep`; says how many.
pub fn end_sessions(conn: &mut Db, user: UserId, keep: Option<SessionId>) -> Result<usize> {
    let keep = keep.unwrap_or(SessionId(0));
    Ok(diesel::delete(
        sessions::table
            .filter(sessions::user_id.eq(user))
            .filter(sessions::id.ne(keep)),
    )
    .execute(conn)?)
}

pub fn drop_expired_sessions(conn: &mut Db, now: Time) -> Result<usize> {
    Ok(diesel::delete(sessions::table.filter(sessions::expires_at.le(now))).execute(conn)?)
}

/// Who failed to sign in: a network with the one around it (empty for none), or a known device.
#[derive(Debug, Clone, Copy)]
pub struct FailedAt<'a> {
    pub asker: &'a str,
    pub network: &'a str,
}

pub fn insert_sign_in_failure(
    conn: &mut Db,
    email: &str,
    from: FailedAt<'_>,
    now: Time,
) -> Result<()> {
    diesel::insert_into(sign_in_failures::table)
        .values((
            sign_in_failures::email.eq(email),
            sign_in_failures::address.eq(from.asker),
            sign_in_failures::network.eq(from.network),
            sign_in_failures::at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Whose failures are counted together.
#[derive(Debug, Clone, Copy)]
pub enum Failures<'a> {
    /// Of this e-mail, by this asker.
    Same(&'a str, &'a str),
    /// By this asker, of anyone.
    Asker(&'a str),
    Network(&'a str),
}

/// When the last of so many failures was, counted from the newest, if there were so many since then: with it their number
/// falls below that.
pub fn failures_reach(
    conn: &mut Db,
    of: Failures<'_>,
    most: usize,
    since: Time,
) -> Result<Option<Time>> {
    let newest = sign_in_failures::table
        .filter(sign_in_failures::at.gt(since))
        .order(sign_in_failures::at.desc())
        .select(sign_in_failures::at)
        .into_boxed();
    let newest = match of {
        Failures::Same(email, asker) => newest
            .filter(sign_in_failures::email.eq(email.to_owned()))
            .filter(sign_in_failures::address.eq(asker.to_owned())),
        Failures::Asker(asker) => newest.filter(sign_in_failures::address.eq(asker.to_owned())),
        Failures::Network(network) => {
            newest.filter(sign_in_failures::network.eq(network.to_owned()))
        }
    };
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let all: Vec<Time> = newest.limited(limit).load(conn)?;
    Ok(all.get(most.saturating_sub(1)).copied())
}

pub fn drop_sign_in_failures(conn: &mut Db, before: Time) -> Result<usize> {
    Ok(
        diesel::delete(sign_in_failures::table.filter(sign_in_failures::at.lt(before)))
            .execute(conn)?,
    )
}
