//! Hosts: what they are, in which state, and when they were heard of.

pub mod credential;
pub mod page;
pub mod room;
pub mod silence;

use std::collections::HashMap;

use diesel::prelude::*;

use super::db::{Db, by_key, columns};
use super::error::{Result, StoreError};
use super::schema::{self, hosts};
use crate::domain::host::{HostRole, HostState};
use crate::domain::ids::{HostId, PlanId};
use crate::domain::placement::{self, Standing};
use crate::domain::platform::Platform;
use crate::domain::time::Time;
use crate::store::limit::Limit;
use crate::wire::KernelReport;

pub use super::ownership::ledger::{
    Memory, depends_on, pin_ledger, set_ledger_fault, set_memory, set_protocol, set_waived,
    unpin_ledger,
};

#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = hosts)]
pub struct Host {
    pub id: HostId,
    pub name: String,
    pub platform: Platform,
    pub role: HostRole,
    pub plan_id: Option<PlanId>,
    pub state: HostState,
    pub memory_mb: i64,
    pub disk_mb: i64,
    pub disk_free_mb: Option<i64>,
    pub slots: i32,
    pub cap_mb_s: Option<i32>,
    pub tells_changes: bool,
    pub transfer_address: Option<String>,
    pub fingerprint: Option<String>,
    pub agent_version: Option<String>,
    pub unknown_disks: String,
    pub last_seen_at: Option<Time>,
    /// JSON: list of `wire::KernelReport`. Read it with [`Host::kernel_list`].
    pub kernels: String,
    /// Since when staff empty it.
    pub emptying_since: Option<Time>,
    /// `wire::PROTOCOL` of its agent.
    pub protocol: i32,
    /// The ledger that was pinned: its id, the newest serial heard of, its machine, its place there.
    pub ledger_id: Option<String>,
    pub ledger_serial: Option<i64>,
    pub ledger_machine: Option<String>,
    pub ledger_place: Option<String>,
    /// Why its ledger is not trusted; empty: it is.
    pub ledger_fault: String,
    pub ledger_fault_at: Option<Time>,
    /// The portal's incarnation in which it last reported, and the one in which two staff said that it is off.
    pub reported_in: Option<String>,
    pub waived_in: Option<String>,
    /// JSON: Linodes of which its last report contradicted the portal.
    pub contrary: String,
    /// JSON: `[linode, generation, sealed]` of the disks that it has of Linodes it does not own.
    pub sealed_here: String,
    /// The boot of it that its agent last spoke from.
    pub boot_id: Option<String>,
    /// JSON: Linodes that ran when that boot began, and that it could not look at since.
    pub unseen: String,
}

impl Host {
    /// How the Linodes on it stand to the beta.
    pub fn standing(&self) -> Standing {
        placement::standing(self.platform, self.role)
    }

    /// The kernels its agent last reported; none from a host that was never heard of, or that takes any.
    pub fn kernel_list(&self) -> Result<Vec<KernelReport>> {
        kernels_of(self.id, &self.kernels)
    }
}

pub(super) fn kernels_of(host: HostId, json: &str) -> Result<Vec<KernelReport>> {
    serde_json::from_str(json)
        .map_err(|error| StoreError::Data(format!("kernels of host {host}: {error}")))
}

#[derive(Insertable)]
#[diesel(table_name = hosts)]
pub struct NewHost<'a> {
    pub name: &'a str,
    pub platform: Platform,
    pub role: HostRole,
    pub plan_id: Option<PlanId>,
    pub state: HostState,
    pub memory_mb: i64,
    pub disk_mb: i64,
    pub slots: i32,
    pub cap_mb_s: Option<i32>,
    pub created_at: Time,
}

pub fn insert(conn: &mut Db, host: &NewHost<'_>) -> Result<Host> {
    Ok(diesel::insert_into(hosts::table)
        .values(host)
        .returning(columns::<Host>())
        .get_result(conn)?)
}

pub fn all(conn: &mut Db) -> Result<Vec<Host>> {
    Ok(hosts::table
        .order(hosts::name)
        .select(Host::as_select())
        .load(conn)?)
}

/// Which hosts a list is about: all that is set holds for each.
#[derive(Debug, Clone, Default)]
pub struct HostFilter {
    /// Should speak, and were not heard of since.
    pub silent_since: Option<Time>,
    /// Staff empty it.
    pub emptying: bool,
    /// Its ledger is not trusted.
    pub untrusted: bool,
    /// A part of its name.
    pub text: String,
}

