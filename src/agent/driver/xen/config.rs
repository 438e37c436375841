//! The `xen` driver's part of the agent's configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::agent::driver::settings::{
    self, check_bridge, check_console, check_kernel_ids, check_memory, check_path, check_path_if,
    check_prefix,
};
use crate::domain::linode::KernelFamily;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XenConfig {
    /// Stands in front of every domain's and port's name. Domains called so are this agent's, whoever made them.
    #[serde(default = "settings::default_prefix")]
    pub prefix: String,
    /// The bridge that the guests' ports join. It is the host's, and must exist.
    pub bridge: String,
    /// Memory for guests, in MiB; without it, all that Xen and the control domain leave.
    pub memory_mb: Option<i64>,
    /// Lets a guest use its own addresses only (needs `nft`).
    #[serde(default = "default_anti_spoofing")]
    pub anti_spoofing: bool,
    /// Where `xenconsoled --log=guest` keeps what guests say.
    #[serde(default = "default_console_dir")]
    pub console_dir: PathBuf,
    /// How much of a guest's console is kept, in KiB (half as much again of what went before).
    #[serde(default = "settings::default_console_kb")]
    pub console_kb: u64,
    /// How long `xl create` may take: it reads the kernel, builds the domain and connects its devices; each hotplug script
    /// has ten seconds of libxl's own.
    #[serde(default = "default_create_limit_s")]
    pub create_limit_s: u64,
    pub kernels: Vec<KernelConfig>,
}

/// One kernel that config profiles can name. Several may be the same files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelConfig {
    pub id: String,
    pub label: String,
    pub family: KernelFamily,
    pub path: PathBuf,
    /// The provider's initramfs for it (`xenbeta-agent initramfs build`). Boot helpers run in it.
    pub initramfs: Option<PathBuf>,
    /// Where the kernel's modules are on this host. What guests get of them is in the initramfs.
    pub modules: Option<PathBuf>,
}

impl KernelConfig {
    /// The files a domain is built from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.path), self.initramfs.as_ref()]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }
}

fn default_anti_spoofing() -> bool {
    true
}

fn default_create_limit_s() -> u64 {
    180
}

fn default_console_dir() -> PathBuf {
    PathBuf::from("/var/log/xen/console")
}

fn check_create_limit(seconds: u64) -> Result<(), String> {
    if (30..=3600).contains(&seconds) {
        Ok(())
    } else {
        Err(format!(
            "driver.create_limit_s: {seconds} is not between 30 and 3600"
        ))
    }
}

impl XenConfig {
    pub(super) fn create_limit(&self) -> Duration {
        Duration::from_secs(self.create_limit_s)
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// What is wrong, with its key.
    pub fn check(&self) -> Result<(), String> {
        check_prefix(&self.prefix)?;
        check_bridge(&self.bridge)?;
        self.memory_mb.map_or(Ok(()), check_memory)?;
        check_console(self.console_kb)?;
        check_create_limit(self.create_limit_s)?;
        check_path("driver.console_dir", &self.console_dir)?;
        check_kernel_ids(self.kernels.iter().map(|kernel| kernel.id.as_str()))?;
        for kernel in &self.kernels {
            check_path("driver.kernels.path", &kernel.path)?;
            check_path_if("driver.kernels.initramfs", kernel.initramfs.as_deref())?;
            check_path_if("driver.kernels.modules", kernel.modules.as_deref())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        bridge = "xenbr0"
        [[kernels]]
        id = "2.6.18-xen"
        label = "2.6.18"
        family = "2.6"
        path = "/boot/vmlinuz-xenu"
        initramfs = "/var/lib/xenbeta/xenu.img"
    "#;

    fn parse(text: &str) -> Result<XenConfig, String> {
        let config: XenConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map(|()| config)
    }

    #[test]
    fn the_least_there_can_be_is_enough() {
        let config = parse(GOOD).unwrap();
        assert_eq!((config.prefix.as_str(), config.console_kb), ("xb", 256));
        assert!(config.anti_spoofing && config.memory_mb.is_none());
        assert_eq!(config.kernels.first().unwrap().files().count(), 2);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let bad = |from: &str, to: &str| {
            assert!(GOOD.contains(from));
            parse(&GOOD.replacen(from, to, 1)).unwrap_err()
        };
        let bridge = "bridge = \"xenbr0\"";
        assert!(bad("xenbr0", "../br0").starts_with("driver.bridge"));
        assert!(bad("xenbr0", "br0,script=/tmp/x").starts_with("driver.bridge"));
        let with = |line: &str| bad(bridge, &format!("{bridge}\n{line}"));
        assert!(with("memory_mb = 0").starts_with("driver.memory_mb"));
        assert!(with("create_limit_s = 5").starts_with("driver.create_limit_s"));
        assert!(with("colour = 1").contains("colour"));
        assert!(with("prefix = \"toolong\"").starts_with("driver.prefix"));
        assert!(with("console_dir = \"log\"").starts_with("driver.console_dir"));
        assert!(bad("/boot/vmlinuz-xenu", "/boot/a'b").starts_with("driver.kernels.path"));
        assert!(bad("/var/lib/xenbeta/", "").starts_with("driver.kernels.initramfs"));
    }
}
