//! What hangs on a bug: whom it hits, the facts its author sent along, the migrations it explains.

use std::collections::HashMap;

use diesel::prelude::*;

use super::Bug;
use crate::domain::bug::FactKind;
use crate::domain::ids::{BugId, MigrationId, UserId};
use crate::domain::migration::MigrationState;
use crate::domain::time::Time;
use crate::store::db::{Both, Db};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{bug_facts, bug_hits, bug_migrations, bugs, linodes, migrations};

// Whom it hits.

/// `false` if it did already.
pub fn insert_hit(conn: &mut Db, bug: BugId, user: UserId, now: Time) -> Result<bool> {
    let new = (
        bug_hits::bug_id.eq(bug),
        bug_hits::user_id.eq(user),
        bug_hits::at.eq(now),
    );
    let sql = diesel::insert_into(bug_hits::table)
        .values(new)
        .on_conflict((bug_hits::bug_id, bug_hits::user_id))
        .do_nothing();
    Ok(Both(sql).execute(conn)? == 1)
}

/// Takes back what a user said of any bug of a family, but where they opened it.
pub fn remove_hits(conn: &mut Db, root: BugId, user: UserId) -> Result<usize> {
    let family = bugs::table
        .filter(bugs::root_id.eq(root))
        .filter(bugs::opened_by.ne(user))
        .select(bugs::id);
    Ok(diesel::delete(
        bug_hits::table
            .filter(bug_hits::user_id.eq(user))
            .filter(bug_hits::bug_id.eq_any(family)),
    )
    .execute(conn)?)
}

/// How many members each of these bugs hits, its duplicates' members among them.
pub fn hits(conn: &mut Db, roots: &[BugId]) -> Result<HashMap<BugId, i64>> {
    use diesel::expression_methods::AggregateExpressionMethods;
    let rows: Vec<(BugId, i64)> = bug_hits::table
        .inner_join(bugs::table)
        .filter(bugs::root_id.eq_any(roots.to_vec()))
        .group_by(bugs::root_id)
        .select((
            bugs::root_id,
            diesel::dsl::count(bug_hits::user_id).aggregate_distinct(),
        ))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

/// Of a family, the bugs that hit this user, with whether they opened it.
pub fn hits_user(conn: &mut Db, root: BugId, user: UserId) -> Result<Vec<bool>> {
    let rows: Vec<UserId> = bug_hits::table
        .inner_join(bugs::table)
        .filter(bugs::root_id.eq(root))
        .filter(bug_hits::user_id.eq(user))
        .select(bugs::opened_by)
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|opened_by| opened_by == user)
        .collect())
}

// Facts and migrations.

pub fn insert_fact(conn: &mut Db, bug: BugId, kind: FactKind, value: &str) -> Result<()> {
    diesel::insert_into(bug_facts::table)
        .values((
            bug_facts::bug_id.eq(bug),
            bug_facts::kind.eq(kind),
            bug_facts::value.eq(value),
        ))
        .execute(conn)?;
    Ok(())
}

pub fn facts(conn: &mut Db, bug: BugId) -> Result<Vec<(FactKind, String)>> {
    Ok(bug_facts::table
        .filter(bug_facts::bug_id.eq(bug))
        .select((bug_facts::kind, bug_facts::value))
        .load(conn)?)
}

/// `false` if they are linked already.
pub fn link_migration(
    conn: &mut Db,
    bug: BugId,
    migration: MigrationId,
    by: UserId,
    now: Time,
) -> Result<bool> {
    let new = (
        bug_migrations::bug_id.eq(bug),
        bug_migrations::migration_id.eq(migration),
        bug_migrations::linked_by.eq(by),
        bug_migrations::at.eq(now),
    );
    let sql = diesel::insert_into(bug_migrations::table)
        .values(new)
        .on_conflict((bug_migrations::bug_id, bug_migrations::migration_id))
        .do_nothing();
    Ok(Both(sql).execute(conn)? == 1)
}

pub fn unlink_migration(conn: &mut Db, bug: BugId, migration: MigrationId) -> Result<bool> {
    Ok(diesel::delete(bug_migrations::table.find((bug, migration))).execute(conn)? == 1)
}

/// The migrations a bug explains, newest first, with their Linodes: at most 100.
pub fn migrations_of(
    conn: &mut Db,
    bug: BugId,
) -> Result<Vec<(MigrationId, MigrationState, String)>> {
    Ok(bug_migrations::table
        .inner_join(migrations::table.inner_join(linodes::table))
        .filter(bug_migrations::bug_id.eq(bug))
        .order(bug_migrations::migration_id.desc())
        .select((migrations::id, migrations::state, linodes::label))
        .at_most::<100>()
        .load(conn)?)
}

/// The bugs that explain a migration: at most 50.
pub fn explaining(conn: &mut Db, migration: MigrationId) -> Result<Vec<Bug>> {
    Ok(bug_migrations::table
        .inner_join(bugs::table)
        .filter(bug_migrations::migration_id.eq(migration))
        .order(bugs::id)
        .select(Bug::as_select())
        .at_most::<50>()
        .load(conn)?)
}
