//! What members' pages of Linodes show, read in a number of queries that does not grow with the number of rows.

use std::collections::{BTreeMap, HashMap};

use diesel::dsl::exists;
use diesel::prelude::*;

use super::Linode;
use super::address::Ip;
use super::disk::Disk;
use super::profile::ConfigProfile;
use crate::domain::host::HostRole;
use crate::domain::ids::{AccountId, HostId, LinodeId, MigrationId, RegistrationId};
use crate::domain::linode::{IpKind, LinodeStatus};
use crate::domain::migration::{MigrationKind, MigrationState};
use crate::domain::placement::{self, Standing};
use crate::domain::platform::Platform;
use crate::domain::registration::RegistrationState;
use crate::store::catalogue::{Kernel, Plan};
use crate::store::db::{Db, direct};
use crate::store::error::StoreError;
use crate::store::host::Host;
use crate::store::job::Job;
use crate::store::limit::Limit;
use crate::store::migration::Migration;
use crate::store::{linode, schema};

/// A Linode in a list.
#[derive(Queryable)]
pub struct Listed {
    pub id: LinodeId,
    pub label: String,
    pub status: LinodeStatus,
    pub plan: String,
    pub host: String,
    pub platform: Platform,
    pub role: HostRole,
    /// Its first public address.
    pub address: Option<String>,
    pub has_disks: bool,
    pub has_profiles: bool,
}

/// A registration, as far as a list shows it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = schema::registrations)]
pub struct Registered {
    pub id: RegistrationId,
    pub linode_id: LinodeId,
    pub state: RegistrationState,
    /// Why it was declined, in words for the member.
    pub reason: String,
}

/// A migration, as far as a list shows it.
#[derive(Clone, Copy, Queryable, Selectable)]
#[diesel(table_name = schema::migrations)]
pub struct Moved {
    pub id: MigrationId,
    pub linode_id: LinodeId,
    pub kind: MigrationKind,
    pub state: MigrationState,
}

impl From<&Migration> for Moved {
    fn from(of: &Migration) -> Self {
        Self {
            id: of.id,
            linode_id: of.linode_id,
            kind: of.kind,
            state: of.state,
        }
    }
}

/// A Linode in a list, with the newest of what concerns its move.
pub struct LinodeRow {
    pub linode: Listed,
    pub registration: Option<Registered>,
    /// The newest; one that came to nothing does not hide a move before it that waits for its confirmation.
    pub migration: Option<Moved>,
}

impl Listed {
    /// How it stands to the beta, by the host it is on.
    pub fn standing(&self) -> Standing {
        placement::standing(self.platform, self.role)
    }
}

/// Some of an account's Linodes.
pub struct LinodePage {
    pub rows: Vec<LinodeRow>,
    /// The label that the next page begins after, if there is one.
    pub next: Option<String>,
}

/// Linodes of one page.
const ROWS: usize = 1000;

/// The account's Linodes by label, those after `after`: at most a thousand. No statement's text depends on how many there
/// are, so that the database keeps them all prepared.
pub fn linodes(conn: &mut Db, account: AccountId, after: &str) -> Result<LinodePage, StoreError> {
    let mut rows = listed(conn, account, after)?;
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let last = rows.last().map(|row| row.label.clone()).unwrap_or_default();
    let next = more.then(|| last.clone());
    let span = (after, last.as_str());
    let mut newest_registration = HashMap::new();
    for row in registrations_of(conn, account, span)? {
        newest_registration.entry(row.linode_id).or_insert(row);
    }
    let mut newest_migration = HashMap::new();
    for row in moves_of(conn, account, span)? {
        // That staff moved it off a host says nothing of its place in the beta, once that is over.
        let is_over = matches!(
            row.state,
            MigrationState::Confirmed | MigrationState::Returned | MigrationState::Cancelled
        );
        if row.kind == MigrationKind::Evacuation && is_over {
            continue;
        }
        newest_migration
            .entry(row.linode_id)
            .and_modify(|newer: &mut Moved| {
                if came_to_nothing(*newer) && row.state == MigrationState::Finished {
                    *newer = row;
                }
            })
            .or_insert(row);
    }
    let rows = rows
        .into_iter()
        .map(|linode| LinodeRow {
            registration: newest_registration.remove(&linode.id),
            migration: newest_migration.remove(&linode.id),
            linode,
        })
        .collect();
    Ok(LinodePage { rows, next })
}

/// One more than a page has.
fn listed(conn: &mut Db, account: AccountId, after: &str) -> Result<Vec<Listed>, StoreError> {
    use schema::{config_profiles, disks, hosts, ips, linodes, plans};
    Ok(direct!(conn, |conn| linodes::table
        .inner_join(plans::table)
        .inner_join(hosts::table)
        .filter(linodes::account_id.eq(account))
        .filter(linodes::label.gt(after))
        .order((linodes::label, linodes::id))
        .select((
            linodes::id,
            linodes::label,
            linodes::status,
            plans::label,
            hosts::name,
            hosts::platform,
            hosts::role,
            ips::table
                .filter(ips::linode_id.eq(linodes::id))
                .filter(ips::kind.eq(IpKind::Public))
                .order(ips::id)
                .select(ips::address)
                .first_value(),
            exists(disks::table.filter(disks::linode_id.eq(linodes::id))),
            exists(config_profiles::table.filter(config_profiles::linode_id.eq(linodes::id))),
        ))
        .at_most::<1001>()
        .load(conn))?)
}

