//! Who waits for a place, and the hosts, as the plan wants them: a fixed number of queries, however many Linodes there are.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use diesel::prelude::*;

use super::db::Db;
use super::error::Result;
use super::registration::list::{RegistrationFilter, RegistrationRow, registrations};
use super::schema::{config_profiles, linodes, migrations};
use super::{catalogue, graduation, host};
use crate::domain::host::HostRole;
use crate::domain::ids::{AccountId, HostId, LinodeId};
use crate::domain::linode::translate::{self, Kernel};
use crate::domain::migration::{self, MigrationState};
use crate::domain::placement::plan::{Candidate, Hosts, Hurdle};
use crate::domain::placement::{self, Need};
use crate::domain::platform;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;

/// Linodes that one plan is made of; beyond them it says so.
pub const MOST: i64 = 20_000;

/// The registrations of the filter as candidates, the first to ask first.
pub fn candidates(conn: &mut Db, filter: &RegistrationFilter) -> Result<Vec<Candidate>> {
    let rows = registrations(conn, filter, None, MOST)?;
    let roles: HashMap<HostId, Option<HostRole>> = host::all(conn)?
        .into_iter()
        .map(|host| (host.id, placement::next(host.standing()).map(|it| it.1)))
        .collect();
    let known = catalogue::kernels(conn)?;
    let named = named_kernels(conn, &rows)?;
    let none = BTreeSet::new();
    let candidate = |row: RegistrationRow| {
        let named = named.get(&row.linode.id).unwrap_or(&none);
        let role = roles.get(&row.linode.host_id).copied().flatten();
        let kernels = counterparts(named, &known);
        let hurdle = match (row.way_back_open, role, &kernels) {
            (true, ..) => Some(Hurdle::WayBackOpen),
            (_, None, _) => Some(Hurdle::There),
            (.., None) => Some(Hurdle::NoCounterpart),
            (false, Some(_), Some(_)) => None,
        };
        Candidate {
            linode: row.linode.id,
            registration: row.registration.id,
            need: Need {
                from: row.linode.host_id,
                plan: row.plan.id,
                memory_mb: row.plan.ram_mb,
                disk_mb: row.disk_mb,
                role: role.unwrap_or(HostRole::Beta),
            },
            label: row.linode.label,
            account: row.linode.account_id,
            account_name: row.account,
            plan_label: row.plan.label,
            kernels: kernels.unwrap_or_default(),
            hurdle,
        }
    };
    Ok(rows.into_iter().map(candidate).collect())
}

/// What stands in for these; `None`: nothing does for one of them.
fn counterparts(
    named: &BTreeSet<String>,
    known: &BTreeMap<String, Kernel>,
) -> Option<BTreeSet<String>> {
    let there = |kernel: &String| translate::stand_in(kernel, platform::TO, known);
    let ids = named
        .iter()
        .map(|kernel| there(kernel).map(|it| it.id.clone()));
    ids.collect()
}

fn named_kernels(
    conn: &mut Db,
    rows: &[RegistrationRow],
) -> Result<HashMap<LinodeId, BTreeSet<String>>> {
    let ids: Vec<LinodeId> = rows.iter().map(|row| row.linode.id).collect();
    let rows: Vec<(LinodeId, String)> = config_profiles::table
        .filter(config_profiles::linode_id.eq_any(ids))
        .select((config_profiles::linode_id, config_profiles::kernel_id))
        .load(conn)?;
    let mut named: HashMap<LinodeId, BTreeSet<String>> = HashMap::new();
    for (linode, kernel) in rows {
        named.entry(linode).or_default().insert(kernel);
    }
    Ok(named)
}

/// Every host, with where Linodes of these accounts live or are on their way to, and all moves on their way. `heard_since`: an
/// agent heard of before this is silent.
pub fn hosts(conn: &mut Db, heard_since: Time, candidates: &[Candidate]) -> Result<Hosts> {
    let accounts: HashSet<AccountId> = candidates.iter().map(|it| it.account).collect();
    let mut living: HashMap<AccountId, BTreeMap<HostId, u32>> = HashMap::new();
    let rows: Vec<(AccountId, HostId, i64)> = linodes::table
        .filter(linodes::account_id.eq_any(accounts.iter().copied()))
        .group_by((linodes::account_id, linodes::host_id))
        .select((
            linodes::account_id,
            linodes::host_id,
            diesel::dsl::count_star(),
        ))
        .load(conn)?;
    for (account, host, count) in rows {
        let on = living.entry(account).or_default();
        *on.entry(host).or_default() += u32::try_from(count).unwrap_or(u32::MAX);
    }
    let live = MigrationState::those(migration::is_live);
    let rows: Vec<(AccountId, HostId, HostId)> = migrations::table
        .filter(migrations::state.eq_any(live))
        .select((
            migrations::account_id,
            migrations::source_host_id,
            migrations::destination_host_id,
        ))
        .load(conn)?;
    let mut links: HashMap<(HostId, HostId), u32> = HashMap::new();
    for (account, from, to) in rows {
        *links.entry((from, to)).or_default() += 1;
        if accounts.contains(&account) {
            *living.entry(account).or_default().entry(to).or_default() += 1;
        }
    }
    Ok(Hosts {
        places: graduation::places(conn, heard_since)?,
        living,
        links,
    })
}
