//! What members' pages of Linodes show, read in a number of queries that does not grow with the number of rows.

#![allow(clippy::elidable_lifetime_names, reason = "auto_type wants them named")]

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
use crate::domain::search;
use crate::domain::time::Time;
use crate::store::catalogue::{Kernel, Plan};
use crate::store::db::{Columns, Db, columns};
use crate::store::error::Result;
use crate::store::host;
use crate::store::job::{self, list::QueuedJob};
use crate::store::limit::{FirstOf, Limit};
use crate::store::linode;
use crate::store::programme::{self, Programme};
use crate::store::schema::{
    config_profiles, disks, hosts, ips, kernels, linodes, migrations, plans, registrations,
};
use crate::store::together::together;
use crate::wire::KernelReport;

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
#[diesel(table_name = registrations)]
pub struct Registered {
    pub id: RegistrationId,
    pub linode_id: LinodeId,
    pub state: RegistrationState,
    /// Why it was declined, in words for the member.
    pub reason: String,
}

/// A migration, as far as a list shows it.
#[derive(Clone, Copy, Queryable, Selectable)]
#[diesel(table_name = migrations)]
pub struct Moved {
    pub id: MigrationId,
    pub linode_id: LinodeId,
    pub kind: MigrationKind,
    pub state: MigrationState,
    pub not_before: Option<Time>,
}

