//! IP addresses of Linodes.

use diesel::prelude::*;

use crate::domain::ids::{HostId, IpId, LinodeId};
use crate::domain::linode::IpKind;
use crate::store::db::{Columns, Db, columns, direct};
use crate::store::error::Result;
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

#[diesel::dsl::auto_type]
pub(super) fn of_linode(linode: LinodeId) -> _ {
    let all: Columns<Ip> = columns::<Ip>();
    ips::table
        .filter(ips::linode_id.eq(linode))
        .order((ips::kind.desc(), ips::id))
        .select(all)
}

pub fn ips_of(conn: &mut Db, linode: LinodeId) -> Result<Vec<Ip>> {
    Ok(direct!(conn, |conn| of_linode(linode).load(conn))?)
}

pub fn set_rdns(conn: &mut Db, id: IpId, name: &str) -> Result<()> {
    diesel::update(ips::table.find(id))
        .set(ips::rdns.eq(name))
        .execute(conn)?;
    Ok(())
}
