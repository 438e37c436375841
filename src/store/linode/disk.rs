//! Disk images of Linodes.

use diesel::prelude::*;

use crate::domain::ids::{DiskId, LinodeId};
use crate::store::db::{Columns, Db, columns, direct};
use crate::store::error::Result;
use crate::store::schema::disks;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = disks)]
pub struct Disk {
    pub id: DiskId,
    pub label: String,
    pub size_mb: i64,
    pub filesystem: String,
}

#[diesel::dsl::auto_type]
pub(super) fn of_linode(linode: LinodeId) -> _ {
    let all: Columns<Disk> = columns::<Disk>();
    disks::table
        .filter(disks::linode_id.eq(linode))
        .order(disks::id)
        .select(all)
}

pub fn disks_of(conn: &mut Db, linode: LinodeId) -> Result<Vec<Disk>> {
    Ok(direct!(conn, |conn| of_linode(linode).load(conn))?)
}

/// Fails with a duplicate if the Linode has a disk of this label.
pub fn rename_disk(conn: &mut Db, id: DiskId, label: &str) -> Result<()> {
    diesel::update(disks::table.find(id))
        .set(disks::label.eq(label))
        .execute(conn)?;
    Ok(())
}
