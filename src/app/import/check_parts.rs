//! Whether a Linode's disks, config profiles and addresses can be as a fleet file has them.

use std::net::IpAddr;

use super::check::Check;
use super::file::{Config, Ip, Linode};
use crate::domain::ids::{ConfigId, DiskId, LinodeId};
use crate::domain::words::Platform;
use crate::store::import::Place;

impl Check<'_> {
    /// Disks, config profiles and addresses. Only new ones have to fit; what is there stays.
    pub(in crate::app) fn parts(
        &mut self,
        at: &str,
        linode: &Linode,
        platform: Platform,
        there: Option<&Place>,
    ) {
        let known = self.known;
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
            if self.config(&at, linode, config, platform) {
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
    fn config(&mut self, at: &str, linode: &Linode, config: &Config, platform: Platform) -> bool {
        let known = self.known;
        let id = LinodeId(linode.id);
        let label = config.label.as_str();
        self.once(
            "config profile",
            "",
            &config.id.to_string(),
            &format!("{at}.id"),
        );
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
        self.config_kernel(at, linode, config, platform);
        self.config_devices(at, linode, config, platform);
        true
    }

    fn config_kernel(&mut self, at: &str, linode: &Linode, config: &Config, platform: Platform) {
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

    fn config_devices(&mut self, at: &str, linode: &Linode, config: &Config, platform: Platform) {
        let prefix = match platform {
            Platform::Uml => "ubd",
            Platform::Xen => "xvd",
        };
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
        if config.devices.0.iter().all(|(device, _)| device != root) {
            self.problem(
                &format!("{at}.root_device"),
                format!("{} is not among the devices", root.as_str()),
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
