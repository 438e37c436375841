//! Adds what a fleet file has and the database has not: first what Linodes refer to, then them.

use std::collections::HashMap;

use super::apply_linodes::{add_linodes, add_parts};
use super::existing::Known;
use super::file::{Fleet, Host};
use super::{ImportError, Imported};
use crate::app::AppError;
use crate::app::host::agent;
use crate::domain::ids::{AccountId, HostId, PlanId};
use crate::domain::time::Time;
use crate::domain::words::{HostState, Platform, UserRole};
use crate::store;
use crate::store::db::Db;
use crate::store::import::{NewAccount, NewHost, NewKernel, NewPlan, NewUser};

/// Adds what is not there. The file has been checked against `known` in this very transaction.
pub(in crate::app) fn add(
    conn: &mut Db,
    now: Time,
    fleet: &Fleet,
    known: &Known,
) -> Result<Imported, ImportError> {
    let mut done = Imported::default();
    add_lists(conn, now, fleet, known, &mut done)?;
    add_people(conn, now, fleet, known, &mut done)?;
    let there = Placed {
        plans: store::import::plan_ids(conn)?,
        hosts: store::import::host_ids(conn)?,
        accounts: {
            let names: Vec<String> = fleet
                .accounts
                .iter()
                .map(|account| account.name.as_str().to_owned())
                .collect();
            store::import::accounts_named(conn, &names)?
        },
    };
    let hosts = add_linodes(conn, now, fleet, known, &there, &mut done)?;
    add_parts(conn, now, fleet, known, &there, &mut done)?;
    store::import::move_sequences(conn)?;
    for host in hosts {
        agent::adopt_all(conn, now, host)?;
    }
    Ok(done)
}

/// Ids by natural key, once everything that Linodes refer to is there.
pub(in crate::app) struct Placed {
    pub plans: HashMap<String, PlanId>,
    pub hosts: HashMap<String, (HostId, Platform, bool)>,
    pub accounts: HashMap<String, AccountId>,
}

/// The check has seen to it that everything named is there; this is for the day it has not.
pub(in crate::app) fn missing(what: &str, name: &str) -> ImportError {
    AppError::Fault(format!("import: no {what} {name:?}")).into()
}

fn add_lists(
    conn: &mut Db,
    now: Time,
    fleet: &Fleet,
    known: &Known,
    done: &mut Imported,
) -> Result<(), ImportError> {
    let plans: Vec<NewPlan<'_>> = fleet
        .plans
        .iter()
        .filter(|plan| !known.plans.contains_key(plan.label.as_str()))
        .map(|plan| NewPlan {
            label: plan.label.as_str(),
            ram_mb: plan.ram_mb,
            disk_mb: plan.disk_mb,
            vcpus: plan.vcpus,
            cpu_weight: plan.cpu_weight,
        })
        .collect();
    store::import::add_plans(conn, &plans)?;
    done.note("plans", fleet.plans.len(), &plans);
    let kernels: Vec<NewKernel<'_>> = fleet
        .kernels
        .iter()
        .filter(|kernel| !known.kernels.contains_key(&kernel.id))
        .map(|kernel| NewKernel {
            id: &kernel.id,
            label: kernel.label.as_str(),
            platform: kernel.platform,
            family: kernel.family,
            maps_to: kernel.maps_to.as_deref(),
        })
        .collect();
    store::import::add_kernels(conn, &kernels)?;
    done.note("kernels", fleet.kernels.len(), &kernels);
    let plan_ids = store::import::plan_ids(conn)?;
    let hosts = fleet
        .hosts
        .iter()
        .filter(|host| !known.hosts.contains_key(host.name.as_str()))
        .map(|host| new_host(host, &plan_ids, now))
        .collect::<Result<Vec<_>, _>>()?;
    store::import::add_hosts(conn, &hosts)?;
    done.note("hosts", fleet.hosts.len(), &hosts);
    Ok(())
}

fn new_host<'a>(
    host: &'a Host,
    plans: &HashMap<String, PlanId>,
    now: Time,
) -> Result<NewHost<'a>, ImportError> {
    let plan_id = match &host.plan {
        None => None,
        Some(plan) => Some(
            *plans
                .get(plan.as_str())
                .ok_or_else(|| missing("plan", plan.as_str()))?,
        ),
    };
    Ok(NewHost {
        name: host.name.as_str(),
        platform: host.platform,
        role: host.role,
        plan_id,
        state: HostState::Enabled,
        memory_mb: host.memory_mb,
        disk_mb: host.disk_mb,
        slots: host.slots,
        created_at: now,
    })
}

fn add_people(
    conn: &mut Db,
    now: Time,
    fleet: &Fleet,
    known: &Known,
    done: &mut Imported,
) -> Result<(), ImportError> {
    let accounts: Vec<NewAccount<'_>> = fleet
        .accounts
        .iter()
        .filter(|account| !known.accounts.contains_key(account.name.as_str()))
        .map(|account| NewAccount {
            name: account.name.as_str(),
            created_at: now,
        })
        .collect();
    store::import::add_accounts(conn, &accounts)?;
    done.note("accounts", fleet.accounts.len(), &accounts);
    let names: Vec<String> = fleet
        .accounts
        .iter()
        .map(|account| account.name.as_str().to_owned())
        .collect();
    let ids = store::import::accounts_named(conn, &names)?;
    let mut all = 0;
    let mut users = Vec::new();
    for account in &fleet.accounts {
        let name = account.name.as_str();
        let id = *ids.get(name).ok_or_else(|| missing("account", name))?;
        all += account.users.len();
        users.extend(
            account
                .users
                .iter()
                .filter(|user| !known.users.contains_key(user.email.as_str()))
                .map(|user| NewUser {
                    account_id: Some(id),
                    email: user.email.as_str(),
                    name: user.name.as_str(),
                    role: UserRole::Member,
                    password_hash: user.password_hash.as_deref(),
                    timezone: &user.timezone,
                    disabled: false,
                    created_at: now,
                }),
        );
    }
    store::import::add_users(conn, &users)?;
    done.note("users", all, &users);
    Ok(())
}
