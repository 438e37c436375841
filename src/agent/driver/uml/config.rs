//! The `uml` driver's part of the agent's configuration.

use std::path::PathBuf;

use serde::Deserialize;

use crate::agent::driver::settings::{
    self, check_bridge, check_console, check_kernel_ids, check_memory, check_path, check_path_if,
    check_prefix,
};
use crate::domain::linode::KernelFamily;

/// A unix socket's path holds 107 bytes; the longest that UML makes is `uml_dir/umid/mconsole`, and a umid takes up to 35.
const UML_DIR_LIMIT: usize = 60;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UmlConfig {
    /// Stands in front of every tap and umid; agents that share a machine need different ones.
    #[serde(default = "settings::default_prefix")]
    pub prefix: String,
    /// The bridge that the guests' taps join. It is the host's, and must exist.
    pub bridge: String,
    /// Memory for guests, in MiB.
    pub memory_mb: i64,
    /// Where UML keeps each guest's control socket.
    #[serde(default = "default_uml_dir")]
    pub uml_dir: PathBuf,
    /// How much of a guest's console is kept, in KiB (the same again of what went before).
    #[serde(default = "settings::default_console_kb")]
    pub console_kb: u64,
    /// Whether guests are strangers to the host. A host that cannot have it so starts none, unless it says `none` here.
    #[serde(default)]
    pub jail: Jail,
    /// The lowest of the users that guests run as, one a Linode: this number and the Linode's. Agents that share a machine
    /// need ranges apart.
    #[serde(default = "default_first_uid")]
    pub first_uid: u32,
    /// Of no use any more: what UML needs to have loaded, the agent brings along.
    pub preload: Option<PathBuf>,
    /// The agent's program, by which jails are made. For tests, in which the driver is in another.
    pub program: Option<PathBuf>,
    pub kernels: Vec<KernelConfig>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Jail {
    #[default]
    Required,
    /// A guest's root then has all rights on the host that its agent has.
    None,
}

/// One kernel that config profiles can name. Several may be the same file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelConfig {
    pub id: String,
    pub label: String,
    pub family: KernelFamily,
    pub path: PathBuf,
    /// Made by `xenbeta-agent initramfs build`; runs the boot helpers of the config profile. Without one there are none.
    pub initramfs: Option<PathBuf>,
}

fn default_uml_dir() -> PathBuf {
    PathBuf::from("/run/xenbeta/uml")
}

/// Above the ids that Debian and systemd give out, and with a billion after it.
fn default_first_uid() -> u32 {
    2_000_000_000
}

/// Below these are the host's own users.
const FIRST_UID_LEAST: u32 = 65_536;

impl UmlConfig {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// What is wrong, with its key.
    pub fn check(&self) -> Result<(), String> {
        check_prefix(&self.prefix)?;
        check_bridge(&self.bridge)?;
        check_memory(self.memory_mb)?;
        check_console(self.console_kb)?;
        if self.uml_dir.as_os_str().len() > UML_DIR_LIMIT {
            return Err(format!(
                "driver.uml_dir: longer than {UML_DIR_LIMIT} bytes, so that a socket in it could not be named"
            ));
        }
        check_path("driver.uml_dir", &self.uml_dir)?;
        check_kernel_ids(self.kernels.iter().map(|kernel| kernel.id.as_str()))?;
        for kernel in &self.kernels {
            check_path("driver.kernels.path", &kernel.path)?;
            check_path_if("driver.kernels.initramfs", kernel.initramfs.as_deref())?;
        }
        if self.first_uid < FIRST_UID_LEAST {
            return Err(format!(
                "driver.first_uid: {} is not {FIRST_UID_LEAST} or more",
                self.first_uid
            ));
        }
        check_path_if("driver.program", self.program.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        bridge = "br0"
        memory_mb = 512
        [[kernels]]
        id = "2.6.16-linode15"
        label = "2.6.16"
        family = "2.6"
        path = "/usr/bin/linux.uml"
    "#;

    fn parse(text: &str) -> Result<UmlConfig, String> {
        let config: UmlConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map(|()| config)
    }

    #[test]
    fn the_least_there_can_be_is_enough() {
        let config = parse(GOOD).unwrap();
        assert_eq!((config.prefix.as_str(), config.console_kb), ("xb", 256));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let bad = |from: &str, to: &str| {
            assert!(GOOD.contains(from));
            parse(&GOOD.replacen(from, to, 1)).unwrap_err()
        };
        assert!(bad("bridge = \"br0\"", "bridge = \"../br0\"").starts_with("driver.bridge"));
        assert!(bad("memory_mb = 512", "memory_mb = 0").starts_with("driver.memory_mb"));
        assert!(bad("memory_mb", "colour = 1\nmemory_mb").contains("colour"));
        assert!(
            bad("bridge = \"br0\"", "bridge = \"br0\"\nprefix = \"toolong\"")
                .starts_with("driver.prefix")
        );
        assert!(bad("/usr/bin/linux.uml", "/usr/bin/my linux").starts_with("driver.kernels.path"));
        assert!(bad("/usr/bin/linux.uml", "linux.uml").starts_with("driver.kernels.path"));
        assert!(
            bad("family", "initramfs = \"boot.img\"\nfamily")
                .starts_with("driver.kernels.initramfs")
        );
    }
}
