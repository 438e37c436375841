//! The file a manager's data comes in (docs/IMPORT.md): its types, and its reading. What has been read is well-formed in
//! every field; whether the parts fit together, and fit what is in the database, `fleet_check` says.

use super::fields::{
    Devices, comments, email, filesystem, host_name, kernel_id, label, mac, maybe_kernel_id,
    maybe_label, one, password_hash, person_name, rdns, root_device, small, timezone,
    usual_run_level, usual_slots, usual_timezone, usual_weight, within,
};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::position::{Step, line_at, line_of, steps};
use crate::domain::host::HostRole;
use crate::domain::linode::{Helper, IpKind, KernelFamily, RunLevel};
use crate::domain::platform::Platform;
use crate::domain::values::{Email, HostName, Label, Mac, PersonName, RootDevice};

/// The largest file that is read: some 60,000 Linodes.
pub const MAX_BYTES: u64 = 64 << 20;

/// What is wrong, and where: `line 214: accounts[3].linodes[2].disks[0].size_mb: …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {path}{}{message}", if path.is_empty() { "" } else { ": " })]
pub struct Problem {
    pub line: usize,
    pub path: String,
    pub message: String,
}

impl Problem {
    pub fn at(text: &str, path: &str, message: impl Into<String>) -> Self {
        Self {
            line: line_of(text, &steps(path)),
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    #[serde(rename = "format")]
    _format: Format,
    #[serde(default)]
    pub plans: Vec<Plan>,
    #[serde(default)]
    pub kernels: Vec<Kernel>,
    #[serde(default)]
    pub hosts: Vec<Host>,
    #[serde(default)]
    pub accounts: Vec<Account>,
}

/// The version of the format; there is one.
#[derive(Debug, serde::Deserialize)]
enum Format {
    #[serde(rename = "xenbeta-fleet-1")]
    Fleet1,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    #[serde(deserialize_with = "label")]
    pub label: Label,
    #[serde(deserialize_with = "within::<_, 1, 100_000_000>")]
    pub ram_mb: i64,
    #[serde(deserialize_with = "within::<_, 1, 1_000_000_000>")]
    pub disk_mb: i64,
    #[serde(deserialize_with = "small::<_, 1, 512>")]
    pub vcpus: i32,
    #[serde(default = "usual_weight", deserialize_with = "within::<_, 1, 65_535>")]
    pub cpu_weight: i64,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    #[serde(deserialize_with = "kernel_id")]
    pub id: String,
    #[serde(deserialize_with = "label")]
    pub label: Label,
    pub platform: Platform,
    pub family: KernelFamily,
    #[serde(default, deserialize_with = "maybe_kernel_id")]
    pub maps_to: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    #[serde(deserialize_with = "host_name")]
    pub name: HostName,
    pub platform: Platform,
    pub role: HostRole,
    #[serde(default, deserialize_with = "maybe_label")]
    pub plan: Option<Label>,
    #[serde(deserialize_with = "within::<_, 1, 100_000_000>")]
    pub memory_mb: i64,
    #[serde(deserialize_with = "within::<_, 1, 10_000_000_000>")]
    pub disk_mb: i64,
    #[serde(default = "usual_slots", deserialize_with = "small::<_, 0, 1000>")]
    pub slots: i32,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    #[serde(deserialize_with = "person_name")]
    pub name: PersonName,
    #[serde(default)]
    pub users: Vec<User>,
    #[serde(default)]
    pub linodes: Vec<Linode>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    #[serde(deserialize_with = "email")]
    pub email: Email,
    #[serde(deserialize_with = "person_name")]
    pub name: PersonName,
    #[serde(default = "usual_timezone", deserialize_with = "timezone")]
    pub timezone: String,
    #[serde(default, deserialize_with = "password_hash")]
    pub password_hash: Option<String>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({})", self.email.as_str())
    }
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linode {
    #[serde(deserialize_with = "within::<_, 1, { i64::MAX }>")]
    pub id: i64,
    #[serde(deserialize_with = "label")]
    pub label: Label,
    #[serde(deserialize_with = "label")]
    pub plan: Label,
    #[serde(deserialize_with = "host_name")]
    pub host: HostName,
    #[serde(deserialize_with = "mac")]
    pub mac: Mac,
    #[serde(default)]
    pub disks: Vec<Disk>,
    #[serde(default)]
    pub configs: Vec<Config>,
    #[serde(default)]
    pub ips: Vec<Ip>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    #[serde(deserialize_with = "within::<_, 1, { i64::MAX }>")]
    pub id: i64,
    #[serde(deserialize_with = "label")]
    pub label: Label,
    #[serde(deserialize_with = "within::<_, 1, 100_000_000>")]
    pub size_mb: i64,
    #[serde(deserialize_with = "filesystem")]
    pub filesystem: String,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(deserialize_with = "within::<_, 1, { i64::MAX }>")]
    pub id: i64,
    #[serde(deserialize_with = "label")]
    pub label: Label,
    #[serde(deserialize_with = "kernel_id")]
    pub kernel: String,
    pub devices: Devices,
    #[serde(deserialize_with = "root_device")]
    pub root_device: RootDevice,
    #[serde(default)]
    pub read_only_root: bool,
    #[serde(default = "usual_run_level")]
    pub run_level: RunLevel,
    /// MiB; 0 is all that the plan has.
    #[serde(default, deserialize_with = "within::<_, 0, 100_000_000>")]
    pub ram_limit_mb: i64,
    #[serde(default = "one", deserialize_with = "small::<_, 1, 512>")]
    pub vcpus: i32,
    #[serde(default, deserialize_with = "comments")]
    pub comments: String,
    #[serde(default)]
    pub helpers: BTreeSet<Helper>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ip {
    pub address: IpAddr,
    #[serde(deserialize_with = "small::<_, 1, 128>")]
    pub prefix: i32,
    pub gateway: Option<IpAddr>,
    pub kind: IpKind,
    #[serde(default, deserialize_with = "rdns")]
    pub rdns: String,
}

/// Reads a file; the first thing that is wrong with it, if any, with its line and path.
pub fn parse(text: &str) -> Result<Fleet, Problem> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let fleet: Fleet = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = path_of(error.path());
        problem(text, &path, error.inner())
    })?;
    reader.end().map_err(|error| problem(text, &[], &error))?;
    Ok(fleet)
}

