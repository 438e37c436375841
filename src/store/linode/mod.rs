//! Linodes, and who owns them.

pub mod address;
pub mod check;
pub mod directory;
pub mod disk;
pub mod never_both;
pub mod page;
pub mod profile;
pub mod record;

use diesel::prelude::*;

use super::db::{Db, by_key};
use super::error::Result;
use super::name_index;
use super::schema::linodes;
use crate::domain::ids::{AccountId, ConfigId, HostId, LinodeId, PlanId};
use crate::domain::linode::LinodeStatus;
use crate::domain::ownership::Row;
use crate::domain::time::Time;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = linodes)]
pub struct Linode {
    pub id: LinodeId,
    pub account_id: AccountId,
    pub label: String,
    pub plan_id: PlanId,
    /// The owner: the one host that may run it, under `epoch`.
    pub host_id: HostId,
    pub epoch: i64,
    /// The owner has been told of this epoch (or could have been).
    pub fetched: bool,
    pub status: LinodeStatus,
    pub status_at: Time,
    pub mac: String,
    pub boot_config_id: Option<ConfigId>,
    pub console: Option<String>,
    pub created_at: Time,
    /// When `console` was read.
    pub console_at: Option<Time>,
    /// Those of its account with the same name here are never both down for a move; empty: it stands alone.
    pub never_both: String,
}

impl Linode {
    /// Who owns it, as the rules of ownership look at it.
    pub fn row(&self) -> Row {
        Row {
            host: self.host_id,
            epoch: self.epoch,
            fetched: self.fetched,
        }
    }
}

pub fn linode(conn: &mut Db, id: LinodeId) -> Result<Option<Linode>> {
    Ok(by_key!(conn, linodes, id, Linode))
}

/// The Linode if it is this account's; somebody else's looks the same as none.
pub fn linode_of(conn: &mut Db, account: AccountId, id: LinodeId) -> Result<Option<Linode>> {
    Ok(linodes::table
        .find(id)
        .filter(linodes::account_id.eq(account))
        .select(Linode::as_select())
        .get_result(conn)
        .optional()?)
}

/// Takes the Linode's row lock on PostgreSQL, so that of two who ask for the same thing the second sees what the first
/// did. SQLite has one writer anyway.
pub fn lock(conn: &mut Db, id: LinodeId) -> Result<()> {
    if let Db::Pg(pg) = conn {
        linodes::table
            .find(id)
            .select(linodes::id)
            // Others' rows may refer to it meanwhile.
            .for_no_key_update()
            .get_result::<LinodeId>(pg)
            // One that is not there is found out by who looks for it.
            .optional()?;
    }
    Ok(())
}

pub fn linodes_on(conn: &mut Db, host: HostId) -> Result<Vec<Linode>> {
    Ok(linodes::table
        .filter(linodes::host_id.eq(host))
        .order(linodes::id)
        .select(Linode::as_select())
        .load(conn)?)
}

/// Those of these that there are, in no order.
pub fn some(conn: &mut Db, ids: &[LinodeId]) -> Result<Vec<Linode>> {
    Ok(linodes::table
        .filter(linodes::id.eq_any(ids.to_vec()))
        .select(Linode::as_select())
        .load(conn)?)
}

/// The one compare-and-set by which ownership changes; `false` if the Linode is not as `from` says.
pub fn hand_over(conn: &mut Db, linode: LinodeId, (from, to): (Row, Row)) -> Result<bool> {
    let changed = diesel::update(
        linodes::table
            .find(linode)
            .filter(linodes::host_id.eq(from.host))
            .filter(linodes::epoch.eq(from.epoch))
            .filter(linodes::fetched.eq(from.fetched)),
    )
    .set((
        linodes::host_id.eq(to.host),
        linodes::epoch.eq(to.epoch),
        linodes::fetched.eq(to.fetched),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

pub fn set_status(conn: &mut Db, linode: LinodeId, status: LinodeStatus, now: Time) -> Result<()> {
    diesel::update(linodes::table.find(linode))
        .set((linodes::status.eq(status), linodes::status_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

pub fn set_console(conn: &mut Db, linode: LinodeId, console: &str, now: Time) -> Result<()> {
    diesel::update(linodes::table.find(linode))
        .set((linodes::console.eq(console), linodes::console_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

/// A duplicate if another Linode of its account has this label.
pub fn rename_linode(conn: &mut Db, id: LinodeId, label: &str) -> Result<()> {
    diesel::update(linodes::table.find(id))
        .set(linodes::label.eq(label))
        .execute(conn)?;
    name_index::set_linode(conn, id, label)
}
