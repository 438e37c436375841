//! Links by which a password is set anew.

use diesel::prelude::*;

use crate::domain::ids::UserId;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::password_resets;

#[derive(Insertable)]
#[diesel(table_name = password_resets)]
pub struct NewReset<'a> {
    pub hash: &'a str,
    pub user_id: UserId,
    pub created_at: Time,
    pub expires_at: Time,
    /// Who asked for it.
    pub asker: &'a str,
}

pub fn insert_reset(conn: &mut Db, new: &NewReset<'_>) -> Result<()> {
    diesel::insert_into(password_resets::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

/// Who asked for the user's links since then: one for each, at most so many as nobody gets.
pub fn resets_since(conn: &mut Db, user: UserId, since: Time) -> Result<Vec<String>> {
    Ok(password_resets::table
        .filter(password_resets::user_id.eq(user))
        .filter(password_resets::created_at.gt(since))
        .select(password_resets::asker)
        .at_most::<1000>()
        .load(conn)?)
}

/// Whose reset this is, if it can still be used.
pub fn reset_user(conn: &mut Db, hash: &str, now: Time) -> Result<Option<UserId>> {
    Ok(password_resets::table
        .filter(password_resets::hash.eq(hash))
        .filter(password_resets::used_at.is_null())
        .filter(password_resets::expires_at.gt(now))
        .select(password_resets::user_id)
        .one(conn)?)
}

/// Uses the reset up; `None` if it was used, expired or never given.
pub fn use_reset(conn: &mut Db, hash: &str, now: Time) -> Result<Option<UserId>> {
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
pub fn spoil_resets(conn: &mut Db, user: UserId, now: Time) -> Result<()> {
    diesel::update(
        password_resets::table
            .filter(password_resets::user_id.eq(user))
            .filter(password_resets::used_at.is_null()),
    )
    .set(password_resets::used_at.eq(now))
    .execute(conn)?;
    Ok(())
}
