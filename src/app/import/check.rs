//! Whether the parts of a fleet file fit together and fit what is in the database. Pure: what is there comes in as
//! [`Known`]. Goes through everything before it gives up, so that a file is put right in one go and not line by line.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::existing::Known;
use super::file::{Account, Config, Fleet, Host, Ip, Linode, Problem};
use crate::domain::host::HostRole;
use crate::domain::ids::{AccountId, ConfigId, DiskId, LinodeId, OWN_CONFIGS};
use crate::domain::placement;
use crate::domain::platform::Platform;
use crate::store::import::Place;

/// Problems that are told one by one; the rest are only counted.
const TOLD: usize = 20;

/// The problems found, in the file's order, and how many more there are.
#[derive(Debug, Default)]
pub struct Problems {
    pub told: Vec<Problem>,
    pub more: usize,
}

/// Everything in the file that cannot be as it is.
pub fn check(text: &str, fleet: &Fleet, known: &Known) -> Problems {
    let mut check = Check {
        text,
        known,
        fleet_plans: fleet.plans.iter().map(|plan| plan.label.as_str()).collect(),
        fleet_kernels: fleet
            .kernels
            .iter()
            .map(|kernel| (kernel.id.as_str(), kernel.platform))
            .collect(),
        fleet_hosts: fleet
            .hosts
            .iter()
            .map(|host| (host.name.as_str(), host.platform))
            .collect(),
        seen: HashMap::new(),
        problems: Problems::default(),
    };
    check.lists(fleet);
    for (index, account) in fleet.accounts.iter().enumerate() {
        check.account(&format!("accounts[{index}]"), account);
    }
    check.problems
}

/// A Linode of the file, with the platform of the host that it is on there.
#[derive(Clone, Copy)]
struct Here<'a> {
    linode: &'a Linode,
    platform: Platform,
}

struct Check<'a> {
    text: &'a str,
    known: &'a Known,
    fleet_plans: HashSet<&'a str>,
    fleet_kernels: HashMap<&'a str, Platform>,
    fleet_hosts: HashMap<&'a str, Platform>,
    /// What must not stand twice, and where it stood first.
    seen: HashMap<(&'static str, String), String>,
    problems: Problems,
}

