//! Linodes as staff's list and page show them, whoever's they are, read in a number of queries that does not grow with the
//! number of rows.

use std::net::IpAddr;

use diesel::dsl::exists;
use diesel::prelude::*;

use super::page::{
    LinodeDetail, Moved, Registered, first_address, newest_moves, newest_registrations,
};
use crate::domain::bug::{BugState, FactKind};
use crate::domain::ids::{AccountId, BugId, HostId, LinodeId, UserId};
use crate::domain::linode::LinodeStatus;
use crate::domain::platform::Platform;
use crate::domain::registration::RegistrationState;
use crate::domain::time::Time;
use crate::store::db::{Db, columns};
use crate::store::error::Result;
use crate::store::limit::{FirstOf, Limit};
use crate::store::name_index;
use crate::store::schema::{
    accounts, bug_facts, bug_migrations, bugs, hosts, ips, linodes, migrations, plans,
    registrations, users,
};

#[derive(Debug, Clone, Default)]
pub struct LinodeFilter {
    pub platform: Option<Platform>,
    pub host: Option<HostId>,
    /// Parts of its label, its account's name, or its people's: see `store::name_index`; or one of its addresses.
    pub text: String,
}

/// A Linode in the list.
#[derive(Debug, Clone, Queryable)]
pub struct Entry {
    pub id: LinodeId,
    pub label: String,
    pub status: LinodeStatus,
    pub account: String,
    pub plan: String,
    pub host_id: HostId,
    pub host: String,
    pub platform: Platform,
    /// Its first public address.
    pub address: Option<String>,
}

/// … with the newest of what concerns its move.
pub struct EntryRow {
    pub entry: Entry,
    pub registration: Option<RegistrationState>,
    pub migration: Option<Moved>,
}

/// By label; `after`: the last one of the page before.
pub fn entries(
    conn: &mut Db,
    filter: &LinodeFilter,
    after: Option<LinodeId>,
    limit: i64,
) -> Result<Vec<EntryRow>> {
    let address: FirstOf<first_address> = first_address().first_value();
    let mut query = linodes::table
        .inner_join(accounts::table)
        .inner_join(plans::table)
        .inner_join(hosts::table)
        .order((linodes::label, linodes::id))
        .select((
            linodes::id,
            linodes::label,
            linodes::status,
            accounts::name,
            plans::label,
            linodes::host_id,
            hosts::name,
            hosts::platform,
            address,
        ))
        .into_boxed();
    if let Some(platform) = filter.platform {
        query = query.filter(hosts::platform.eq(platform));
    }
    if let Some(host) = filter.host {
        query = query.filter(linodes::host_id.eq(host));
    }
    if let Ok(address) = filter.text.trim().parse::<IpAddr>() {
        let having = ips::table
            .filter(ips::linode_id.eq(linodes::id))
            .filter(ips::address.eq(address.to_string()));
        query = query.filter(exists(having));
    } else {
        for condition in name_index::linodes_with(conn, &filter.text) {
            query = query.filter(condition);
        }
    }
    if let Some(after) = after {
        // One that is there no more has no place in the list: the list begins anew.
        let label = super::linode(conn, after)?.map_or_else(String::new, |it| it.label);
        query = query.filter(
            linodes::label
                .gt(label.clone())
                .or(linodes::label.eq(label).and(linodes::id.gt(after))),
        );
    }
    let rows: Vec<Entry> = query.limited(limit).load(conn)?;
    with_moves(conn, rows)
}

fn with_moves(conn: &mut Db, rows: Vec<Entry>) -> Result<Vec<EntryRow>> {
    let ids: Vec<LinodeId> = rows.iter().map(|row| row.id).collect();
    let moves: Vec<Moved> = migrations::table
        .filter(migrations::linode_id.eq_any(ids.clone()))
        .order(migrations::id.desc())
        .select(columns::<Moved>())
        .load(conn)?;
    let registered: Vec<Registered> = registrations::table
        .filter(registrations::linode_id.eq_any(ids))
        .order(registrations::id.desc())
        .select(columns::<Registered>())
        .load(conn)?;
    let mut newest_move = newest_moves(moves);
    let mut newest_registration = newest_registrations(registered);
    Ok(rows
        .into_iter()
        .map(|entry| EntryRow {
            registration: newest_registration.remove(&entry.id).map(|row| row.state),
            migration: newest_move.remove(&entry.id),
            entry,
        })
        .collect())
}

/// How many there are on each platform.
pub fn counts(conn: &mut Db) -> Result<Vec<(Platform, i64)>> {
    Ok(linodes::table
        .inner_join(hosts::table)
        .group_by(hosts::platform)
        .select((hosts::platform, diesel::dsl::count_star()))
        .load(conn)?)
}

/// A bug that says it is about a Linode, or explains a move of it.
pub type NamingBug = (BugId, String, BugState);

/// A Linode with everything that staff ask about it.
pub struct Whole {
    pub detail: LinodeDetail,
    pub account: String,
    /// Who can sign in for its account: id and address, at most 50.
    pub members: Vec<(UserId, String)>,
    /// Newest first: state, when it was asked for, and the reason if it was declined.
    pub registrations: Vec<(RegistrationState, Time, String)>,
    /// Newest first, at most 50.
    pub bugs: Vec<NamingBug>,
    /// Its own weight on its host, if it has one.
    pub weight: Option<i64>,
}

/// In a number of statements that does not grow with what there is.
pub fn whole(conn: &mut Db, id: LinodeId) -> Result<Option<Whole>> {
    let owner: Option<(AccountId, String)> = linodes::table
        .inner_join(accounts::table)
        .filter(linodes::id.eq(id))
        .select((accounts::id, accounts::name))
        .one(conn)?;
    let Some((owner, account)) = owner else {
        return Ok(None);
    };
    let Some(detail) = super::page::linode(conn, owner, id)? else {
        return Ok(None);
    };
    Ok(Some(Whole {
        account,
        members: users::table
            .filter(users::account_id.eq(owner))
            .order(users::email)
            .select((users::id, users::email))
            .at_most::<50>()
            .load(conn)?,
        registrations: registrations::table
            .filter(registrations::linode_id.eq(id))
            .order(registrations::id.desc())
            .select((
                registrations::state,
                registrations::requested_at,
                registrations::reason,
            ))
            .at_most::<50>()
            .load(conn)?,
        bugs: naming(conn, owner, &detail)?,
        weight: crate::store::fairness::weights::own(conn, id)?,
        detail,
    }))
}

/// Those of its account that name it by the label it has now, and those that explain a move of it.
fn naming(conn: &mut Db, account: AccountId, of: &LinodeDetail) -> Result<Vec<NamingBug>> {
    let fact = bug_facts::table
        .filter(bug_facts::kind.eq(FactKind::Linode))
        .filter(bug_facts::value.eq(of.linode.label.clone()))
        .filter(bug_facts::bug_id.eq(bugs::id));
    let explained = bug_migrations::table
        .inner_join(migrations::table)
        .filter(migrations::linode_id.eq(of.linode.id))
        .select(bug_migrations::bug_id);
    Ok(bugs::table
        .filter(
            bugs::account_id
                .eq(account)
                .and(exists(fact))
                .or(bugs::id.eq_any(explained)),
        )
        .order(bugs::id.desc())
        .select((bugs::id, bugs::title, bugs::state))
        .at_most::<50>()
        .load(conn)?)
}