impl From<&PastMove> for Moved {
    fn from(of: &PastMove) -> Self {
        Self {
            id: of.id,
            linode_id: of.linode_id,
            kind: of.kind,
            state: of.state,
            not_before: of.not_before,
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

    /// `asked`: folded. Of a plan's name words are found by how they begin, as "Linode" is in all of them.
    fn has(&self, asked: &str) -> bool {
        let address = self.address.as_deref().unwrap_or_default();
        let texts = [&self.label, address, &self.host];
        let plan = search::fold(&self.plan);
        asked.is_empty()
            || texts.iter().any(|text| search::fold(text).contains(asked))
            || plan.starts_with(asked)
            || plan.split(' ').any(|word| word.starts_with(asked))
    }
}

/// Which of an account's Linodes.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Those behind this label.
    pub after: String,
    /// Those in whose label, address, plan or host this stands.
    pub q: String,
    pub most: usize,
}

/// Some of an account's Linodes, and what decides of all of them.
pub struct LinodePage {
    pub rows: Vec<LinodeRow>,
    pub programme: Programme,
}

/// Rows of one look, where a page has no more.
const FEW: i64 = 51;
/// And where more is wanted, or looked through.
const MANY: i64 = 1001;

/// The account's Linodes by label. No statement's text depends on how many there are, so that the database keeps them all
/// prepared.
pub fn linodes(
    conn: &mut Db,
    account: AccountId,
    (wanted, now): (&Wanted, Time),
) -> Result<LinodePage> {
    let (programme, rows) = found(conn, account, wanted)?;
    let last = rows.last().map(|row| row.label.clone()).unwrap_or_default();
    let span = (wanted.after.as_str(), last.as_str());
    let (registrations, moves) = together!(
        conn,
        Registered: registrations_of(account, span).at_most::<20_000>(),
        Moved: moves_of(account, span).at_most::<20_000>(),
    );
    let mut newest_registration = newest_registrations(registrations);
    let mut newest_migration = newest_moves(moves);
    let rows = rows
        .into_iter()
        .map(|linode| LinodeRow {
            registration: newest_registration.remove(&linode.id),
            migration: newest_migration.remove(&linode.id),
            linode,
        })
        .collect();
    Ok(LinodePage {
        rows,
        programme: Programme::or_new(programme, now),
    })
}

/// Of each Linode its newest, from all of them, newest first.
pub(super) fn newest_registrations(all: Vec<Registered>) -> HashMap<LinodeId, Registered> {
    let mut newest = HashMap::new();
    for row in all {
        newest.entry(row.linode_id).or_insert(row);
    }
    newest
}

/// Of each Linode the one that a list shows, from all of them, newest first.
pub(super) fn newest_moves(all: Vec<Moved>) -> HashMap<LinodeId, Moved> {
    let mut newest = HashMap::new();
    for row in all {
        // That staff moved it off a host says nothing of its place in the beta, once that is over.
        let is_over = matches!(
            row.state,
            MigrationState::Confirmed | MigrationState::Returned | MigrationState::Cancelled
        );
        if row.kind == MigrationKind::Evacuation && is_over {
            continue;
        }
        newest
            .entry(row.linode_id)
            .and_modify(|newer: &mut Moved| {
                if came_to_nothing(*newer) && row.state == MigrationState::Finished {
                    *newer = row;
                }
            })
            .or_insert(row);
    }
    newest
}

/// Their ids and labels alone.
pub fn labels(
    conn: &mut Db,
    account: AccountId,
    wanted: &Wanted,
) -> Result<Vec<(LinodeId, String)>> {
    let (_, rows) = found(conn, account, wanted)?;
    Ok(rows.into_iter().map(|row| (row.id, row.label)).collect())
}

/// What is looked for is compared here, as neither database folds letters like the other.
fn found(
    conn: &mut Db,
    account: AccountId,
    wanted: &Wanted,
) -> Result<(Option<Programme>, Vec<Listed>)> {
    let asked = search::fold(wanted.q.trim());
    let most = i64::try_from(wanted.most).unwrap_or(i64::MAX);
    let chunk = if asked.is_empty() && most <= FEW {
        FEW
    } else {
        MANY
    };
    let (mut rows, mut after) = (Vec::new(), wanted.after.clone());
    let programme = loop {
        let (programme, some) = if chunk == FEW {
            next::<FEW>(conn, account, &after)?
        } else {
            next::<MANY>(conn, account, &after)?
        };
        let Some(last) = some.last() else {
            break programme;
        };
        after.clone_from(&last.label);
        let is_rest = i64::try_from(some.len()).is_ok_and(|some| some < chunk);
        rows.extend(some.into_iter().filter(|row| row.has(&asked)));
        if is_rest || rows.len() >= wanted.most {
            break programme;
        }
    };
    rows.truncate(wanted.most);
    Ok((programme.into_iter().next(), rows))
}

/// The next ones behind a label.
fn next<const N: i64>(
    conn: &mut Db,
    account: AccountId,
    after: &str,
) -> Result<(Vec<Programme>, Vec<Listed>)> {
    Ok(together!(
        conn,
        Programme: programme::row(),
        Listed: listed(account, after).at_most::<N>(),
    ))
}

#[diesel::dsl::auto_type]
pub(super) fn first_address() -> _ {
    let public: IpKind = IpKind::Public;
    ips::table
        .filter(ips::linode_id.eq(linodes::id))
        .filter(ips::kind.eq(public))
        .order(ips::id)
        .select(ips::address)
}

#[diesel::dsl::auto_type]
fn listed<'a>(account: AccountId, after: &'a str) -> _ {
    let address: FirstOf<first_address> = first_address().first_value();
    let disks = disks::table.filter(disks::linode_id.eq(linodes::id));
    let profiles = config_profiles::table.filter(config_profiles::linode_id.eq(linodes::id));
    linodes::table
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
            address,
            exists(disks),
            exists(profiles),
        ))
}

/// Of the Linodes between two labels, newest first.
#[diesel::dsl::auto_type]
fn registrations_of<'a>(account: AccountId, (after, last): (&'a str, &'a str)) -> _ {
    let all: Columns<Registered> = columns::<Registered>();
    registrations::table
        .inner_join(linodes::table)
        .filter(registrations::account_id.eq(account))
        .filter(linodes::label.gt(after))
        .filter(linodes::label.le(last))
        .order(registrations::id.desc())
        .select(all)
}

/// As [`registrations_of`].
#[diesel::dsl::auto_type]
fn moves_of<'a>(account: AccountId, (after, last): (&'a str, &'a str)) -> _ {
    let all: Columns<Moved> = columns::<Moved>();
    migrations::table
        .inner_join(linodes::table)
        .filter(migrations::account_id.eq(account))
        .filter(linodes::label.gt(after))
        .filter(linodes::label.le(last))
        .order(migrations::id.desc())
        .select(all)
}

