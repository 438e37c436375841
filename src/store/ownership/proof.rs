//! What owners showed of their disks, the newest for each Linode.

use diesel::prelude::*;

use crate::domain::ids::{HostId, LinodeId};
use crate::domain::time::Time;
use crate::store::db::{Both, Db, by_key};
use crate::store::error::Result;
use crate::store::schema::proofs;

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = proofs)]
pub struct ProofRow {
    pub linode_id: LinodeId,
    pub host_id: HostId,
    pub epoch: i64,
    pub running: bool,
    pub at: Time,
    /// The portal's watched seconds then.
    pub watched_s: i64,
}

pub fn put(conn: &mut Db, proof: &ProofRow) -> Result<()> {
    Both(
        diesel::insert_into(proofs::table)
            .values(proof)
            .on_conflict(proofs::linode_id)
            .do_update()
            .set(proof),
    )
    .execute(conn)?;
    Ok(())
}

pub fn of(conn: &mut Db, linode: LinodeId) -> Result<Option<ProofRow>> {
    Ok(by_key!(conn, proofs, linode, ProofRow))
}

pub fn forget(conn: &mut Db, before: Time) -> Result<usize> {
    Ok(diesel::delete(proofs::table.filter(proofs::at.lt(before))).execute(conn)?)
}
