//! What both agents computed of the disks of a migration.

use diesel::prelude::*;

use crate::domain::ids::{DiskId, MigrationId};
use crate::domain::migration::Side;
use crate::domain::time::Time;
use crate::store::db::{Both, Db};
use crate::store::error::Result;
use crate::store::schema::digests;

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = digests)]
pub struct Digest {
    pub migration_id: MigrationId,
    pub disk_id: DiskId,
    /// Which agent computed it.
    pub side: Side,
    pub epoch: i64,
    pub size_bytes: i64,
    pub root: String,
    pub at: Time,
}

impl Digest {
    /// Is it what this side found of the disk in a round of this epoch?
    pub fn is_of(&self, disk: DiskId, side: Side, epoch: i64) -> bool {
        (self.disk_id, self.side, self.epoch) == (disk, side, epoch)
    }
}

pub fn put_digest(conn: &mut Db, digest: &Digest) -> Result<()> {
    Both(
        diesel::insert_into(digests::table)
            .values(digest)
            .on_conflict((digests::migration_id, digests::disk_id, digests::side))
            .do_update()
            .set(digest),
    )
    .execute(conn)?;
    Ok(())
}

pub fn digests(conn: &mut Db, id: MigrationId) -> Result<Vec<Digest>> {
    Ok(digests::table
        .filter(digests::migration_id.eq(id))
        .order((digests::disk_id, digests::side))
        .select(Digest::as_select())
        .load(conn)?)
}
