//! Linodes as the API gives them: a page of an account's at a time, in as many queries for one as for all.

use std::collections::HashMap;

use diesel::prelude::*;

use super::address::Ip;
use crate::domain::ids::{AccountId, LinodeId};
use crate::domain::linode::LinodeStatus;
use crate::domain::migration::MigrationState;
use crate::domain::platform::Platform;
use crate::domain::time::Time;
use crate::store::db::{Db, columns};
use crate::store::error::Result;
use crate::store::schema::{hosts, ips, linodes, migrations, plans};

#[derive(Debug, Clone, Queryable)]
pub struct Record {
    pub id: LinodeId,
    pub label: String,
    pub status: LinodeStatus,
    pub status_at: Time,
    pub created_at: Time,
    pub plan: String,
    pub ram_mb: i64,
    pub disk_mb: i64,
    pub vcpus: i32,
    pub platform: Platform,
}

/// A condition on one column of a Linode.
#[derive(Debug, Clone)]
pub enum Only {
    Id(LinodeId),
    IdOver(LinodeId),
    IdUnder(LinodeId),
    Label(String),
    NotLabel(String),
    Status(LinodeStatus),
    NotStatus(LinodeStatus),
}

/// By what a page's rows are in order; each ends in the id, so that pages do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Id,
    Label,
    Created,
}

/// Which page of which Linodes.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub only: Vec<Only>,
    pub order: Order,
    pub descending: bool,
    pub skip: i64,
    pub most: i64,
}

/// A page, with what belongs to its rows.
#[derive(Debug)]
pub struct RecordPage {
    pub rows: Vec<Record>,
    pub all: i64,
    pub ips: HashMap<LinodeId, Vec<Ip>>,
    /// Those that are stopped, copied or started by their move at this moment.
    pub switching: Vec<LinodeId>,
}

macro_rules! narrowed {
    ($query:expr, $only:expr) => {{
        let mut query = $query;
        for only in $only {
            query = match only.clone() {
                Only::Id(id) => query.filter(linodes::id.eq(id)),
                Only::IdOver(id) => query.filter(linodes::id.gt(id)),
                Only::IdUnder(id) => query.filter(linodes::id.lt(id)),
                Only::Label(label) => query.filter(linodes::label.eq(label)),
                Only::NotLabel(label) => query.filter(linodes::label.ne(label)),
                Only::Status(status) => query.filter(linodes::status.eq(status)),
                Only::NotStatus(status) => query.filter(linodes::status.ne(status)),
            };
        }
        query
    }};
}

#[allow(
    clippy::disallowed_methods,
    reason = "a page by its number skips rows, which only Diesel's own pair of clauses says to both databases"
)]
pub fn page(conn: &mut Db, account: AccountId, wanted: &Wanted) -> Result<RecordPage> {
    let counted = linodes::table
        .filter(linodes::account_id.eq(account))
        .select(diesel::dsl::count_star())
        .into_boxed();
    let all: i64 = narrowed!(counted, &wanted.only).get_result(conn)?;
    let rows = linodes::table
        .inner_join(plans::table)
        .inner_join(hosts::table)
        .filter(linodes::account_id.eq(account))
        .select((
            linodes::id,
            linodes::label,
            linodes::status,
            linodes::status_at,
            linodes::created_at,
            plans::label,
            plans::ram_mb,
            plans::disk_mb,
            plans::vcpus,
            hosts::platform,
        ))
        .limit(wanted.most)
        .offset(wanted.skip)
        .into_boxed();
    let rows = match (wanted.order, wanted.descending) {
        (Order::Id, false) => rows.order(linodes::id.asc()),
        (Order::Id, true) => rows.order(linodes::id.desc()),
        (Order::Label, false) => rows.order((linodes::label.asc(), linodes::id)),
        (Order::Label, true) => rows.order((linodes::label.desc(), linodes::id)),
        (Order::Created, false) => rows.order((linodes::created_at.asc(), linodes::id)),
        (Order::Created, true) => rows.order((linodes::created_at.desc(), linodes::id)),
    };
    let rows: Vec<Record> = narrowed!(rows, &wanted.only).load(conn)?;
    let ids: Vec<LinodeId> = rows.iter().map(|row| row.id).collect();
    let found: Vec<(LinodeId, Ip)> = ips::table
        .filter(ips::linode_id.eq_any(ids.clone()))
        .order((ips::linode_id, ips::kind.desc(), ips::id))
        .select((ips::linode_id, columns::<Ip>()))
        .load(conn)?;
    let switching = migrations::table
        .filter(migrations::linode_id.eq_any(ids))
        .filter(migrations::state.eq(MigrationState::Switching))
        .select(migrations::linode_id)
        .load(conn)?;
    let mut ips: HashMap<LinodeId, Vec<Ip>> = HashMap::new();
    for (linode, ip) in found {
        ips.entry(linode).or_default().push(ip);
    }
    Ok(RecordPage {
        rows,
        all,
        ips,
        switching,
    })
}
