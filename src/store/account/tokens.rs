//! API tokens: only their hashes are kept, with what tells one from another.

use diesel::prelude::*;

use crate::domain::account::TokenScope;
use crate::domain::ids::{TokenId, UserId};
use crate::domain::time::Time;
use crate::store::account::User;
use crate::store::db::{Both, Db, columns, direct};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{api_tokens, users};

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = api_tokens)]
pub struct ApiToken {
    pub id: TokenId,
    pub label: String,
    pub scope: TokenScope,
    pub created_at: Time,
    pub used_at: Option<Time>,
    pub expires_at: Option<Time>,
    /// Its first characters; empty for one that was put in from elsewhere.
    pub prefix: String,
}

#[derive(Insertable)]
#[diesel(table_name = api_tokens)]
pub struct NewToken<'a> {
    pub hash: &'a str,
    pub user_id: UserId,
    pub label: &'a str,
    pub scope: TokenScope,
    pub created_at: Time,
    pub expires_at: Option<Time>,
    pub prefix: &'a str,
    /// The form it was made with: one form makes one token.
    pub form: &'a str,
}

/// `false` if this form has made its token already.
pub fn insert(conn: &mut Db, token: &NewToken<'_>) -> Result<bool> {
    let added = Both(
        diesel::insert_into(api_tokens::table)
            .values(token)
            .on_conflict_do_nothing(),
    )
    .execute(conn)?;
    Ok(added == 1)
}

/// Those that were not revoked, newest first: at most a hundred.
pub fn of_user(conn: &mut Db, user: UserId) -> Result<Vec<ApiToken>> {
    Ok(api_tokens::table
        .filter(api_tokens::user_id.eq(user))
        .filter(api_tokens::revoked_at.is_null())
        .order(api_tokens::id.desc())
        .select(ApiToken::as_select())
        .at_most::<100>()
        .load(conn)?)
}

/// Has this form of the user's made a token, be it revoked since?
pub fn form_used(conn: &mut Db, user: UserId, form: &str) -> Result<bool> {
    let found: Option<TokenId> = api_tokens::table
        .filter(api_tokens::user_id.eq(user))
        .filter(api_tokens::form.eq(form))
        .select(api_tokens::id)
        .one(conn)?;
    Ok(found.is_some())
}

/// Revokes a token of this user; `false` if there is none, or it was revoked before. Its hash goes too, so that it opens
/// nothing whoever looks it up.
pub fn revoke(conn: &mut Db, user: UserId, id: TokenId, now: Time) -> Result<bool> {
    Ok(diesel::update(
        api_tokens::table
            .find(id)
            .filter(api_tokens::user_id.eq(user))
            .filter(api_tokens::revoked_at.is_null()),
    )
    .set((
        api_tokens::revoked_at.eq(now),
        api_tokens::hash.eq(format!("revoked {id}")),
    ))
    .execute(conn)?
        == 1)
}

/// Revokes every token of this user; says how many that were alive.
pub fn revoke_all(conn: &mut Db, user: UserId, now: Time) -> Result<usize> {
    let alive = count_live(conn, user, now)?;
    let ids: Vec<TokenId> = api_tokens::table
        .filter(api_tokens::user_id.eq(user))
        .filter(api_tokens::revoked_at.is_null())
        .select(api_tokens::id)
        .load(conn)?;
    for id in ids {
        revoke(conn, user, id, now)?;
    }
    Ok(usize::try_from(alive).unwrap_or(0))
}

#[diesel::dsl::auto_type]
fn is_live(now: Time) -> _ {
    let goes_on = api_tokens::expires_at
        .is_null()
        .or(api_tokens::expires_at.gt(now));
    api_tokens::revoked_at.is_null().and(goes_on)
}

/// Those that open something: neither revoked nor at their end.
pub fn count_live(conn: &mut Db, user: UserId, now: Time) -> Result<i64> {
    Ok(api_tokens::table
        .filter(api_tokens::user_id.eq(user))
        .filter(is_live(now))
        .count()
        .get_result(conn)?)
}

/// The token of this hash with its user, if it opens something: not revoked, not at its end, its user not disabled.
pub fn live(conn: &mut Db, hash: &str, now: Time) -> Result<Option<(ApiToken, User)>> {
    Ok(direct!(conn, |conn| api_tokens::table
        .inner_join(users::table)
        .filter(api_tokens::hash.eq(hash))
        .filter(is_live(now))
        .filter(users::disabled.eq(false))
        .select((columns::<ApiToken>(), columns::<User>()))
        .get_result(conn))
    .optional()?)
}

pub fn touch(conn: &mut Db, id: TokenId, now: Time) -> Result<()> {
    diesel::update(api_tokens::table.find(id))
        .set(api_tokens::used_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// Is it this user's, revoked or not?
pub fn is_theirs(conn: &mut Db, user: UserId, id: TokenId) -> Result<bool> {
    let found: Option<TokenId> = api_tokens::table
        .find(id)
        .filter(api_tokens::user_id.eq(user))
        .select(api_tokens::id)
        .get_result(conn)
        .optional()?;
    Ok(found.is_some())
}

/// Forgets tokens that were revoked, or came to their end, before `before`.
pub fn drop_dead(conn: &mut Db, before: Time) -> Result<usize> {
    let dead = api_tokens::revoked_at
        .lt(before)
        .or(api_tokens::expires_at.lt(before));
    Ok(diesel::delete(api_tokens::table.filter(dead)).execute(conn)?)
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
pub fn insert_api_token(conn: &mut Db, token: &NewApiToken<'_>) -> Result<()> {
    Both(
        diesel::insert_into(api_tokens::table)
            .values(token)
            .on_conflict(api_tokens::hash)
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(())
}