/// Of the Linodes between two labels, newest first.
fn registrations_of(
    conn: &mut Db,
    account: AccountId,
    (after, last): (&str, &str),
) -> Result<Vec<Registered>, StoreError> {
    use schema::{linodes, registrations};
    Ok(direct!(conn, |conn| registrations::table
        .inner_join(linodes::table)
        .filter(registrations::account_id.eq(account))
        .filter(linodes::label.gt(after))
        .filter(linodes::label.le(last))
        .order(registrations::id.desc())
        .select(Registered::as_select())
        .at_most::<20_000>()
        .load(conn))?)
}

/// Of the Linodes between two labels, newest first.
fn moves_of(
    conn: &mut Db,
    account: AccountId,
    (after, last): (&str, &str),
) -> Result<Vec<Moved>, StoreError> {
    use schema::{linodes, migrations};
    Ok(direct!(conn, |conn| migrations::table
        .inner_join(linodes::table)
        .filter(migrations::account_id.eq(account))
        .filter(linodes::label.gt(after))
        .filter(linodes::label.le(last))
        .order(migrations::id.desc())
        .select(Moved::as_select())
        .at_most::<20_000>()
        .load(conn))?)
}

fn came_to_nothing(migration: Moved) -> bool {
    matches!(
        migration.state,
        MigrationState::Expired | MigrationState::Cancelled
    )
}

/// Everything on a Linode's own page.
pub struct LinodeDetail {
    pub linode: Linode,
    pub plan: Plan,
    pub host: Host,
    pub disks: Vec<Disk>,
    pub profiles: Vec<ConfigProfile>,
    pub ips: Vec<Ip>,
    pub kernels: BTreeMap<String, Kernel>,
    /// Newest first.
    pub migrations: Vec<Migration>,
    /// The Host Job Queue, newest first: at most 25.
    pub jobs: Vec<Job>,
    pub host_names: HashMap<HostId, String>,
}

/// `None` for no such Linode, and for somebody else's.
pub fn linode(
    conn: &mut Db,
    account: AccountId,
    id: LinodeId,
) -> Result<Option<LinodeDetail>, StoreError> {
    let found: Option<(Linode, Plan, Host)> = direct!(conn, |conn| schema::linodes::table
        .inner_join(schema::plans::table)
        .inner_join(schema::hosts::table)
        .filter(schema::linodes::id.eq(id))
        .filter(schema::linodes::account_id.eq(account))
        .select((Linode::as_select(), Plan::as_select(), Host::as_select()))
        .get_result(conn))
    .optional()?;
    let Some((linode, plan, host)) = found else {
        return Ok(None);
    };
    let mut host_names = HashMap::new();
    let jobs = jobs_of(conn, id, &mut host_names)?;
    let migrations = migrations_of(conn, id, &mut host_names)?;
    Ok(Some(LinodeDetail {
        disks: linode::disk::disks_of(conn, id)?,
        profiles: linode::profile::profiles_of(conn, id)?,
        ips: linode::address::ips_of(conn, id)?,
        kernels: kernels(conn)?,
        host_names,
        linode,
        plan,
        host,
        migrations,
        jobs,
    }))
}

/// The newest 25; notes the names of their hosts.
fn jobs_of(
    conn: &mut Db,
    linode: LinodeId,
    names: &mut HashMap<HostId, String>,
) -> Result<Vec<Job>, StoreError> {
    use schema::{hosts, jobs};
    let rows: Vec<(Job, String)> = direct!(conn, |conn| jobs::table
        .inner_join(hosts::table)
        .filter(jobs::linode_id.eq(linode))
        .order(jobs::id.desc())
        .select((Job::as_select(), hosts::name))
        .at_most::<25>()
        .load(conn))?;
    Ok(rows
        .into_iter()
        .map(|(job, host)| {
            names.insert(job.host_id, host);
            job
        })
        .collect())
}

/// The newest hundred; notes the names of both their hosts.
fn migrations_of(
    conn: &mut Db,
    linode: LinodeId,
    names: &mut HashMap<HostId, String>,
) -> Result<Vec<Migration>, StoreError> {
    use schema::migrations;
    let (source, destination) =
        diesel::alias!(schema::hosts as source, schema::hosts as destination);
    let rows: Vec<(Migration, String, String)> = direct!(conn, |conn| migrations::table
        .inner_join(
            source.on(source
                .field(schema::hosts::id)
                .eq(migrations::source_host_id)),
        )
        .inner_join(
            destination.on(destination
                .field(schema::hosts::id)
                .eq(migrations::destination_host_id)),
        )
        .filter(migrations::linode_id.eq(linode))
        .order(migrations::id.desc())
        .select((
            Migration::as_select(),
            source.field(schema::hosts::name),
            destination.field(schema::hosts::name),
        ))
        .at_most::<100>()
        .load(conn))?;
    Ok(rows
        .into_iter()
        .map(|(migration, from, to)| {
            names.insert(migration.source_host_id, from);
            names.insert(migration.destination_host_id, to);
            migration
        })
        .collect())
}

fn kernels(conn: &mut Db) -> Result<BTreeMap<String, Kernel>, StoreError> {
    let rows: Vec<Kernel> = direct!(conn, |conn| schema::kernels::table
        .select(Kernel::as_select())
        .load(conn))?;
    Ok(rows
        .into_iter()
        .map(|kernel| (kernel.id.clone(), kernel))
        .collect())
}
