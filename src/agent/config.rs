//! The agent's configuration file. Unknown keys are refused; secrets are not in it (the credential is a file of its own
//! in the state folder).

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::driver::simulated::SimulatedConfig;
use super::driver::uml::UmlConfig;
use super::driver::xen::XenConfig;
use crate::log;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {message}")]
    Parse { path: PathBuf, message: String },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the portal answers: `https://portal.example.net`, without a path.
    pub portal: String,
    /// PEM file of the authorities to trust for the portal instead of the public ones.
    pub portal_ca: Option<PathBuf>,
    /// Ledger, credential, transfer key, lock: what must survive a restart. Only root may read it.
    pub state_dir: PathBuf,
    /// How many jobs at once: copies are long, and power jobs must not wait for them.
    #[serde(default = "default_slots")]
    pub slots: u32,
    pub transfer: TransferConfig,
    pub disks: DisksConfig,
    pub driver: DriverConfig,
    #[serde(default)]
    pub log: log::Format,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferConfig {
    /// `address:port` to listen on for other agents.
    pub listen: String,
    /// `address:port` under which they reach it; the listening address unless given.
    pub advertise: Option<String>,
}

impl TransferConfig {
    pub fn advertised(&self) -> &str {
        self.advertise.as_deref().unwrap_or(&self.listen)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "store", rename_all = "lowercase")]
pub enum DisksConfig {
    /// Sparse files in a folder.
    Files(FilesConfig),
    /// Linear volumes of an LVM volume group.
    Lvm(LvmConfig),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesConfig {
    pub dir: PathBuf,
    /// MiB that stay free beside what guests can overwrite while a copy has their live disks cloned (XFS and btrfs); a
    /// twentieth of the file system unless given, and at most 4 GiB.
    pub reserve_mb: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LvmConfig {
    /// The volume group.
    pub vg: String,
    /// Where records and tables of digests are; in the state folder unless given.
    pub dir: Option<PathBuf>,
}

impl LvmConfig {
    /// A name as LVM allows it, that no command takes for an option.
    fn check(&self) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "+_.-".contains(c);
        let dots = self.vg == "." || self.vg == "..";
        if self.vg.is_empty() || dots || self.vg.starts_with('-') || !self.vg.chars().all(plain) {
            return Err(format!("disks.vg: {:?} is no volume group's name", self.vg));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum DriverConfig {
    Simulated(SimulatedConfig),
    Uml(UmlConfig),
    Xen(XenConfig),
}

fn default_slots() -> u32 {
    8
}

impl Config {
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|message| ConfigError::Parse {
            path: path.to_owned(),
            message,
        })
    }

    /// Parses and checks what the types alone do not.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let portal = config.portal.as_str();
        let rest = portal
            .strip_prefix("https://")
            .or_else(|| portal.strip_prefix("http://"));
        if !rest.is_some_and(|host| !host.is_empty() && !host.contains('/')) {
            return Err(format!(
                "portal: {portal:?} is not http(s)://host[:port] without a path"
            ));
        }
        for (key, value) in [
            ("transfer.listen", config.transfer.listen.as_str()),
            ("transfer.advertise", config.transfer.advertised()),
        ] {
            let port = value
                .rsplit_once(':')
                .and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none() {
                return Err(format!("{key}: {value:?} is not address:port"));
            }
        }
        match &config.driver {
            DriverConfig::Simulated(_) => {}
            DriverConfig::Uml(uml) => uml.check()?,
            DriverConfig::Xen(xen) => xen.check()?,
        }
        if let DisksConfig::Lvm(lvm) = &config.disks {
            lvm.check()?;
            if matches!(&config.driver, DriverConfig::Simulated(driver) if driver.provision_missing)
            {
                return Err("driver.provision_missing: sample disks are files, not volumes".into());
            }
        }
        if !(1..=64).contains(&config.slots) {
            return Err(format!("slots: {} is not between 1 and 64", config.slots));
        }
        Ok(config)
    }

    pub fn state(&self) -> StateDir {
        StateDir(self.state_dir.clone())
    }
}

/// Where things are in the state folder.
#[derive(Debug, Clone)]
pub struct StateDir(pub PathBuf);

impl StateDir {
    pub fn credential(&self) -> PathBuf {
        self.0.join(Self::CREDENTIAL)
    }

    pub fn identity(&self) -> PathBuf {
        self.0.join(Self::IDENTITY)
    }

    /// Locked by the running agent.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger")
    }

    /// The driver's own folder.
    pub fn driver(&self) -> PathBuf {
        self.0.join("driver")
    }

    /// Records of a store whose disks are not files themselves.
    pub fn volumes(&self) -> PathBuf {
        self.0.join("volumes")
    }

    pub const CREDENTIAL: &str = "credential";
    pub const IDENTITY: &str = "identity.json";
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../packaging/agent.example.toml");

    #[test]
    fn the_example_file_is_valid() {
        let config = Config::parse(EXAMPLE).unwrap();
        assert_eq!(config.slots, 8);
    }

    #[test]
    fn the_example_file_for_xen_is_valid() {
        let text = include_str!("../../packaging/agent.xen.example.toml");
        assert!(matches!(
            Config::parse(text).unwrap().driver,
            DriverConfig::Xen(_)
        ));
        let error = Config::parse(&text.replace("xenbr0", "xen br0")).unwrap_err();
        assert!(error.starts_with("driver.bridge"), "{error}");
    }

    #[test]
    fn unknown_keys_are_refused_at_every_level() {
        for (after, line) in [
            ("state_dir", "colour = 1\n"),
            ("listen", "colour = 1\n"),
            ("store", "colour = 1\n"),
            ("kind", "colour = 1\n"),
        ] {
            let mut text = String::new();
            for kept in EXAMPLE.lines() {
                text.push_str(kept);
                text.push('\n');
                if kept.starts_with(after) {
                    text.push_str(line);
                }
            }
            assert_ne!(text.trim(), EXAMPLE.trim(), "{after} is in the example");
            let error = Config::parse(&text).unwrap_err();
            assert!(error.contains("colour"), "after {after}: {error}");
        }
    }

    #[test]
    fn the_reserve_beside_clones_may_be_set() {
        let files = |text: &str| match Config::parse(text).unwrap().disks {
            DisksConfig::Files(files) => files.reserve_mb,
            DisksConfig::Lvm(_) => None,
        };
        assert_eq!(files(EXAMPLE), None);
        let dir = "dir = \"/srv/linodes\"";
        let set = EXAMPLE.replace(dir, &format!("{dir}\nreserve_mb = 512"));
        assert_eq!(files(&set), Some(512));
    }

    #[test]
    fn bad_values_are_named() {
        let bad = |from: &str, to: &str| Config::parse(&EXAMPLE.replace(from, to)).unwrap_err();
        assert!(bad("https://portal.example.net", "portal.example.net").starts_with("portal:"));
        assert!(bad("slots = 8", "slots = 0").starts_with("slots:"));
        assert!(bad(":7443", "").starts_with("transfer.listen:"));
        let files = "store = \"files\"\ndir = \"/srv/linodes\"";
        for vg in ["", "-a", "a/b", "..", "a b"] {
            let lvm = format!("store = \"lvm\"\nvg = {vg:?}");
            assert!(bad(files, &lvm).starts_with("disks.vg:"), "{vg}");
        }
        let lvm = EXAMPLE.replace(files, "store = \"lvm\"\nvg = \"vg0\"");
        let config = Config::parse(&lvm).unwrap();
        assert!(matches!(config.disks, DisksConfig::Lvm(lvm) if lvm.vg == "vg0"));
    }
}
