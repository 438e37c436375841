//! What the page of a host shows, read in a fixed number of queries.

use diesel::prelude::*;

use super::Host;
use crate::domain::ids::HostId;
use crate::domain::migration::MigrationState;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::linode::Linode;
use crate::store::migration::list::{MigrationFilter, MigrationRow, migrations};
use crate::store::schema::{accounts, linodes, plans};

/// A host with its occupants: at most 500, by label.
pub struct HostDetail {
    pub host: Host,
    pub plan: Option<String>,
    pub occupants: Vec<(Linode, String, String)>,
    pub occupants_in_all: i64,
    pub arriving: Vec<MigrationRow>,
}

pub fn host(conn: &mut Db, id: HostId) -> Result<Option<HostDetail>> {
    let Some(host) = super::host(conn, id)? else {
        return Ok(None);
    };
    let plan = host
        .plan_id
        .map(|plan| crate::store::catalogue::plan(conn, plan))
        .transpose()?
        .map(|plan| plan.label);
    let occupants = linodes::table
        .inner_join(plans::table)
        .inner_join(accounts::table)
        .filter(linodes::host_id.eq(id))
        .order((linodes::label, linodes::id))
        .select((Linode::as_select(), plans::label, accounts::name))
        .at_most::<500>()
        .load(conn)?;
    let occupants_in_all = linodes::table
        .filter(linodes::host_id.eq(id))
        .count()
        .get_result(conn)?;
    let live = [
        MigrationState::Offered,
        MigrationState::Queued,
        MigrationState::Preparing,
        MigrationState::Copying,
        MigrationState::Holding,
        MigrationState::Switching,
    ];
    let filter = MigrationFilter {
        states: live.to_vec(),
        host: Some(id),
        ..MigrationFilter::default()
    };
    let arriving = migrations(conn, &filter, None, 200)?;
    Ok(Some(HostDetail {
        host,
        plan,
        occupants,
        occupants_in_all,
        arriving,
    }))
}
