//! Receipts of moves as they were signed, and the keys they are signed with.

use diesel::prelude::*;

use super::db::{Both, Db, by_key};
use super::error::Result;
use super::schema::{receipt_keys, receipts};
use crate::domain::ids::MigrationId;
use crate::domain::time::Time;
use crate::store::limit::Limit;

/// A key with its secret half.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = receipt_keys)]
pub struct Key {
    pub id: String,
    pub public: String,
    pub secret: String,
    pub made_at: Time,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What a list shows of a key.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = receipt_keys)]
pub struct Listed {
    pub id: String,
    pub public: String,
    pub made_at: Time,
    pub retired_at: Option<Time>,
}

/// The one that signs.
pub fn current_key(conn: &mut Db) -> Result<Option<Key>> {
    Ok(receipt_keys::table
        .filter(receipt_keys::retired_at.is_null())
        .select(super::db::columns::<Key>())
        .get_result(conn)
        .optional()?)
}

/// `false`: there is one that signs already, also if another transaction made it at the same moment.
pub fn insert_key(conn: &mut Db, key: &Key) -> Result<bool> {
    let inserted = Both(
        diesel::insert_into(receipt_keys::table)
            .values(key)
            .on_conflict_do_nothing(),
    )
    .execute(conn)?;
    Ok(inserted == 1)
}

/// `false`: it does not sign any more.
pub fn retire_key(conn: &mut Db, id: &str, now: Time) -> Result<bool> {
    let current = receipt_keys::table
        .filter(receipt_keys::id.eq(id))
        .filter(receipt_keys::retired_at.is_null());
    let retired = diesel::update(current)
        .set(receipt_keys::retired_at.eq(now))
        .execute(conn)?;
    Ok(retired == 1)
}

/// All that ever signed, the newest first.
pub fn keys(conn: &mut Db) -> Result<Vec<Listed>> {
    Ok(receipt_keys::table
        .order((receipt_keys::made_at.desc(), receipt_keys::id))
        .select(Listed::as_select())
        .at_most::<1000>()
        .load(conn)?)
}

/// What is there already stays.
pub fn insert(conn: &mut Db, of: MigrationId, body: &str, now: Time) -> Result<()> {
    Both(
        diesel::insert_into(receipts::table)
            .values((
                receipts::migration_id.eq(of),
                receipts::body.eq(body),
                receipts::made_at.eq(now),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(conn)?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = receipts)]
struct Body {
    body: String,
}

pub fn body(conn: &mut Db, of: MigrationId) -> Result<Option<String>> {
    let found: Option<Body> = by_key!(conn, receipts, of, Body);
    Ok(found.map(|it| it.body))
}
