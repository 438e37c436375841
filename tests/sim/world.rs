//! What is true, whatever anybody remembers: guests and disks of every host. It judges by itself, independent of portal
//! and agents: two runners of one Linode, a guest on disks that are not the ones it left, an acknowledged write that is gone.

use std::collections::{BTreeMap, BTreeSet};

use xenbeta::agent::disk::Receipt;
use xenbeta::domain::ids::{DiskId, LinodeId, MigrationId};

/// A disk is this many chunks, each holding the number of the last write to it.
pub const CHUNKS: usize = 4;

/// One disk: what the host's memory holds of it, and what survives a power cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    pub cache: [u64; CHUNKS],
    pub durable: [u64; CHUNKS],
}

impl Disk {
    pub fn sync(&mut self) {
        self.durable = self.cache;
    }
}

pub type Disks = BTreeMap<DiskId, Disk>;

#[derive(Debug, Clone, Default)]
pub struct Generation {
    pub sealed: bool,
    pub disks: Disks,
}

/// A copy in the making, or published and not activated.
#[derive(Debug, Clone, Default)]
pub struct Copy {
    pub disks: Disks,
    pub published: Option<(i64, Receipt)>,
}

#[derive(Debug, Clone)]
pub struct Run {
    pub host: i64,
    pub id: u64,
    pub epoch: i64,
    /// A guest that was seen to stay up does work that counts.
    pub settled: bool,
}

/// Of one disk: the number of the last write to each chunk, and of the last one that its guest was told is durable.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    pub written: [u64; CHUNKS],
    pub acked: [u64; CHUNKS],
}

#[derive(Debug, Default)]
pub struct World {
    pub guests: Vec<(LinodeId, Run)>,
    pub runs: u64,
    pub writes: u64,
    pub generations: BTreeMap<(i64, LinodeId, i64), Generation>,
    pub copies: BTreeMap<(i64, LinodeId, MigrationId), Copy>,
    pub truth: BTreeMap<DiskId, Truth>,
    pub overlaps: Vec<String>,
    pub lost: Vec<String>,
    pub violations: Vec<String>,
    /// Trials' clones that run, and the disks made for them.
    pub trials: Vec<(i64, LinodeId)>,
    pub trial_disks: BTreeSet<(i64, LinodeId, MigrationId)>,
    pub tried: u64,
}

impl World {
    pub fn run_of(&self, host: i64, linode: LinodeId) -> Option<&Run> {
        let here = |(id, run): &&(LinodeId, Run)| *id == linode && run.host == host;
        self.guests.iter().find(here).map(|(_, run)| run)
    }

    pub fn remove_run(&mut self, host: i64, linode: LinodeId) -> bool {
        let before = self.guests.len();
        self.guests
            .retain(|(id, run)| *id != linode || run.host != host);
        self.guests.len() < before
    }

    pub fn start(&mut self, host: i64, linode: LinodeId, epoch: i64, dies: bool) {
        for (_, other) in self.guests.iter().filter(|(id, _)| *id == linode) {
            self.overlaps.push(format!(
                "{linode} starts on {host} and runs on {}",
                other.host
            ));
        }
        match self.generations.get(&(host, linode, epoch)) {
            None => self
                .violations
                .push(format!("{linode} starts on {host} without disks e{epoch}")),
            Some(generation) if generation.sealed => self.violations.push(format!(
                "{linode} starts on {host} from sealed disks e{epoch}"
            )),
            Some(generation) => {
                let found = judge(&self.truth, &generation.disks);
                let told = |what| format!("{linode} starts on {host} e{epoch}: {what}");
                self.lost.extend(found.into_iter().map(told));
            }
        }
        self.no_trial(host, linode, "it starts");
        self.runs += 1;
        if !dies {
            let run = Run {
                host,
                id: self.runs,
                epoch,
                settled: false,
            };
            self.guests.push((linode, run));
        }
    }

    /// Neither is anything done to copies while a clone stands on them, nor does the Linode run beside it on its host.
    pub fn no_trial(&mut self, host: i64, linode: LinodeId, what: &str) {
        let runs = self.trials.contains(&(host, linode));
        if runs
            || self
                .trial_disks
                .iter()
                .any(|it| (it.0, it.1) == (host, linode))
        {
            self.violations
                .push(format!("a trial of {linode} is on {host}, and {what}"));
        }
    }

