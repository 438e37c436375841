//! What members meant by the times they chose: see [`crate::app::migration::chosen`].

use diesel::prelude::*;

use crate::domain::ids::MigrationId;
use crate::domain::time::Time;
use crate::store::db::{Both, Db};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::chosen_times;

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = chosen_times)]
pub struct ChosenTime {
    pub migration_id: MigrationId,
    /// The moment that it was, by the list of zones of then.
    pub at: Time,
    pub zone: String,
    /// What the clocks of the zone show then, `2026-12-10T10:00:00`.
    pub local: String,
    /// The edition of the list of zones.
    pub zones: String,
}

/// Another one takes its place.
pub fn put(conn: &mut Db, chosen: &ChosenTime) -> Result<()> {
    Both(
        diesel::insert_into(chosen_times::table)
            .values(chosen)
            .on_conflict(chosen_times::migration_id)
            .do_update()
            .set(chosen),
    )
    .execute(conn)?;
    Ok(())
}

/// Those that were made by an older list.
pub fn older_than(conn: &mut Db, zones: &str, limit: i64) -> Result<Vec<ChosenTime>> {
    Ok(chosen_times::table
        .filter(chosen_times::zones.lt(zones.to_owned()))
        .order(chosen_times::migration_id)
        .select(ChosenTime::as_select())
        .limited(limit)
        .load(conn)?)
}