/// A page of the list, by name; `after`: the name of the last row seen.
pub fn page(
    conn: &mut Db,
    filter: &HostFilter,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Host>> {
    let mut query = hosts::table
        .order(hosts::name)
        .select(Host::as_select())
        .into_boxed();
    if let Some(since) = filter.silent_since {
        query = query.filter(silence::is_silent(since));
    }
    if filter.emptying {
        query = query.filter(hosts::emptying_since.is_not_null());
    }
    if !filter.text.is_empty() {
        // Names have neither of the signs that mean something here.
        let part = filter.text.to_lowercase().replace(['%', '_'], " ");
        query = query.filter(hosts::name.like(format!("%{part}%")));
    }
    if filter.untrusted {
        query = query
            .filter(hosts::ledger_fault.ne(""))
            .filter(hosts::state.ne(HostState::Quarantined));
    }
    if let Some(after) = after {
        query = query.filter(hosts::name.gt(after.to_owned()));
    }
    Ok(query.limited(limit).load(conn)?)
}

/// Every host's name, in order.
pub fn names(conn: &mut Db) -> Result<Vec<(HostId, String)>> {
    Ok(hosts::table
        .order(hosts::name)
        .select((hosts::id, hosts::name))
        .load(conn)?)
}

pub fn host(conn: &mut Db, id: HostId) -> Result<Option<Host>> {
    Ok(by_key!(conn, hosts, id, Host))
}

/// Those of these that there are, in no order.
pub fn some(conn: &mut Db, ids: &[HostId]) -> Result<Vec<Host>> {
    Ok(hosts::table
        .filter(hosts::id.eq_any(ids.to_vec()))
        .select(Host::as_select())
        .load(conn)?)
}

pub fn by_name(conn: &mut Db, name: &str) -> Result<Option<Host>> {
    Ok(hosts::table
        .filter(hosts::name.eq(name))
        .select(Host::as_select())
        .one(conn)?)
}

/// Takes the host's row lock on PostgreSQL, so that two offers cannot both take the last of its memory.
/// SQLite has one writer anyway.
pub fn lock(conn: &mut Db, id: HostId) -> Result<()> {
    if let Db::Pg(pg) = conn {
        hosts::table
            .find(id)
            .select(hosts::id)
            // Others' rows may refer to it meanwhile.
            .for_no_key_update()
            .get_result::<HostId>(pg)
            // One that is not there is found out by who looks for it.
            .optional()?;
    }
    Ok(())
}

/// May the host be given jobs: it is neither disabled nor quarantined, and its agent's credential was not revoked.
/// Its ledger must be trusted, too, and have been at its place since before `settled`.
pub fn takes_jobs(conn: &mut Db, id: HostId, settled: Time) -> Result<bool> {
    Ok(diesel::select(diesel::dsl::exists(
        hosts::table
            .find(id)
            .filter(hosts::credential_hash.is_not_null())
            .filter(hosts::ledger_fault.eq(""))
            .filter(
                hosts::ledger_moved_at
                    .is_null()
                    .or(hosts::ledger_moved_at.le(settled)),
            )
            .filter(hosts::state.eq_any(HostState::TAKING_PART)),
    ))
    .get_result(conn)?)
}

/// Does its agent speak this version of the wire, or a newer one?
pub fn speaks(conn: &mut Db, id: HostId, protocol: u32) -> Result<bool> {
    let protocol = i32::try_from(protocol).unwrap_or(i32::MAX);
    Ok(diesel::select(diesel::dsl::exists(
        hosts::table.find(id).filter(hosts::protocol.ge(protocol)),
    ))
    .get_result(conn)?)
}

pub struct Seen<'a> {
    pub agent_version: &'a str,
    /// `None`: it could not be found out.
    pub disk_free_mb: Option<i64>,
    pub tells_changes: bool,
    pub unknown_disks: &'a str,
    /// JSON list of `wire::KernelReport`.
    pub kernels: &'a str,
    pub now: Time,
}

pub fn set_seen(conn: &mut Db, id: HostId, seen: &Seen<'_>) -> Result<()> {
    diesel::update(hosts::table.find(id))
        .set((
            hosts::agent_version.eq(seen.agent_version),
            hosts::disk_free_mb.eq(seen.disk_free_mb),
            hosts::tells_changes.eq(seen.tells_changes),
            hosts::unknown_disks.eq(seen.unknown_disks),
            hosts::kernels.eq(seen.kernels),
            hosts::last_seen_at.eq(seen.now),
        ))
        .execute(conn)?;
    Ok(())
}

/// A host that is not draining (any more) is not being emptied, either.
pub fn set_state(conn: &mut Db, id: HostId, state: HostState) -> Result<()> {
    let host = diesel::update(hosts::table.find(id));
    if state == HostState::Draining {
        host.set(hosts::state.eq(state)).execute(conn)?;
    } else {
        host.set((
            hosts::state.eq(state),
            hosts::emptying_since.eq(None::<Time>),
        ))
        .execute(conn)?;
    }
    Ok(())
}

/// Staff empty it from now on.
pub fn set_emptying(conn: &mut Db, id: HostId, since: Time) -> Result<()> {
    diesel::update(hosts::table.find(id))
        .set((
            hosts::state.eq(HostState::Draining),
            hosts::emptying_since.eq(since),
        ))
        .execute(conn)?;
    Ok(())
}

/// `slots`: migrations the host takes part in at once. `cap_mb_s`: `None` is no cap.
pub fn set_limits(conn: &mut Db, id: HostId, slots: i32, cap_mb_s: Option<i32>) -> Result<()> {
    diesel::update(hosts::table.find(id))
        .set((hosts::slots.eq(slots), hosts::cap_mb_s.eq(cap_mb_s)))
        .execute(conn)?;
    Ok(())
}

/// Names of these hosts.
pub fn host_names(conn: &mut Db, mut of: Vec<HostId>) -> Result<HashMap<HostId, String>> {
    of.sort_unstable();
    of.dedup();
    let rows: Vec<(HostId, String)> = schema::hosts::table
        .filter(schema::hosts::id.eq_any(of))
        .select((schema::hosts::id, schema::hosts::name))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}