    pub fn try_it(&mut self, host: i64, linode: LinodeId) {
        if self.trials.iter().any(|it| it.1 == linode) || self.run_of(host, linode).is_some() {
            self.violations.push(format!(
                "{linode} is tried on {host} beside another trial or itself"
            ));
        }
        self.tried += 1;
        self.trials.push((host, linode));
    }

    /// Deleting disks is right only while what they hold is elsewhere, on disks that can be started.
    pub fn purge(&mut self, host: i64, linode: LinodeId, epoch: i64) {
        if self
            .run_of(host, linode)
            .is_some_and(|run| run.epoch == epoch)
        {
            self.violations.push(format!(
                "{linode} purged on {host} while it runs from e{epoch}"
            ));
        }
        if self.generations.remove(&(host, linode, epoch)).is_none() {
            return;
        }
        let kept = self.generations.iter().any(|((_, id, _), generation)| {
            *id == linode && judge(&self.truth, &generation.disks).is_empty()
        });
        if !kept {
            self.lost.push(format!(
                "{linode}: e{epoch} on {host} was the last whole copy"
            ));
        }
    }

    /// The disks that a guest runs from hold what it wrote.
    pub fn look_at(&mut self, linode: LinodeId) {
        let Some((_, run)) = self.guests.iter().find(|(id, _)| *id == linode) else {
            return;
        };
        let generation = self.generations.get(&(run.host, linode, run.epoch));
        let wrong = generation.map_or(vec!["no disks".into()], |it| judge(&self.truth, &it.disks));
        let told = |what| format!("{linode} at the end: {what}");
        self.lost.extend(wrong.into_iter().map(told));
    }

    /// A running guest writes to one of its disks, and then perhaps waits until that is durable.
    pub fn write(&mut self, linode: LinodeId, disk: usize, chunk: usize, fsync: bool) {
        let Some((_, run)) = self.guests.iter().find(|(id, _)| *id == linode) else {
            return;
        };
        let key = (run.host, linode, run.epoch);
        self.writes += 1;
        let number = self.writes;
        let Some(generation) = self.generations.get_mut(&key) else {
            self.violations
                .push(format!("{linode} writes to disks that are gone: {key:?}"));
            return;
        };
        if generation.sealed {
            self.violations
                .push(format!("{linode} writes to sealed disks {key:?}"));
        }
        let at = disk % generation.disks.len().max(1);
        let Some((id, disk)) = generation.disks.iter_mut().nth(at) else {
            return;
        };
        let truth = self.truth.entry(*id).or_default();
        disk.cache[chunk] = number;
        truth.written[chunk] = number;
        if fsync {
            disk.sync();
            truth.acked = disk.cache;
        }
    }

    /// The host loses power: guests end, and of what was not fsynced some is gone.
    pub fn power_cut(&mut self, host: i64, mut gone: impl FnMut() -> bool) {
        self.guests.retain(|(_, run)| run.host != host);
        self.trials.retain(|it| it.0 != host);
        let mut forget = |disks: &mut Disks| {
            for disk in disks.values_mut() {
                for chunk in 0..CHUNKS {
                    if disk.cache[chunk] != disk.durable[chunk] && gone() {
                        disk.cache[chunk] = disk.durable[chunk];
                    }
                }
                disk.durable = disk.cache;
            }
        };
        for (key, generation) in &mut self.generations {
            if key.0 == host {
                forget(&mut generation.disks);
            }
        }
        for (key, copy) in &mut self.copies {
            if key.0 == host {
                forget(&mut copy.disks);
            }
        }
    }
}

/// What is wrong with disks that a guest is to be started from: older than an acknowledged write, or never written so.
fn judge(truth: &BTreeMap<DiskId, Truth>, disks: &Disks) -> Vec<String> {
    let mut wrong = Vec::new();
    for (id, disk) in disks {
        let Some(truth) = truth.get(id) else { continue };
        for chunk in 0..CHUNKS {
            let found = disk.cache[chunk];
            if found < truth.acked[chunk] || found > truth.written[chunk] {
                wrong.push(format!(
                    "disk {id} chunk {chunk} is {found}, acknowledged {}, written {}",
                    truth.acked[chunk], truth.written[chunk]
                ));
            }
        }
    }
    wrong
}
