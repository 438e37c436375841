//! Adds what a fleet file has and the database has not: first what Linodes refer to, then them.

use std::collections::{BTreeMap, HashMap};

use super::existing::{Known, linodes};
use super::file::{Config, Fleet, Host};
use super::report::{ImportError, Imported};
use crate::app::error::AppError;
use crate::app::host::agent;
use crate::domain::account::UserRole;
use crate::domain::host::HostState;
use crate::domain::ids::{AccountId, ConfigId, DiskId, HostId, LinodeId, PlanId};
use crate::domain::linode::LinodeStatus;
use crate::domain::platform::Platform;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::import::{
    NewAccount, NewConfig, NewDisk, NewHost, NewIp, NewKernel, NewLinode, NewPlan, NewUser,
};

/// Adds what is not there. The file has been checked against `known` in this very transaction.
pub(in crate::app) fn add(
    conn: &mut Db,
    now: Time,
    fleet: &Fleet,
    known: &Known,
) -> Result<Imported, ImportError> {
    let mut adding = Adding {
        conn,
        now,
        fleet,
        known,
        done: Imported::default(),
    };
    adding.lists()?;
    let accounts = adding.people()?;
    let there = Placed {
        plans: store::import::plan_ids(adding.conn)?,
        hosts: store::import::host_ids(adding.conn)?,
        accounts,
    };
    let hosts = adding.linodes(&there)?;
    adding.parts(&there)?;
    store::import::move_sequences(adding.conn)?;
    for host in hosts {
        agent::adopt_all(adding.conn, now, host)?;
    }
    Ok(adding.done)
}

struct Adding<'a> {
    conn: &'a mut Db,
    now: Time,
    fleet: &'a Fleet,
    known: &'a Known,
    done: Imported,
}

/// Ids by natural key, once everything that Linodes refer to is there.
struct Placed {
    plans: HashMap<String, PlanId>,
    hosts: HashMap<String, (HostId, Platform, bool)>,
    accounts: HashMap<String, AccountId>,
}

/// The check has seen to it that everything named is there; this is for the day it has not.
fn missing(what: &str, name: &str) -> ImportError {
    AppError::Fault(format!("import: no {what} {name:?}")).into()
}

