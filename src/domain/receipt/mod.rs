//! The receipt of a move: what it says, when it is consistent in itself, and how it is signed. docs/RECEIPTS.md describes it
//! for others.

pub mod image;
pub mod keys;
pub mod sealed;

use serde::{Deserialize, Serialize};

use super::ids::{AccountId, ConfigId, DiskId, LinodeId, MigrationId};
use super::linode::IpKind;
use super::linode::translate::Profile;
use super::migration::{self, MigrationKind};
use super::platform::Platform;
use super::time::Time;

pub const FORMAT: &str = "xenbeta-receipt";
/// A newer one means something else, and is refused; what is added within it can be left unread.
pub const VERSION: u32 = 1;

/// Of a move that is finished. Made once, and never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub format: String,
    pub version: u32,
    /// When it was signed: when the move finished, unless that was before there were receipts.
    pub issued: Time,
    pub migration: MigrationId,
    pub kind: MigrationKind,
    pub linode: Linode,
    pub account: Account,
    pub from: Place,
    pub to: Place,
    pub times: Times,
    pub downtime: Downtime,
    pub digests: Digests,
    pub disks: Vec<Disk>,
    /// The Linode's own; a move changes none of them.
    pub addresses: Vec<Address>,
    pub profiles: Profiles,
    pub versions: Versions,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linode {
    pub id: LinodeId,
    pub label: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub host: String,
    pub platform: Platform,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// `None`: the portal did not write it down.
    pub asked: Option<Time>,
    pub begun: Option<Time>,
    /// When it was told to stop.
    pub stopped: Option<Time>,
    /// When it had been started again; `None` also if its host does not say.
    pub started: Option<Time>,
    pub finished: Time,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Downtime {
    /// It ran when it was stopped, and so was away.
    pub was_running: bool,
    /// In whole seconds, from the order to stop until it was started, or until the move was finished where its host does not
    /// say when it started.
    pub measured_s: Option<i64>,
    pub foretold_s: Option<i64>,
    pub foretold_most_s: Option<i64>,
}

/// How the disks' roots are computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Digests {
    pub algorithm: String,
    pub chunk_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    pub id: DiskId,
    pub label: String,
    pub size_bytes: u64,
    /// What the host it left computed of its sealed disk, and what the other one read back.
    pub source_root: String,
    pub destination_root: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Address {
    pub address: String,
    pub prefix: i32,
    pub kind: IpKind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profiles {
    pub before: Vec<Numbered>,
    pub after: Vec<Numbered>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    pub id: ConfigId,
    #[serde(flatten)]
    pub profile: Profile,
}

/// Of the programs, as far as the portal knew them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Versions {
    pub portal: String,
    pub source_agent: Option<String>,
    pub destination_agent: Option<String>,
}

/// What its file is called where it is saved or attached.
pub fn file_name(of: MigrationId) -> String {
    format!("receipt-{of}.json")
}

impl Receipt {
    /// What it contradicts itself in, in words; nothing, if it is consistent.
    pub fn contradictions(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.digests.algorithm != image::ALGORITHM {
            wrong.push(format!(
                "the algorithm {:?} is not known",
                self.digests.algorithm
            ));
        }
        if !image::CHUNKS.contains(&self.digests.chunk_bytes) {
            wrong.push(format!(
                "chunks of {} bytes are none",
                self.digests.chunk_bytes
            ));
        }
        if self.disks.is_empty() {
            wrong.push("it has no disk".to_owned());
        }
        for disk in &self.disks {
            wrong.extend(disk.contradiction());
        }
        wrong.extend(self.disorder());
        let times = &self.times;
        let down_s = migration::down_s(
            self.downtime.was_running,
            times.stopped,
            times.started,
            Some(times.finished),
        );
        if self.downtime.measured_s != down_s {
            wrong.push(format!(
                "its downtime is {}, and by its times {}",
                seconds(self.downtime.measured_s),
                seconds(down_s)
            ));
        }
        wrong
    }

    /// Times that do not follow one another.
    fn disorder(&self) -> Vec<String> {
        let times = &self.times;
        let told = [
            ("asked", times.asked),
            ("begun", times.begun),
            ("stopped", times.stopped),
            ("started", times.started),
            ("finished", Some(times.finished)),
            ("issued", Some(self.issued)),
        ];
        let known: Vec<(&str, Time)> = told
            .into_iter()
            .filter_map(|(name, at)| Some((name, at?)))
            .collect();
        let pairs = known.iter().zip(known.iter().skip(1));
        pairs
            .filter(|((_, first), (_, then))| first > then)
            .map(|((first, _), (then, _))| format!("it was {then} before it was {first}"))
            .collect()
    }
}

impl Disk {
    fn contradiction(&self) -> Option<String> {
        let is_root = |root: &str| root.len() == 64 && keys::is_hex(root);
        if !is_root(&self.source_root) || !is_root(&self.destination_root) {
            return Some(format!("a root of disk {} is none", self.id));
        }
        (self.source_root != self.destination_root).then(|| {
            format!(
                "both hosts' roots of disk {} differ: {} and {}",
                self.id, self.source_root, self.destination_root
            )
        })
    }
}

fn seconds(count: Option<i64>) -> String {
    count.map_or_else(|| "none".to_owned(), |count| format!("{count} s"))
}

#[cfg(test)]
mod tests;
