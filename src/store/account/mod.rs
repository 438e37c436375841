//! Accounts, users, and what signs them in: sessions, API tokens, password resets, failed sign-ins.

pub mod mail_choices;
pub mod page;
pub mod tokens;

use diesel::prelude::*;

use super::db::{Both, Db, StoreError, columns};
use super::name_index;
use super::schema::{accounts, api_tokens, password_resets, sessions, sign_in_failures, users};
use crate::domain::ids::{AccountId, SessionId, UserId};
use crate::domain::time::Time;
use crate::domain::words::UserRole;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = accounts)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub created_at: Time,
}

#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct User {
    pub id: UserId,
    pub account_id: Option<AccountId>,
    pub email: String,
    pub name: String,
    pub role: UserRole,
    pub password_hash: Option<String>,
    pub timezone: String,
    pub disabled: bool,
    pub created_at: Time,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

#[derive(Insertable)]
#[diesel(table_name = users)]
pub struct NewUser<'a> {
    pub account_id: Option<AccountId>,
    pub email: &'a str,
    pub name: &'a str,
    pub role: UserRole,
    pub password_hash: Option<&'a str>,
    pub timezone: &'a str,
    pub disabled: bool,
    pub created_at: Time,
}

/// Those of staff who can sign in, for mail.
pub fn staff(conn: &mut Db) -> Result<Vec<User>, StoreError> {
    Ok(users::table
        .filter(users::role.eq(UserRole::Staff))
        .filter(users::disabled.eq(false))
        .order(users::email)
        .limit(500)
        .select(User::as_select())
        .load(conn)?)
}

pub fn insert_account(conn: &mut Db, name: &str, now: Time) -> Result<AccountId, StoreError> {
    let id = diesel::insert_into(accounts::table)
        .values((accounts::name.eq(name), accounts::created_at.eq(now)))
        .returning(accounts::id)
        .get_result(conn)?;
    name_index::set_account(conn, id, name)?;
    Ok(id)
}

pub fn account(conn: &mut Db, id: AccountId) -> Result<Option<Account>, StoreError> {
    Ok(accounts::table
        .find(id)
        .select(Account::as_select())
        .first(conn)
        .optional()?)
}

pub fn account_by_name(conn: &mut Db, name: &str) -> Result<Option<Account>, StoreError> {
    Ok(accounts::table
        .filter(accounts::name.eq(name))
        .select(Account::as_select())
        .first(conn)
        .optional()?)
}

pub fn insert_user(conn: &mut Db, user: &NewUser<'_>) -> Result<User, StoreError> {
    let user: User = diesel::insert_into(users::table)
        .values(user)
        .returning(columns::<User>())
        .get_result(conn)?;
    name_index::set_user(conn, user.id, &user.name, &user.email)?;
    Ok(user)
}

pub fn user(conn: &mut Db, id: UserId) -> Result<Option<User>, StoreError> {
    Ok(users::table
        .find(id)
        .select(User::as_select())
        .first(conn)
        .optional()?)
}

/// `email` is already lower-cased.
pub fn user_by_email(conn: &mut Db, email: &str) -> Result<Option<User>, StoreError> {
    Ok(users::table
        .filter(users::email.eq(email))
        .select(User::as_select())
        .first(conn)
        .optional()?)
}

pub fn users_of_account(conn: &mut Db, account: AccountId) -> Result<Vec<User>, StoreError> {
    Ok(users::table
        .filter(users::account_id.eq(account))
        .filter(users::disabled.eq(false))
        .order(users::id)
        .select(User::as_select())
        .load(conn)?)
}

pub fn set_password(conn: &mut Db, id: UserId, hash: &str) -> Result<(), StoreError> {
    diesel::update(users::table.find(id))
        .set(users::password_hash.eq(hash))
        .execute(conn)?;
    Ok(())
}

pub fn set_profile(
    conn: &mut Db,
    id: UserId,
    name: &str,
    timezone: &str,
) -> Result<(), StoreError> {
    let changed: Option<String> = diesel::update(users::table.find(id))
        .set((users::name.eq(name), users::timezone.eq(timezone)))
        .returning(users::email)
        .get_result(conn)
        .optional()?;
    match changed {
        Some(email) => name_index::set_user(conn, id, name, &email),
        None => Ok(()),
    }
}