/// As [`parse`], from bytes that may not even be text.
pub fn text(bytes: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| Problem {
        line: bytes
            .get(..error.valid_up_to())
            .and_then(|fine| std::str::from_utf8(fine).ok())
            .map_or(1, |fine| line_at(fine, fine.len())),
        path: String::new(),
        message: "this is not UTF-8 text".to_owned(),
    })?;
    // Some editors put a byte-order mark in front; it says nothing here.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn path_of(path: &serde_path_to_error::Path) -> Vec<Step> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn problem(text: &str, path: &[Step], error: &serde_json::Error) -> Problem {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    let plain = whole
        .strip_suffix(&format!(" at line {line} column {column}"))
        .unwrap_or(&whole)
        .to_owned();
    let (line, message) = match error.classify() {
        Category::Data => (line_of(text, path), plain),
        Category::Eof => (
            line,
            "the file ends here, in the middle: it was cut off".to_owned(),
        ),
        Category::Syntax | Category::Io => (line, format!("not valid JSON: {plain}")),
    };
    let mut written = String::new();
    for step in path {
        match step {
            Step::Key(key) if written.is_empty() => written.push_str(key),
            Step::Key(key) => {
                written.push('.');
                written.push_str(key);
            }
            Step::Index(index) => {
                written.push('[');
                written.push_str(&index.to_string());
                written.push(']');
            }
        }
    }
    // Both may repeat what stands in the file, on somebody's terminal.
    Problem {
        line,
        path: crate::domain::text::line(&written, 200),
        message: crate::domain::text::line(&message, 1000),
    }
}
