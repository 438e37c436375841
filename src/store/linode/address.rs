//! IP addresses of Linodes.

use diesel::prelude::*;

use crate::domain::ids::{HostId, IpId, LinodeId};
use crate::domain::linode::IpKind;
use crate::store::db::{Db, direct};
use crate::store::error::StoreError;
use crate::store::schema::ips;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = ips)]
pub struct Ip {
    pub id: IpId,
    pub address: String,
    pub host_id: HostId,
    pub prefix: i32,
    pub gateway: Option<String>,
    pub kind: IpKind,
    pub rdns: String,
}

pub fn ips_of(conn: &mut Db, linode: LinodeId) -> Result<Vec<Ip>, StoreError> {
    Ok(direct!(conn, |conn| ips::table
        .filter(ips::linode_id.eq(linode))
        .order((ips::kind.desc(), ips::id))
        .select(Ip::as_select())
        .load(conn))?)
}

pub fn set_rdns(conn: &mut Db, id: IpId, name: &str) -> Result<(), StoreError> {
    diesel::update(ips::table.find(id))
        .set(ips::rdns.eq(name))
        .execute(conn)?;
    Ok(())
}