/// Everything a signed-in request needs, in one query.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = sessions)]
pub struct Session {
    pub id: SessionId,
    pub hash: String,
    pub user_id: UserId,
    pub created_at: Time,
    pub seen_at: Time,
    pub expires_at: Time,
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
    Ok(sessions::table
        .inner_join(users::table)
        .filter(sessions::hash.eq(hash))
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::seen_at.gt(idle_since))
        .filter(users::disabled.eq(false))
        .select((Session::as_select(), User::as_select()))
        .first(conn)
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
        .limit(100)
        .select(Session::as_select())
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

pub fn insert_reset(
    conn: &mut Db,
    hash: &str,
    user: UserId,
    now: Time,
    until: Time,
) -> Result<(), StoreError> {
    diesel::insert_into(password_resets::table)
        .values((
            password_resets::hash.eq(hash),
            password_resets::user_id.eq(user),
            password_resets::created_at.eq(now),
            password_resets::expires_at.eq(until),
        ))
        .execute(conn)?;
    Ok(())
}

pub fn resets_since(conn: &mut Db, user: UserId, since: Time) -> Result<i64, StoreError> {
    Ok(password_resets::table
        .filter(password_resets::user_id.eq(user))
        .filter(password_resets::created_at.gt(since))
        .count()
        .get_result(conn)?)
}

/// Whose reset this is, if it can still be used.
pub fn reset_user(conn: &mut Db, hash: &str, now: Time) -> Result<Option<UserId>, StoreError> {
    Ok(password_resets::table
        .filter(password_resets::hash.eq(hash))
        .filter(password_resets::used_at.is_null())
        .filter(password_resets::expires_at.gt(now))
        .select(password_resets::user_id)
        .first(conn)
        .optional()?)
}

/// Uses the reset up; `None` if it was used, expired or never given.
pub fn use_reset(conn: &mut Db, hash: &str, now: Time) -> Result<Option<UserId>, StoreError> {
    Ok(diesel::update(
        password_resets::table
            .filter(password_resets::hash.eq(hash))
            .filter(password_resets::used_at.is_null())
            .filter(password_resets::expires_at.gt(now)),
    )
    .set(password_resets::used_at.eq(now))
    .returning(password_resets::user_id)
    .get_result(conn)
    .optional()?)
}

/// Makes every other reset of the user useless.
pub fn spoil_resets(conn: &mut Db, user: UserId, now: Time) -> Result<(), StoreError> {
    diesel::update(
        password_resets::table
            .filter(password_resets::user_id.eq(user))
            .filter(password_resets::used_at.is_null()),
    )
    .set(password_resets::used_at.eq(now))
    .execute(conn)?;
    Ok(())
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

#[derive(Insertable)]
#[diesel(table_name = api_tokens)]
pub struct NewApiToken<'a> {
    pub hash: &'a str,
    pub user_id: UserId,
    pub label: &'a str,
    pub scope: &'a str,
    pub created_at: Time,
    pub expires_at: Option<Time>,
}

/// Idempotent: a token with this hash is inserted once.
pub fn insert_api_token(conn: &mut Db, token: &NewApiToken<'_>) -> Result<(), StoreError> {
    Both(
        diesel::insert_into(api_tokens::table)
            .values(token)
            .on_conflict(api_tokens::hash)
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(())
}

/// One at a time per account (or user without one): whoever holds this decides alone whether a form was sent before, and
/// whether too many were. SQLite has one writer anyway.
pub fn lock_writer(
    conn: &mut Db,
    user: UserId,
    account: Option<AccountId>,
) -> Result<(), StoreError> {
    if let Db::Pg(pg) = conn {
        match account {
            Some(account) => super::schema::accounts::table
                .find(account)
                .select(super::schema::accounts::id)
                .for_no_key_update()
                .first::<AccountId>(pg)
                .map(drop)?,
            None => users::table
                .find(user)
                .select(users::id)
                .for_no_key_update()
                .first::<UserId>(pg)
                .map(drop)?,
        }
    }
    Ok(())
}
