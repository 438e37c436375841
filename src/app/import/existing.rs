//! What the database already has of what a fleet file names: read once, in the import's own transaction.

use std::collections::{HashMap, HashSet};

use super::file::{Account, Fleet, Linode};
use crate::domain::ids::{AccountId, ConfigId, DiskId, HostId, LinodeId, PlanId};
use crate::domain::platform::Platform;
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::import::Place;

/// What the database has of what the file names.
#[derive(Debug, Default)]
pub struct Known {
    pub plans: HashMap<String, PlanId>,
    pub kernels: HashMap<String, Platform>,
    /// Id, platform, and whether an agent is enrolled.
    pub hosts: HashMap<String, (HostId, Platform, bool)>,
    pub accounts: HashMap<String, AccountId>,
    pub users: HashMap<String, Option<AccountId>>,
    pub linodes: HashMap<LinodeId, Place>,
    pub macs: HashMap<String, LinodeId>,
    pub linode_labels: HashMap<(AccountId, String), LinodeId>,
    pub disks: HashMap<DiskId, LinodeId>,
    pub disk_labels: HashMap<(LinodeId, String), DiskId>,
    pub configs: HashMap<ConfigId, LinodeId>,
    pub config_labels: HashMap<(LinodeId, String), ConfigId>,
    pub addresses: HashMap<String, LinodeId>,
    /// Linodes that a migration holds.
    pub moving: HashSet<LinodeId>,
}

/// Every Linode of the file, with its account.
pub(in crate::app) fn linodes(fleet: &Fleet) -> impl Iterator<Item = (&Account, &Linode)> {
    fleet
        .accounts
        .iter()
        .flat_map(|account| account.linodes.iter().map(move |linode| (account, linode)))
}

/// Reads it.
pub(in crate::app) fn known(conn: &mut Db, fleet: &Fleet) -> Result<Known, StoreError> {
    let names: Vec<String> = fleet
        .accounts
        .iter()
        .map(|account| account.name.as_str().to_owned())
        .collect();
    let emails: Vec<String> = fleet
        .accounts
        .iter()
        .flat_map(|account| &account.users)
        .map(|user| user.email.as_str().to_owned())
        .collect();
    let all = || linodes(fleet).map(|(_, linode)| linode);
    let ids: Vec<LinodeId> = all().map(|linode| LinodeId(linode.id)).collect();
    let macs: Vec<String> = all().map(|linode| linode.mac.as_str().to_owned()).collect();
    let disks: Vec<DiskId> = all()
        .flat_map(|linode| &linode.disks)
        .map(|disk| DiskId(disk.id))
        .collect();
    let named_disks: Vec<DiskId> = all()
        .flat_map(|linode| &linode.configs)
        .flat_map(|config| &config.devices.0)
        .map(|(_, disk)| DiskId(*disk))
        .collect();
    let configs: Vec<ConfigId> = all()
        .flat_map(|linode| &linode.configs)
        .map(|config| ConfigId(config.id))
        .collect();
    let addresses: Vec<String> = all()
        .flat_map(|linode| &linode.ips)
        .map(|ip| ip.address.to_string())
        .collect();
    let accounts = store::import::accounts_named(conn, &names)?;
    let account_ids: Vec<AccountId> = accounts.values().copied().collect();
    let linodes = store::import::linodes_with(conn, &ids)?;
    let there: Vec<LinodeId> = linodes.keys().copied().collect();
    Ok(Known {
        plans: store::import::plan_ids(conn)?,
        kernels: store::import::kernel_platforms(conn)?,
        hosts: store::import::host_ids(conn)?,
        users: store::import::users_with(conn, &emails)?,
        macs: store::import::macs(conn, &macs)?,
        linode_labels: store::import::linode_labels(conn, &account_ids)?,
        disks: store::import::disks_with(conn, &[disks, named_disks].concat())?,
        disk_labels: store::import::disk_labels(conn, &there)?,
        configs: store::import::configs_with(conn, &configs)?,
        config_labels: store::import::config_labels(conn, &there)?,
        addresses: store::import::addresses(conn, &addresses)?,
        moving: store::import::in_migration(conn, &there)?,
        accounts,
        linodes,
    })
}
