//! Judges what happened, by what the guests wrote themselves and by the disks; waits until everything is well again,
//! with the acts that staff and members have, and says what stands still.

use std::collections::BTreeMap;
use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use xenbeta::agent::driver::simulated::records::Ring;
use xenbeta::agent::driver::simulated::witness::{Acknowledged, Event, Line};
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::migration::MigrationState;

use crate::support::jobs;
use crate::support::witness;
use crate::world::{ALL, World};

/// What must never be.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    pub overlaps: Vec<String>,
    pub lost_writes: Vec<String>,
    pub stuck: Vec<String>,
    pub violations: Vec<String>,
}

impl Findings {
    pub fn extend(&mut self, other: Self) {
        self.overlaps.extend(other.overlaps);
        self.lost_writes.extend(other.lost_writes);
        self.stuck.extend(other.stuck);
        self.violations.extend(other.violations);
    }

    pub fn is_none(&self) -> bool {
        self.overlaps.is_empty()
            && self.lost_writes.is_empty()
            && self.stuck.is_empty()
            && self.violations.is_empty()
    }
}

/// What an act of staff was needed for, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Acts {
    pub staff: usize,
    pub boots: usize,
}

impl World {
    /// The witness's whole history: no two runners, no start without the stop before it, no number lost.
    pub fn judge(&self) -> Findings {
        let mut found = Findings::default();
        for violation in witness::judge(&self.witness()).unwrap().violations {
            if violation.contains("Overlap") {
                found.overlaps.push(violation);
            } else {
                found.lost_writes.push(violation);
            }
        }
        let mut lines = witness::read(&self.witness()).unwrap();
        lines.sort_by_key(|line| line.at_ns);
        let mut runs: BTreeMap<LinodeId, Line> = BTreeMap::new();
        for line in lines {
            match line.event {
                Event::Start => {
                    if let Some(before) = runs.insert(line.linode, line.clone()) {
                        found.overlaps.push(format!(
                            "Linode {} starts on {} (epoch {:?}) while it runs on {} (epoch {:?})",
                            line.linode, line.host, line.epoch, before.host, before.epoch
                        ));
                    }
                }
                // Of two runners the end of one leaves the other.
                Event::Stop | Event::Gone => {
                    runs.remove(&line.linode);
                }
                Event::Overlap
                | Event::Gap
                | Event::Trial
                | Event::TrialOver
                | Event::TrialOverlap => {}
            }
        }
        for linode in ALL {
            let at: Vec<&str> = self
                .hosts
                .iter()
                .filter(|host| host.guest(linode).is_some())
                .map(|host| host.program.name.as_str())
                .collect();
            if at.len() > 1 {
                found
                    .overlaps
                    .push(format!("Linode {linode} runs on {}", at.join(" and ")));
            }
        }
        found
    }

    /// The disk that each Linode runs from has everything that was ever synced.
    pub fn look_at_disks(&self, found: &mut Findings) {
        for linode in ALL {
            let Some(host) = self.hosts.iter().find(|it| it.guest(linode).is_some()) else {
                continue;
            };
            let Some(file) = host.guest_file(linode) else {
                continue;
            };
            let told = Acknowledged::open(&self.witness(), linode)
                .and_then(|it| it.newest())
                .unwrap();
            let disk = File::open(&file.disks[0]).unwrap();
            let read = Ring::of(disk.metadata().unwrap().len())
                .unwrap()
                .read(&disk, linode)
                .unwrap();
            if read.newest < told || !read.missing.is_empty() {
                found.lost_writes.push(format!(
                    "Linode {linode} at {}: {told} was synced, its disk has {read:?}",
                    host.program.name
                ));
            }
        }
    }

    /// `None`: it is well. Else what is not.
    pub fn ails(&self, linode: LinodeId) -> Option<String> {
        let row = self.row(linode)?;
        if let Some(reason) = self.hold(linode) {
            return Some(format!("held: {reason}"));
        }
        if let Some(busy) = self.migrations(linode).into_iter().find(|row| {
            matches!(
                row.state,
                MigrationState::Queued
                    | MigrationState::Preparing
                    | MigrationState::Copying
                    | MigrationState::Holding
                    | MigrationState::Switching
                    | MigrationState::Returning
            )
        }) {
            return Some(format!(
                "migration {} is {} at {:?}",
                busy.id, busy.state, busy.step
            ));
        }
        if row.status != LinodeStatus::Running {
            return Some(format!("it is {}", row.status));
        }
        if !self.hosts.iter().any(|host| host.id == row.host_id) {
            return Some(format!("host {} is none", row.host_id));
        }
        if self.host(row.host_id).guest(linode).is_none() {
            return Some(format!("its guest does not run on host {}", row.host_id));
        }
        let file = self.host(row.host_id).guest_file(linode)?;
        (file.epoch != Some(row.epoch)).then(|| {
            format!(
                "it runs under epoch {:?}, the portal says {}",
                file.epoch, row.epoch
            )
        })
    }

    /// Waits until all is well; first alone, then with acts. What still ails at the end is stuck.
    pub fn settle(&self, limit: Duration) -> (Acts, Findings) {
        let mut acts = Acts::default();
        let begun = Instant::now();
        let mut well = 0;
        let mut acted = Instant::now();
        loop {
            let found = self.judge();
            if !found.overlaps.is_empty() || !found.lost_writes.is_empty() {
                return (acts, found);
            }
            let ailing: Vec<(LinodeId, String)> = ALL
                .iter()
                .filter_map(|it| Some((*it, self.ails(*it)?)))
                .collect();
            // Twice in a row: a status may be from just before.
            well = if ailing.is_empty() && self.row(ALL[0]).is_some() {
                well + 1
            } else {
                0
            };
            if well >= 2 {
                let mut found = self.judge();
                self.look_at_disks(&mut found);
                return (acts, found);
            }
            if begun.elapsed() > limit {
                let mut found = self.judge();
                found
                    .stuck
                    .extend(ailing.iter().map(|(id, why)| self.stuck(*id, why)));
                return (acts, found);
            }
            if begun.elapsed() > Duration::from_secs(4) && acted.elapsed() > Duration::from_secs(2)
            {
                acted = Instant::now();
                for (linode, why) in &ailing {
                    self.act(*linode, why, &mut acts);
                }
                self.act_on_hosts(&mut acts);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn stuck(&self, linode: LinodeId, why: &str) -> String {
        let jobs = self
            .app()
            .db
            .read(|conn| jobs::of_linode(conn, linode, 3))
            .unwrap_or_default();
        let jobs: Vec<String> = jobs
            .iter()
            .map(|job| {
                format!(
                    "{} of host {} {} ({} attempts: {} {})",
                    job.kind, job.host_id, job.state, job.attempt, job.message, job.detail
                )
            })
            .collect();
        format!("Linode {linode}: {why}; {}", jobs.join("; "))
    }
}
