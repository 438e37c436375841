//! Sessions of those who are signed in, and sign-ins that failed.

use diesel::prelude::*;

use super::User;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Time;
use crate::store::db::{Db, direct};
use crate::store::error::StoreError;
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
}

pub fn insert_session(conn: &mut Db, session: &NewSession<'_>) -> Result<SessionId, StoreError> {
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
) -> Result<Option<(Session, User)>, StoreError> {
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

pub fn touch_session(conn: &mut Db, id: SessionId, now: Time) -> Result<(), StoreError> {
    diesel::update(sessions::table.find(id))
        .set(sessions::seen_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// Those that can still be used: as [`session`] has it.
pub fn sessions_of(
    conn: &mut Db,
    user: UserId,
    now: Time,
    idle_since: Time,
) -> Result<Vec<Session>, StoreError> {
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
pub fn end_session(conn: &mut Db, user: UserId, id: SessionId) -> Result<bool, StoreError> {
    Ok(
        diesel::delete(sessions::table.find(id).filter(sessions::user_id.eq(user)))
            .execute(conn)?
            == 1,
    )
}

/// Ends all sessions of a user but `keep`; says how many.
pub fn end_sessions(
    conn: &mut Db,
    user: UserId,
    keep: Option<SessionId>,
) -> Result<usize, StoreError> {
    let keep = keep.unwrap_or(SessionId(0));
    Ok(diesel::delete(
        sessions::table
            .filter(sessions::user_id.eq(user))
            .filter(sessions::id.ne(keep)),
    )
    .execute(conn)?)
}

pub fn drop_expired_sessions(conn: &mut Db, now: Time) -> Result<usize, StoreError> {
    Ok(diesel::delete(sessions::table.filter(sessions::expires_at.le(now))).execute(conn)?)
}

pub fn insert_sign_in_failure(
    conn: &mut Db,
    email: &str,
    address: &str,
    now: Time,
) -> Result<(), StoreError> {
    diesel::insert_into(sign_in_failures::table)
        .values((
            sign_in_failures::email.eq(email),
            sign_in_failures::address.eq(address),
            sign_in_failures::at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Failures since `since`: for this e-mail from this address, and from this address for anyone.
pub fn sign_in_failures(
    conn: &mut Db,
    email: &str,
    address: &str,
    since: Time,
) -> Result<(i64, i64), StoreError> {
    let from_address = sign_in_failures::table
        .filter(sign_in_failures::address.eq(address))
        .filter(sign_in_failures::at.gt(since));
    let both = from_address
        .filter(sign_in_failures::email.eq(email))
        .count()
        .get_result(conn)?;
    let address = from_address.count().get_result(conn)?;
    Ok((both, address))
}

pub fn drop_sign_in_failures(conn: &mut Db, before: Time) -> Result<usize, StoreError> {
    Ok(
        diesel::delete(sign_in_failures::table.filter(sign_in_failures::at.lt(before)))
            .execute(conn)?,
    )
}