impl Check<'_> {
    fn problem(&mut self, path: &str, message: impl Into<String>) {
        if self.problems.told.len() < TOLD {
            self.problems
                .told
                .push(Problem::at(self.text, path, message));
        } else {
            self.problems.more += 1;
        }
    }

    /// `value` is the only `what` of its kind in the file (`scope` narrows where).
    fn once(&mut self, what: &'static str, scope: &str, value: &str, path: &str) {
        let key = (what, format!("{scope}\n{value}"));
        if let Some(first) = self.seen.get(&key) {
            let line = Problem::at(self.text, first, "").line;
            let message = format!("the {what} {value} stands twice: also in line {line} ({first})");
            self.problem(path, message);
        } else {
            self.seen.insert(key, path.to_owned());
        }
    }

    fn kernel(&self, id: &str) -> Option<Platform> {
        // What is in the database stays as it is, so it counts first.
        let there = self.known.kernels.get(id);
        there.or_else(|| self.fleet_kernels.get(id)).copied()
    }

    fn host(&self, name: &str) -> Option<Platform> {
        let there = self.known.hosts.get(name).map(|(_, platform, _)| platform);
        there.or_else(|| self.fleet_hosts.get(name)).copied()
    }

    fn has_plan(&self, label: &str) -> bool {
        self.known.plans.contains_key(label) || self.fleet_plans.contains(label)
    }

    fn lists(&mut self, fleet: &Fleet) {
        for (index, plan) in fleet.plans.iter().enumerate() {
            let path = format!("plans[{index}].label");
            self.once("plan", "", plan.label.as_str(), &path);
        }
        for (index, kernel) in fleet.kernels.iter().enumerate() {
            self.once("kernel", "", &kernel.id, &format!("kernels[{index}].id"));
            let Some(target) = &kernel.maps_to else {
                continue;
            };
            let path = format!("kernels[{index}].maps_to");
            match self.kernel(target) {
                None => self.problem(&path, format!("there is no kernel {target:?}")),
                Some(platform) if platform == kernel.platform => {
                    let why = format!(
                        "{target:?} is for {platform} too: a kernel's counterpart is for the other platform"
                    );
                    self.problem(&path, why);
                }
                Some(_) => {}
            }
        }
        for (index, host) in fleet.hosts.iter().enumerate() {
            self.host_entry(&format!("hosts[{index}]"), host);
        }
    }

    fn host_entry(&mut self, at: &str, host: &Host) {
        self.once("host", "", host.name.as_str(), &format!("{at}.name"));
        if let Some(platform) = placement::platform_of(host.role)
            && platform != host.platform
        {
            let name = platform.offers().name;
            self.problem(
                &format!("{at}.platform"),
                format!(
                    "a {} host must be a {name} host (\"{platform}\")",
                    host.role
                ),
            );
        }
        match (&host.plan, host.role) {
            (None, HostRole::Production) => {
                self.problem(at, "a production host needs the `plan` it is for");
            }
            (Some(_), HostRole::Source | HostRole::Beta) => {
                self.problem(
                    &format!("{at}.plan"),
                    "only a production host is for one plan",
                );
            }
            (Some(plan), HostRole::Production) if !self.has_plan(plan.as_str()) => {
                self.problem(&format!("{at}.plan"), format!("there is no plan {plan:?}"));
            }
            _ => {}
        }
    }

    fn account(&mut self, at: &str, account: &Account) {
        let known = self.known;
        let name = account.name.as_str();
        self.once("account", "", name, &format!("{at}.name"));
        let id = known.accounts.get(name).copied();
        for (index, user) in account.users.iter().enumerate() {
            let path = format!("{at}.users[{index}].email");
            let email = user.email.as_str();
            self.once("user", "", email, &path);
            if let Some(theirs) = known.users.get(email)
                && (theirs.is_none() || *theirs != id)
            {
                let whose = if theirs.is_none() {
                    "belongs to staff"
                } else {
                    "belongs to another account in the database"
                };
                self.problem(&path, format!("{email} {whose}"));
            }
        }
        for (index, linode) in account.linodes.iter().enumerate() {
            self.linode(&format!("{at}.linodes[{index}]"), (name, id), linode);
        }
    }

    fn linode(
        &mut self,
        at: &str,
        (account, account_id): (&str, Option<AccountId>),
        linode: &Linode,
    ) {
        let known = self.known;
        let id = LinodeId(linode.id);
        let label = linode.label.as_str();
        self.once("Linode", "", &linode.id.to_string(), &format!("{at}.id"));
        self.once("MAC address", "", linode.mac.as_str(), &format!("{at}.mac"));
        let path = format!("{at}.label");
        self.once("label", account, label, &path);
        let there = known.linodes.get(&id);
        if there.is_some_and(|place| Some(place.account) != account_id) {
            let message = format!("Linode {id} belongs to another account in the database");
            self.problem(&format!("{at}.id"), message);
            return;
        }
        if !self.has_plan(linode.plan.as_str()) {
            self.problem(
                &format!("{at}.plan"),
                format!("there is no plan {:?}", linode.plan.as_str()),
            );
        }
        if there.is_none() {
            if let Some(other) = known.macs.get(linode.mac.as_str()) {
                let message = format!(
                    "Linode {other} in the database has the MAC address {} already",
                    linode.mac.as_str()
                );
                self.problem(&format!("{at}.mac"), message);
            }
            let holder = account_id
                .and_then(|account| known.linode_labels.get(&(account, label.to_owned())));
            if let Some(other) = holder {
                let message =
                    format!("Linode {other} of this account in the database has this label");
                self.problem(&path, message);
            }
        }
        match self.host(linode.host.as_str()) {
            None => self.problem(
                &format!("{at}.host"),
                format!("there is no host {:?}", linode.host.as_str()),
            ),
            Some(platform) => self.parts(at, Here { linode, platform }, there),
        }
    }

    /// Disks, config profiles and addresses. Only new ones have to fit; what is there stays.
    fn parts(&mut self, at: &str, here: Here<'_>, there: Option<&Place>) {
        let (known, linode) = (self.known, here.linode);
        let id = LinodeId(linode.id);
        let mut fresh: Vec<String> = Vec::new();
        for (index, disk) in linode.disks.iter().enumerate() {
            let at = format!("{at}.disks[{index}]");
            self.once("disk", "", &disk.id.to_string(), &format!("{at}.id"));
            let label = disk.label.as_str();
            let path = format!("{at}.label");
            self.once("disk label", &id.to_string(), label, &path);
            match known.disks.get(&DiskId(disk.id)) {
                Some(owner) if *owner == id => {}
                Some(owner) => {
                    let message =
                        format!("disk {} belongs to Linode {owner} in the database", disk.id);
                    self.problem(&format!("{at}.id"), message);
                }
                None => {
                    if let Some(other) = known.disk_labels.get(&(id, label.to_owned())) {
                        self.problem(
                            &path,
                            format!("disk {other} in the database has this label"),
                        );
                    }
                    fresh.push(at);
                }
            }
        }
        for (index, config) in linode.configs.iter().enumerate() {
            let at = format!("{at}.configs[{index}]");
            if self.config(&at, here, config) {
                fresh.push(at);
            }
        }
        for (index, ip) in linode.ips.iter().enumerate() {
            let at = format!("{at}.ips[{index}]");
            if self.ip(&at, id, ip) {
                fresh.push(at);
            }
        }
        self.may_grow(linode, there, &fresh);
    }

    /// What is new to a Linode that is there already can only be added while the Linode is where the file says: anywhere
    /// else its disks are not, and its config profiles are for another platform.
    fn may_grow(&mut self, linode: &Linode, there: Option<&Place>, fresh: &[String]) {
        let Some(place) = there else { return };
        let id = LinodeId(linode.id);
        let named = self.known.hosts.get(linode.host.as_str());
        let why = if named.is_none_or(|(host, _, _)| *host != place.host) {
            format!(
                "Linode {id} is on another host than {} in the database: nothing can be added to it here",
                linode.host.as_str()
            )
        } else if self.known.moving.contains(&id) {
            format!("Linode {id} has an offer or a migration at present: add this afterwards")
        } else {
            return;
        };
        for at in fresh {
            self.problem(at, why.clone());
        }
    }

    /// `true` if it is new.
    fn config(&mut self, at: &str, here: Here<'_>, config: &Config) -> bool {
        let known = self.known;
        let id = LinodeId(here.linode.id);
        let label = config.label.as_str();
        self.once(
            "config profile",
            "",
            &config.id.to_string(),
            &format!("{at}.id"),
        );
        if ConfigId(config.id) >= OWN_CONFIGS {
            let message = format!("numbers from {OWN_CONFIGS} on are the portal's own");
            self.problem(&format!("{at}.id"), message);
        }
        let path = format!("{at}.label");
        self.once("config profile label", &id.to_string(), label, &path);
        match known.configs.get(&ConfigId(config.id)) {
            Some(owner) if *owner == id => return false,
            Some(owner) => {
                let message = format!(
                    "config profile {} belongs to Linode {owner} in the database",
                    config.id
                );
                self.problem(&format!("{at}.id"), message);
                return false;
            }
            None => {}
        }
        if let Some(other) = known.config_labels.get(&(id, label.to_owned())) {
            self.problem(
                &path,
                format!("config profile {other} in the database has this label"),
            );
        }
        self.config_kernel(at, here, config);
        self.config_devices(at, here, config);
        true
    }

    fn config_kernel(&mut self, at: &str, Here { linode, platform }: Here<'_>, config: &Config) {
        let path = format!("{at}.kernel");
        match self.kernel(&config.kernel) {
            None => self.problem(&path, format!("there is no kernel {:?}", config.kernel)),
            Some(theirs) if theirs != platform => {
                let message = format!(
                    "the kernel {:?} is for {theirs}, and the host {} is {platform}",
                    config.kernel,
                    linode.host.as_str()
                );
                self.problem(&path, message);
            }
            Some(_) => {}
        }
    }

    fn config_devices(&mut self, at: &str, Here { linode, platform }: Here<'_>, config: &Config) {
        let prefix = platform.offers().disks;
        for (device, disk) in &config.devices.0 {
            let path = format!("{at}.devices.{}", device.as_str());
            let own = linode.disks.iter().any(|own| own.id == *disk)
                || self.known.disks.get(&DiskId(*disk)) == Some(&LinodeId(linode.id));
            if !own {
                self.problem(
                    &path,
                    format!("disk {disk} is not a disk of Linode {}", linode.id),
                );
            }
            if !device.as_str().starts_with(prefix) {
                let message = format!("devices on {platform} are called {prefix}a to {prefix}h");
                self.problem(&path, message);
            }
        }
        let root = &config.root_device;
        if config
            .devices
            .0
            .iter()
            .all(|(device, _)| *device != root.device)
        {
            self.problem(
                &format!("{at}.root_device"),
                format!("{} is not among the devices", root.device.as_str()),
            );
        }
    }

    /// `true` if it is new.
    fn ip(&mut self, at: &str, id: LinodeId, ip: &Ip) -> bool {
        let path = format!("{at}.address");
        let address = ip.address.to_string();
        self.once("address", "", &address, &path);
        let most = match ip.address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        if ip.prefix > most {
            self.problem(
                &format!("{at}.prefix"),
                format!("{} is more than {most} bits", ip.prefix),
            );
        }
        if ip.address.is_unspecified() || ip.address.is_loopback() || ip.address.is_multicast() {
            self.problem(&path, format!("{address} cannot be a Linode's address"));
        }
        if let IpAddr::V6(six) = ip.address
            && let Some(four) = six.to_ipv4_mapped()
        {
            self.problem(&path, format!("write it as {four}"));
        }
        if ip
            .gateway
            .is_some_and(|gateway| gateway.is_ipv4() != ip.address.is_ipv4())
        {
            self.problem(
                &format!("{at}.gateway"),
                "the gateway is not of the address's family",
            );
        }
        match self.known.addresses.get(&address) {
            None => true,
            Some(owner) => {
                if *owner != id {
                    let message =
                        format!("Linode {owner} in the database has the address {address}");
                    self.problem(&path, message);
                }
                false
            }
        }
    }
}