impl Adding<'_> {
    fn lists(&mut self) -> Result<(), ImportError> {
        let (fleet, known, now) = (self.fleet, self.known, self.now);
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
        store::import::add_plans(self.conn, &plans)?;
        self.done.note("plans", fleet.plans.len(), &plans);
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
        store::import::add_kernels(self.conn, &kernels)?;
        self.done.note("kernels", fleet.kernels.len(), &kernels);
        let plan_ids = store::import::plan_ids(self.conn)?;
        let hosts = fleet
            .hosts
            .iter()
            .filter(|host| !known.hosts.contains_key(host.name.as_str()))
            .map(|host| new_host(host, &plan_ids, now))
            .collect::<Result<Vec<_>, _>>()?;
        store::import::add_hosts(self.conn, &hosts)?;
        self.done.note("hosts", fleet.hosts.len(), &hosts);
        Ok(())
    }

    /// Gives back all accounts of the file.
    fn people(&mut self) -> Result<HashMap<String, AccountId>, ImportError> {
        let (fleet, known, now) = (self.fleet, self.known, self.now);
        let accounts: Vec<NewAccount<'_>> = fleet
            .accounts
            .iter()
            .filter(|account| !known.accounts.contains_key(account.name.as_str()))
            .map(|account| NewAccount {
                name: account.name.as_str(),
                created_at: now,
            })
            .collect();
        store::import::add_accounts(self.conn, &accounts)?;
        self.done.note("accounts", fleet.accounts.len(), &accounts);
        let names: Vec<String> = fleet
            .accounts
            .iter()
            .map(|account| account.name.as_str().to_owned())
            .collect();
        let ids = store::import::accounts_named(self.conn, &names)?;
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
        store::import::add_users(self.conn, &users)?;
        self.done.note("users", all, &users);
        Ok(ids)
    }

    /// Gives back the hosts with agents that got Linodes.
    fn linodes(&mut self, there: &Placed) -> Result<Vec<HostId>, ImportError> {
        let (fleet, known, now) = (self.fleet, self.known, self.now);
        let mut new = Vec::new();
        let mut hosts = Vec::new();
        let mut all = 0;
        for (account, linode) in linodes(fleet) {
            all += 1;
            let id = LinodeId(linode.id);
            if known.linodes.contains_key(&id) {
                continue;
            }
            let (name, host, plan) = (
                account.name.as_str(),
                linode.host.as_str(),
                linode.plan.as_str(),
            );
            let (host_id, _, enrolled) =
                *there.hosts.get(host).ok_or_else(|| missing("host", host))?;
            if enrolled && !hosts.contains(&host_id) {
                hosts.push(host_id);
            }
            new.push(NewLinode {
                id,
                account_id: *there
                    .accounts
                    .get(name)
                    .ok_or_else(|| missing("account", name))?,
                label: linode.label.as_str(),
                plan_id: *there.plans.get(plan).ok_or_else(|| missing("plan", plan))?,
                host_id,
                epoch: 1,
                fetched: false,
                status: LinodeStatus::Provisioning,
                status_at: now,
                mac: linode.mac.as_str(),
                created_at: now,
            });
        }
        store::import::add_linodes(self.conn, &new)?;
        self.done.note("Linodes", all, &new);
        Ok(hosts)
    }

    /// Disks, config profiles and addresses, of new Linodes and of those that were there.
    fn parts(&mut self, there: &Placed) -> Result<(), ImportError> {
        let (fleet, known, now) = (self.fleet, self.known, self.now);
        let (mut disks, mut configs, mut ips) = (Vec::new(), Vec::new(), Vec::new());
        let (mut all_disks, mut all_configs, mut all_ips) = (0, 0, 0);
        for (_, linode) in linodes(fleet) {
            let linode_id = LinodeId(linode.id);
            all_disks += linode.disks.len();
            all_configs += linode.configs.len();
            all_ips += linode.ips.len();
            let new = linode
                .disks
                .iter()
                .filter(|disk| !known.disks.contains_key(&DiskId(disk.id)));
            disks.extend(new.map(|disk| NewDisk {
                id: DiskId(disk.id),
                linode_id,
                label: disk.label.as_str(),
                size_mb: disk.size_mb,
                filesystem: &disk.filesystem,
                created_at: now,
            }));
            let new = linode
                .configs
                .iter()
                .filter(|config| !known.configs.contains_key(&ConfigId(config.id)));
            for config in new {
                configs.push(new_config(linode_id, config)?);
            }
            let host = linode.host.as_str();
            let (host_id, _, _) = *there.hosts.get(host).ok_or_else(|| missing("host", host))?;
            let new = linode
                .ips
                .iter()
                .map(|ip| (ip, ip.address.to_string()))
                .filter(|(_, address)| !known.addresses.contains_key(address));
            ips.extend(new.map(|(ip, address)| NewIp {
                address,
                linode_id,
                host_id,
                prefix: ip.prefix,
                gateway: ip.gateway.map(|gateway| gateway.to_string()),
                kind: ip.kind,
                rdns: &ip.rdns,
            }));
        }
        store::import::add_disks(self.conn, &disks)?;
        self.done.note("disks", all_disks, &disks);
        store::import::add_configs(self.conn, &configs)?;
        self.done.note("config profiles", all_configs, &configs);
        store::import::add_ips(self.conn, &ips)?;
        self.done.note("IP addresses", all_ips, &ips);
        Ok(())
    }
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

fn new_config(linode_id: LinodeId, config: &Config) -> Result<NewConfig<'_>, ImportError> {
    let devices: BTreeMap<&str, i64> = config
        .devices
        .0
        .iter()
        .map(|(device, disk)| (device.as_str(), *disk))
        .collect();
    let json = |error: serde_json::Error| AppError::Fault(error.to_string());
    Ok(NewConfig {
        id: ConfigId(config.id),
        linode_id,
        label: config.label.as_str(),
        kernel_id: &config.kernel,
        devices: serde_json::to_string(&devices).map_err(json)?,
        root_device: format!("/dev/{}", config.root_device.as_str()),
        read_only_root: config.read_only_root,
        run_level: config.run_level,
        ram_limit_mb: config.ram_limit_mb,
        vcpus: config.vcpus,
        comments: &config.comments,
        helpers: serde_json::to_string(&config.helpers).map_err(json)?,
    })
}
