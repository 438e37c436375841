//! Jobs as the database has them.

use diesel::prelude::*;
use xenbeta::domain::ids::{LinodeId, MigrationId};
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;
use xenbeta::store::job::Job;
use xenbeta::store::schema::jobs;

/// The Linode's Host Job Queue, newest first.
pub fn of_linode(conn: &mut Db, linode: LinodeId, limit: i64) -> Result<Vec<Job>, StoreError> {
    Ok(jobs::table
        .filter(jobs::linode_id.eq(linode))
        .order(jobs::id.desc())
        .limit(limit)
        .select(Job::as_select())
        .load(conn)?)
}

pub fn of_migration(conn: &mut Db, migration: MigrationId) -> Result<Vec<Job>, StoreError> {
    Ok(jobs::table
        .filter(jobs::migration_id.eq(migration))
        .order(jobs::id)
        .limit(1000)
        .select(Job::as_select())
        .load(conn)?)
}
