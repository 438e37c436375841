//! Adds a fleet file's Linodes and their parts.

use std::collections::BTreeMap;

use super::apply::{Placed, missing};
use super::existing::{Known, linodes};
use super::file::{Config, Fleet};
use super::{ImportError, Imported};
use crate::app::AppError;
use crate::domain::ids::{ConfigId, DiskId, HostId, LinodeId};
use crate::domain::time::Time;
use crate::domain::words::LinodeStatus;
use crate::store;
use crate::store::db::Db;
use crate::store::import::{NewConfig, NewDisk, NewIp, NewLinode};

/// Gives back the hosts with agents that got Linodes.
pub(in crate::app) fn add_linodes(
    conn: &mut Db,
    now: Time,
    fleet: &Fleet,
    known: &Known,
    there: &Placed,
    done: &mut Imported,
) -> Result<Vec<HostId>, ImportError> {
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
        let (host_id, _, enrolled) = *there.hosts.get(host).ok_or_else(|| missing("host", host))?;
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
    store::import::add_linodes(conn, &new)?;
    done.note("Linodes", all, &new);
    Ok(hosts)
}

/// Disks, config profiles and addresses, of new Linodes and of those that were there.
pub(in crate::app) fn add_parts(
    conn: &mut Db,
    now: Time,
    fleet: &Fleet,
    known: &Known,
    there: &Placed,
    done: &mut Imported,
) -> Result<(), ImportError> {
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
    store::import::add_disks(conn, &disks)?;
    done.note("disks", all_disks, &disks);
    store::import::add_configs(conn, &configs)?;
    done.note("config profiles", all_configs, &configs);
    store::import::add_ips(conn, &ips)?;
    done.note("IP addresses", all_ips, &ips);
    Ok(())
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
