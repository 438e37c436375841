//! The `uml` driver's part of the agent's configuration.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::agent::driver::files::plain;
use crate::agent::driver::net::is_interface;
use crate::domain::linode::KernelFamily;

/// A unix socket's path holds 107 bytes; the longest that UML makes is `uml_dir/umid/mconsole`, and a umid takes up to 35.
const UML_DIR_LIMIT: usize = 60;
/// With it a tap of a Linode id up to nine digits keeps to the 15 characters of an interface's name.
const PREFIX_LIMIT: usize = 5;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UmlConfig {
    /// Stands in front of every tap and umid; agents that share a machine need different ones.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// The bridge that the guests' taps join. It is the host's, and must exist.
    pub bridge: String,
    /// Memory for guests, in MiB.
    pub memory_mb: i64,
    /// Where UML keeps each guest's control socket.
    #[serde(default = "default_uml_dir")]
    pub uml_dir: PathBuf,
    /// How much of a guest's console is kept, in KiB (the same again of what went before).
    #[serde(default = "default_console_kb")]
    pub console_kb: u64,
    /// A shared object loaded into every guest's process. UML before 6.12 dies on processors with AMX without help
    /// (`docs/OPERATIONS.md`).
    pub preload: Option<PathBuf>,
    pub kernels: Vec<KernelConfig>,
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

fn default_prefix() -> String {
    "xb".to_owned()
}

fn default_uml_dir() -> PathBuf {
    PathBuf::from("/run/xenbeta/uml")
}

fn default_console_kb() -> u64 {
    256
}

impl UmlConfig {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// What is wrong, with its key.
    pub fn check(&self) -> Result<(), String> {
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if self.prefix.is_empty()
            || self.prefix.len() > PREFIX_LIMIT
            || !self.prefix.starts_with(|c: char| c.is_ascii_lowercase())
            || !self.prefix.chars().all(lower)
        {
            return Err(format!(
                "driver.prefix: {:?} is not 1 to {PREFIX_LIMIT} lower-case letters and digits, a letter first",
                self.prefix
            ));
        }
        if !is_interface(&self.bridge) {
            return Err(format!(
                "driver.bridge: {:?} is not the name of an interface",
                self.bridge
            ));
        }
        if self.memory_mb < 1 {
            return Err(format!(
                "driver.memory_mb: {} is not positive",
                self.memory_mb
            ));
        }
        if !(4..=65_536).contains(&self.console_kb) {
            return Err(format!(
                "driver.console_kb: {} is not between 4 and 65536",
                self.console_kb
            ));
        }
        if self.uml_dir.as_os_str().len() > UML_DIR_LIMIT {
            return Err(format!(
                "driver.uml_dir: longer than {UML_DIR_LIMIT} bytes, so that a socket in it could not be named"
            ));
        }
        check_path("driver.uml_dir", &self.uml_dir)?;
        self.check_kernels()
    }

    fn check_kernels(&self) -> Result<(), String> {
        if self.kernels.is_empty() {
            return Err("driver.kernels: none, so nothing could boot".to_owned());
        }
        for (at, kernel) in self.kernels.iter().enumerate() {
            if kernel.id.is_empty() || self.kernels.iter().skip(at + 1).any(|k| k.id == kernel.id) {
                return Err(format!(
                    "driver.kernels: id {:?} is empty or there twice",
                    kernel.id
                ));
            }
            check_path("driver.kernels.path", &kernel.path)?;
            if let Some(path) = &kernel.initramfs {
                check_path("driver.kernels.initramfs", path)?;
            }
        }
        self.preload
            .as_deref()
            .map_or(Ok(()), |path| check_path("driver.preload", path))
    }
}

fn check_path(key: &str, path: &Path) -> Result<(), String> {
    if path.is_absolute() && plain(path).is_some() {
        Ok(())
    } else {
        Err(format!(
            "{key}: {} is not an absolute path of plain characters",
            path.display()
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
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
