//! The queue of migrations, and those that are at work.

use diesel::prelude::*;

use super::Migration;
use crate::domain::account::UserRole;
use crate::domain::ids::{HostId, MigrationId};
use crate::domain::migration::{AT_WORK, MigrationKind, MigrationState};
use crate::domain::placement::Link;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::limit::Limit;
use crate::store::schema::{migrations, users};

fn links(rows: Vec<(MigrationId, HostId, HostId, bool)>) -> Vec<Link> {
    rows.into_iter()
        .map(|(migration, source, destination, is_back)| Link {
            migration,
            source,
            destination,
            is_back,
        })
        .collect()
}

pub fn at_work(conn: &mut Db) -> Result<Vec<Link>, StoreError> {
    Ok(links(
        migrations::table
            .filter(migrations::state.eq_any(AT_WORK))
            .select((
                migrations::id,
                migrations::source_host_id,
                migrations::destination_host_id,
                migrations::kind.eq(MigrationKind::Return),
            ))
            .load(conn)?,
    ))
}

/// Queued migrations whose time has come, in queue order; `limit` bounds one round of the scheduler. `quiet`: without those
/// that the quiet hours hold.
pub fn waiting(conn: &mut Db, now: Time, quiet: bool, limit: i64) -> Result<Vec<Link>, StoreError> {
    let due = migrations::table
        .filter(migrations::state.eq(MigrationState::Queued))
        .filter(
            migrations::not_before
                .is_null()
                .or(migrations::not_before.le(now)),
        )
        .order((migrations::queued_at, migrations::id))
        .select((
            migrations::id,
            migrations::source_host_id,
            migrations::destination_host_id,
            migrations::kind.eq(MigrationKind::Return),
        ));
    if !quiet {
        return Ok(links(due.limited(limit).load(conn)?));
    }
    Ok(links(due.filter(not_held()).limited(limit).load(conn)?))
}

/// What quiet hours do not hold: ways back, and what staff started.
#[diesel::dsl::auto_type]
fn not_held() -> _ {
    let back: MigrationKind = MigrationKind::Return;
    let staff: UserRole = UserRole::Staff;
    let of_staff = users::table
        .filter(users::role.eq(staff))
        .select(users::id.nullable());
    migrations::kind
        .eq(back)
        .nullable()
        .or(migrations::queued_by.eq_any(of_staff))
}

/// How many queued migrations go before this one; `quiet` as for [`waiting`].
pub fn queued_before(
    conn: &mut Db,
    of: &Migration,
    now: Time,
    quiet: bool,
) -> Result<i64, StoreError> {
    let Some(queued_at) = of.queued_at else {
        return Ok(0);
    };
    let before = migrations::table
        .filter(migrations::state.eq(MigrationState::Queued))
        .filter(
            migrations::not_before
                .is_null()
                .or(migrations::not_before.le(now)),
        )
        .filter(
            migrations::queued_at.lt(queued_at).or(migrations::queued_at
                .eq(queued_at)
                .and(migrations::id.lt(of.id))),
        )
        .count();
    if quiet {
        Ok(before.filter(not_held()).get_result(conn)?)
    } else {
        Ok(before.get_result(conn)?)
    }
}
