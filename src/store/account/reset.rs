//! Links by which a password is set anew.

use diesel::prelude::*;

use crate::domain::ids::UserId;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::limit::Limit;
use crate::store::schema::password_resets;

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
        .at_most::<1>()
        .get_result(conn)
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
