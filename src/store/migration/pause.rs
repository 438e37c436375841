//! Whether new moves are paused: one row while they are.

use diesel::prelude::*;

use crate::domain::ids::UserId;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::schema::{move_pause, users};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = move_pause)]
pub struct MovePause {
    pub reason: String,
    pub made_by: UserId,
    pub made_at: Time,
}

/// A duplicate if they are paused already.
pub fn insert(conn: &mut Db, new: &MovePause) -> Result<()> {
    diesel::insert_into(move_pause::table)
        .values((move_pause::id.eq(1_i64), new))
        .execute(conn)?;
    Ok(())
}

/// `false`: they were not paused.
pub fn end(conn: &mut Db) -> Result<bool> {
    Ok(diesel::delete(move_pause::table).execute(conn)? == 1)
}

/// Since when.
pub fn since(conn: &mut Db) -> Result<Option<Time>> {
    Ok(move_pause::table
        .find(1_i64)
        .select(move_pause::made_at)
        .get_result(conn)
        .optional()?)
}

/// With who made it.
pub fn get(conn: &mut Db) -> Result<Option<(MovePause, String)>> {
    Ok(move_pause::table
        .inner_join(users::table)
        .select((MovePause::as_select(), users::email))
        .filter(move_pause::id.eq(1_i64))
        .get_result(conn)
        .optional()?)
}
