//! What the host has, found out anew for every poll: from the driver and the store, and from the ledger only what no
//! one else can know. What does not fit is reported, never removed; only a driver may put its own guests' keeping right.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use super::driver::GuestState;
use super::driver::files::boot_id;
use super::host::Host;
use super::ledger::Entry;
use crate::domain::ids::LinodeId;
use crate::wire::{Inventory, LinodeReport, Marked};

const MIB: u64 = 1024 * 1024;
/// How many odd things are named in one report.
const MOST_UNKNOWN: usize = 100;

/// Looks at everything. A part that cannot be found out is left at zero and named among the unknown.
pub fn collect(host: &Host) -> Inventory {
    let begun = Instant::now();
    let mut unknown = Vec::new();
    let space = host
        .disks
        .space()
        .map_err(|error| unknown.push(format!("disk space: {error}")))
        .ok();
    let entries = host.ledger.entries();
    let mut unsure = Vec::new();
    let linodes = linodes(host, &entries, &mut unknown, &mut unsure);
    unknown.extend(host.driver.maintain());
    strangers(host, &entries, &mut unknown);
    unknown.truncate(MOST_UNKNOWN);
    Inventory {
        agent_version: env!("CARGO_PKG_VERSION").into(),
        boot: boot_id().unwrap_or_default(),
        took_ms: u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX),
        memory_total_mb: host.driver.memory_total_mb(),
        disk_total_mb: space.map_or(0, |space| mib(space.total)),
        disk_free_mb: space.map_or(0, |space| mib(space.free)),
        tells_changes: host.disks.tells_changes(),
        kernels: host.driver.kernels(),
        linodes,
        unknown,
        unsure,
    }
}

/// Which of the Linodes in the ledger run now; those whose state cannot be found out are left out, and so are those that
/// left with their disks: looked at every few seconds, for as long as a host lives, they would be its greatest cost. Should
/// one of them run all the same, [`collect`] finds it.
pub fn running(host: &Host) -> BTreeMap<LinodeId, bool> {
    let entries = host.ledger.entries();
    let here = |entry: &Entry| entry.marks.owns() || entry.generation.is_some();
    let known = entries
        .iter()
        .filter(|(_, entry)| entry.as_ref().is_ok_and(here));
    let linodes: Vec<LinodeId> = known.map(|(linode, _)| *linode).collect();
    let states = host.driver.states(&linodes).into_iter();
    states
        .filter_map(|(linode, state)| {
            Some((linode, matches!(state.ok()?, GuestState::Running { .. })))
        })
        .collect()
}

fn mib(bytes: u64) -> i64 {
    i64::try_from(bytes / MIB).unwrap_or(i64::MAX)
}

fn linodes(
    host: &Host,
    entries: &BTreeMap<LinodeId, Result<Entry, String>>,
    unknown: &mut Vec<String>,
    unsure: &mut Vec<Marked>,
) -> Vec<LinodeReport> {
    let mut reports = Vec::new();
    let known = entries.iter().filter(|(_, entry)| entry.is_ok());
    let linodes: Vec<LinodeId> = known.map(|(linode, _)| *linode).collect();
    let mut states = host.driver.states(&linodes);
    let runs =
        |linode: &LinodeId| matches!(states.get(linode), Some(Ok(GuestState::Running { .. })));
    let running: Vec<LinodeId> = linodes.iter().copied().filter(runs).collect();
    let (mut samples, shares) = (host.driver.samples(&running), host.driver.shares(&running));
    for (linode, entry) in entries {
        match entry {
            Ok(entry) => {
                let why = match states.remove(linode) {
                    Some(Ok(state)) => {
                        reports.push(LinodeReport {
                            sample: samples.remove(linode).map(|counted| counted.sample),
                            share: shares.get(linode).copied(),
                            ..report(&settled(host, entry, &state), &state, unknown)
                        });
                        continue;
                    }
                    Some(Err(error)) => error.to_string(),
                    None => "the driver said nothing".into(),
                };
                unknown.push(format!("state of Linode {linode}: {why}"));
                unsure.push(Marked {
                    linode: *linode,
                    granted: entry.marks.granted,
                    sealed: entry.marks.sealed,
                    generation: entry.generation,
                });
            }
            Err(reason) => unknown.push(format!("ledger record of Linode {linode}: {reason}")),
        }
    }
    reports
}

/// A guest that runs without the right to is an alarm. It may have been granted since the ledger was read: then what the
/// ledger says now counts.
fn settled<'a>(host: &Host, entry: &'a Entry, state: &GuestState) -> Cow<'a, Entry> {
    let strayed = matches!(state, GuestState::Running { .. }) && !entry.marks.owns();
    let now = strayed.then(|| host.ledger.entry(entry.linode).ok());
    now.flatten().map_or(Cow::Borrowed(entry), Cow::Owned)
}

fn report(entry: &Entry, state: &GuestState, unknown: &mut Vec<String>) -> LinodeReport {
    let (running, since) = match state {
        GuestState::Running { since, .. } => (true, Some(*since)),
        GuestState::Absent => (false, None),
    };
    if running && !entry.marks.owns() {
        unknown.push(format!(
            "Linode {} runs here without the right to",
            entry.linode
        ));
        tracing::error!(linode = %entry.linode, marks = ?entry.marks, "a guest runs here without the right to");
    }
    LinodeReport {
        linode: entry.linode,
        granted: entry.marks.granted,
        sealed: entry.marks.sealed,
        generation: entry.generation,
        running,
        since,
        sample: None,
        share: None,
    }
}

/// Guests and disks which the ledger does not account for.
fn strangers(
    host: &Host,
    entries: &BTreeMap<LinodeId, Result<Entry, String>>,
    unknown: &mut Vec<String>,
) {
    match host.driver.guests() {
        Ok(guests) => unknown.extend(
            guests
                .iter()
                .filter(|linode| !entries.contains_key(linode))
                .map(|linode| format!("guest of Linode {linode}: not in the ledger")),
        ),
        Err(error) => unknown.push(format!("guests: {error}")),
    }
    let listing = match host.disks.list() {
        Ok(listing) => listing,
        Err(error) => {
            unknown.push(format!("disks: {error}"));
            return;
        }
    };
    unknown.extend(listing.unknown);
    for (linode, epoch) in listing.generations {
        let known = match entries.get(&linode) {
            Some(Ok(entry)) => {
                // A published copy waits under an epoch that is still to come.
                entry.generation == Some(epoch)
                    || epoch > entry.marks.granted.max(entry.marks.sealed)
            }
            Some(Err(_)) => true,
            None => false,
        };
        if !known {
            unknown.push(format!(
                "disks of Linode {linode}, epoch {epoch}: not in use"
            ));
        }
    }
}