fn came_to_nothing(migration: Moved) -> bool {
    matches!(
        migration.state,
        MigrationState::Expired | MigrationState::Cancelled
    )
}

/// The host that a Linode is on, as far as its members' pages show it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = hosts)]
pub struct Home {
    pub id: HostId,
    pub name: String,
    pub platform: Platform,
    pub tells_changes: bool,
    kernels: String,
}

impl Home {
    /// As [`crate::store::host::Host::kernel_list`].
    pub fn kernel_list(&self) -> Result<Vec<KernelReport>> {
        host::kernels_of(self.id, &self.kernels)
    }
}

/// A move as a Linode's history shows it.
#[derive(Queryable)]
pub struct PastMove {
    pub id: MigrationId,
    pub linode_id: LinodeId,
    pub kind: MigrationKind,
    pub state: MigrationState,
    pub reason: String,
    /// The names of its hosts.
    pub source: Option<String>,
    pub destination: Option<String>,
    pub offered_at: Time,
    pub not_before: Option<Time>,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
}

/// Everything on a Linode's own page.
pub struct LinodeDetail {
    pub linode: Linode,
    pub plan: Plan,
    pub host: Home,
    pub disks: Vec<Disk>,
    pub profiles: Vec<ConfigProfile>,
    pub ips: Vec<Ip>,
    pub kernels: BTreeMap<String, Kernel>,
    /// Newest first: at most 100.
    pub moves: Vec<PastMove>,
    /// The Host Job Queue, newest first: at most 25.
    pub jobs: Vec<QueuedJob>,
}

/// `None` for no such Linode, and for somebody else's.
pub fn linode(conn: &mut Db, account: AccountId, id: LinodeId) -> Result<Option<LinodeDetail>> {
    let (own, disks, profiles, ips, moves, jobs, kernels) = together!(
        conn,
        (Linode, Plan, Home): linodes::table
            .inner_join(plans::table)
            .inner_join(hosts::table)
            .filter(linodes::id.eq(id))
            .filter(linodes::account_id.eq(account))
            .select(columns::<(Linode, Plan, Home)>()),
        Disk: linode::disk::of_linode(id),
        ConfigProfile: linode::profile::of_linode(id),
        Ip: linode::address::of_linode(id),
        PastMove: past_moves(id).at_most::<100>(),
        QueuedJob: job::list::queue(id).at_most::<25>(),
        Kernel: kernels::table.select(columns::<Kernel>()),
    );
    // The rest was found of somebody else's, too.
    let Some((linode, plan, host)) = own.into_iter().next() else {
        return Ok(None);
    };
    let kernels = kernels.into_iter().map(|it| (it.id.clone(), it)).collect();
    Ok(Some(LinodeDetail {
        linode,
        plan,
        host,
        disks,
        profiles,
        ips,
        kernels,
        moves,
        jobs,
    }))
}

#[diesel::dsl::auto_type]
fn name_of_source() -> _ {
    hosts::table
        .filter(hosts::id.eq(migrations::source_host_id))
        .select(hosts::name)
}

#[diesel::dsl::auto_type]
fn name_of_destination() -> _ {
    hosts::table
        .filter(hosts::id.eq(migrations::destination_host_id))
        .select(hosts::name)
}

/// Newest first.
#[diesel::dsl::auto_type]
fn past_moves(linode: LinodeId) -> _ {
    let source: FirstOf<name_of_source> = name_of_source().first_value();
    let destination: FirstOf<name_of_destination> = name_of_destination().first_value();
    migrations::table
        .filter(migrations::linode_id.eq(linode))
        .order(migrations::id.desc())
        .select((
            migrations::id,
            migrations::linode_id,
            migrations::kind,
            migrations::state,
            migrations::reason,
            source,
            destination,
            migrations::offered_at,
            migrations::not_before,
            migrations::started_at,
            migrations::finished_at,
        ))
}
