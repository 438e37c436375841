//! Second factors: what codes are made from, recovery codes, and whose code is waited for.

use diesel::prelude::*;

use crate::domain::ids::UserId;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::schema::{half_sign_ins, recovery_codes, second_factors, users};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = second_factors)]
pub struct SecondFactor {
    pub user_id: UserId,
    pub sealed: String,
    /// No code of this step or before is good.
    pub used_step: i64,
}

pub fn get(conn: &mut Db, user: UserId) -> Result<Option<SecondFactor>> {
    Ok(second_factors::table
        .find(user)
        .select(SecondFactor::as_select())
        .get_result(conn)
        .optional()?)
}

/// In place of the one there was; what waits for its codes ends.
pub fn set(conn: &mut Db, factor: &SecondFactor, now: Time) -> Result<()> {
    clear(conn, factor.user_id)?;
    diesel::insert_into(second_factors::table)
        .values(factor)
        .execute(conn)?;
    set_since(conn, factor.user_id, Some(now))
}

/// With its recovery codes.
pub fn remove(conn: &mut Db, user: UserId) -> Result<()> {
    clear(conn, user)?;
    set_recovery_codes(conn, user, &[])?;
    set_since(conn, user, None)
}

fn clear(conn: &mut Db, user: UserId) -> Result<()> {
    end_halves(conn, user)?;
    diesel::delete(second_factors::table.find(user)).execute(conn)?;
    Ok(())
}

fn set_since(conn: &mut Db, user: UserId, since: Option<Time>) -> Result<()> {
    diesel::update(users::table.find(user))
        .set(users::second_factor_at.eq(since))
        .execute(conn)?;
    Ok(())
}

/// `false`: another one used this step, or a later one.
pub fn use_step(conn: &mut Db, user: UserId, step: i64) -> Result<bool> {
    let unused = second_factors::table
        .find(user)
        .filter(second_factors::used_step.lt(step));
    let used = diesel::update(unused)
        .set(second_factors::used_step.eq(step))
        .execute(conn)?;
    Ok(used == 1)
}

/// In place of those there were.
pub fn set_recovery_codes(conn: &mut Db, user: UserId, hashes: &[String]) -> Result<()> {
    diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user))).execute(conn)?;
    for hash in hashes {
        diesel::insert_into(recovery_codes::table)
            .values((
                recovery_codes::user_id.eq(user),
                recovery_codes::hash.eq(hash),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// `false`: there is no such code, or it was used.
pub fn use_recovery_code(conn: &mut Db, user: UserId, hash: &str) -> Result<bool> {
    Ok(diesel::delete(recovery_codes::table.find((user, hash))).execute(conn)? == 1)
}

pub fn count_recovery_codes(conn: &mut Db, user: UserId) -> Result<i64> {
    Ok(recovery_codes::table
        .filter(recovery_codes::user_id.eq(user))
        .count()
        .get_result(conn)?)
}

pub fn insert_half(conn: &mut Db, hash: &str, user: UserId, expires_at: Time) -> Result<()> {
    diesel::insert_into(half_sign_ins::table)
        .values((
            half_sign_ins::hash.eq(hash),
            half_sign_ins::user_id.eq(user),
            half_sign_ins::expires_at.eq(expires_at),
        ))
        .execute(conn)?;
    Ok(())
}

/// Whose code is waited for.
pub fn half(conn: &mut Db, hash: &str, now: Time) -> Result<Option<UserId>> {
    Ok(half_sign_ins::table
        .find(hash)
        .filter(half_sign_ins::expires_at.gt(now))
        .select(half_sign_ins::user_id)
        .get_result(conn)
        .optional()?)
}

pub fn end_half(conn: &mut Db, hash: &str) -> Result<()> {
    diesel::delete(half_sign_ins::table.find(hash)).execute(conn)?;
    Ok(())
}

/// All of a user's.
pub fn end_halves(conn: &mut Db, user: UserId) -> Result<()> {
    diesel::delete(half_sign_ins::table.filter(half_sign_ins::user_id.eq(user))).execute(conn)?;
    Ok(())
}

pub fn drop_expired_halves(conn: &mut Db, now: Time) -> Result<usize> {
    Ok(
        diesel::delete(half_sign_ins::table.filter(half_sign_ins::expires_at.le(now)))
            .execute(conn)?,
    )
}
