//! Linodes and their config profiles.

pub mod check;
pub mod translate;

use crate::string_enum;

string_enum! {
    /// What the owner host last said of the Linode, or what it was last asked to do.
    pub enum LinodeStatus {
        Running = "running", Offline = "offline", Booting = "booting", Rebooting = "rebooting",
        ShuttingDown = "shutting_down", Provisioning = "provisioning",
    }
}
string_enum! {
    pub enum IpKind { Public = "public", Private = "private" }
}
string_enum! {
    pub enum KernelFamily { V24 = "2.4", V26 = "2.6" }
}
string_enum! {
    /// How the guest's init is asked to come up.
    pub enum RunLevel { Default = "default", Single = "single", BinBash = "binbash" }
}
string_enum! {
    /// Boot helpers of a config profile.
    pub enum Helper {
        /// Move `/lib/tls` out of the way, so that the guest's libc does not use NPTL's segment tricks.
        DisableTls = "disable_tls",
        Fstab = "fstab", Console = "console", Modules = "modules", UdevNet = "udev_net", UpdatedbOff = "updatedb_off",
    }
}
