//! A Linode to give orders about.

use std::collections::BTreeMap;

use xenbeta::agent::driver::Driver;
use xenbeta::domain::ids::{DiskId, IpId, LinodeId};
use xenbeta::domain::linode::{IpKind, RunLevel};
use xenbeta::wire::{AddressSpec, BootSpec, DiskSpec, GuestSpec, Sample, Share};

/// What a driver tells of many, of one.
pub trait One {
    fn sample(&self, linode: LinodeId) -> Option<Sample>;
    fn share(&self, linode: LinodeId) -> Option<Share>;
}

impl<D: Driver + ?Sized> One for D {
    fn sample(&self, linode: LinodeId) -> Option<Sample> {
        let counted = self.samples(&[linode]).remove(&linode);
        counted.map(|counted| counted.sample)
    }

    fn share(&self, linode: LinodeId) -> Option<Share> {
        self.shares(&[linode]).remove(&linode)
    }
}

pub const DISK_BYTES: u64 = 8 << 20;

/// One disk, ten times the Linode's number.
pub fn guest(linode: LinodeId) -> GuestSpec {
    GuestSpec {
        label: format!("linode{linode}"),
        ram_mb: 64,
        mac: format!("fe:fd:00:00:00:{:02x}", linode.0),
        addresses: vec![AddressSpec {
            id: IpId(linode.0),
            address: format!("10.77.0.{}", 100 + linode.0),
            prefix: 24,
            gateway: Some("10.77.0.1".into()),
            kind: IpKind::Public,
        }],
        disks: vec![DiskSpec {
            id: DiskId(linode.0 * 10),
            label: "root".into(),
            size_bytes: DISK_BYTES,
        }],
        cpu_weight: 256,
        io_priority: 4,
    }
}

pub fn boot(disk: DiskId) -> BootSpec {
    BootSpec {
        label: "My config".into(),
        kernel: "2.6".into(),
        devices: BTreeMap::from([("ubda".to_owned(), disk)]),
        root_device: "ubda".into(),
        read_only_root: true,
        run_level: RunLevel::Default,
        ram_mb: 64,
        vcpus: 1,
        helpers: vec![],
    }
}
