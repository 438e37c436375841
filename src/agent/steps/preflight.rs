//! Before anything is stopped: is the Linode whole at its source, could it run here, and room for it.

use std::cell::Cell;
use std::time::Instant;

use super::check;
use super::look::{generation, is_running};
use super::work::{Result, StepError, Work};
use crate::agent::disk::{Base, DiskFault};
use crate::agent::ledger::{Entry, rules};
use crate::domain::ids::MigrationId;
use crate::domain::linode::Helper;
use crate::domain::linode::check::Check;
use crate::domain::string_enum::StringEnum;
use crate::wire::{BootSpec, GuestSpec, Progress, Report};

pub(super) fn source(
    work: &Work<'_>,
    epoch: i64,
    guest: &GuestSpec,
    checks: &[Check],
) -> Result<Report> {
    let entry = work.host.ledger.entry(work.locked.linode())?;
    rules::act(entry.marks, epoch)?;
    let generation = generation(&entry)?;
    let usage = work
        .host
        .disks
        .check(entry.linode, generation, &guest.disks)?;
    Ok(Report::Source {
        running: is_running(work)?,
        total_bytes: usage.total,
        allocated_bytes: usage.allocated,
        tells_changes: work.host.disks.tells_changes(),
        checks: check::ask(work, guest, checks),
    })
}

/// Space, memory, kernels, addresses, names. Changes nothing.
pub(super) fn destination(
    work: &Work<'_>,
    migration: MigrationId,
    guest: &GuestSpec,
    boots: &[BootSpec],
) -> Result<Report> {
    let linode = work.locked.linode();
    not_owner(work)?;
    if is_running(work)? {
        return Err(rules::Refusal::Running.into());
    }
    work.host.disks.preflight(linode, migration, &guest.disks)?;
    for boot in boots {
        work.host.driver.preflight(linode, guest, boot)?;
        names_will_fit(work, boot)?;
    }
    let others = others(work);
    memory(work, guest, &others)?;
    addresses(guest, &others)?;
    Ok(Report::Done)
}

/// Under new names of its disks and its console the guest comes up only if its own files are changed first, and that is
/// done by helpers. One that cannot be helped here is not brought here.
fn names_will_fit(work: &Work<'_>, boot: &BootSpec) -> Result<()> {
    let depends = |helper: &&Helper| matches!(helper, Helper::Fstab | Helper::Console);
    let wanted: Vec<&str> = boot
        .helpers
        .iter()
        .filter(depends)
        .map(|helper| helper.as_str())
        .collect();
    if wanted.is_empty() || work.host.driver.runs_helpers(boot) {
        return Ok(());
    }
    Err(StepError::Impossible {
        public: format!(
            "The config profile {} needs its boot helpers ({}) on the new host, which cannot run them: it has no initramfs \
             for the kernel {}. Staff can add one",
            boot.label,
            wanted.join(", "),
            boot.kernel
        ),
        detail: format!(
            "driver.kernels {:?} names no initramfs; make one with `xenbeta-agent initramfs build` (docs/BOOT.md)",
            boot.kernel
        ),
    })
}

pub(super) fn reserve(
    work: &Work<'_>,
    migration: MigrationId,
    guest: &GuestSpec,
    base_epoch: Option<i64>,
) -> Result<Report> {
    let entry = not_owner(work)?;
    // Any sealed generation is a good beginning: every chunk of the copy is compared with the source later.
    let base = entry
        .generation
        .filter(|_| base_epoch.is_some_and(|epoch| entry.marks.sealed >= epoch));
    let pace = paced(work, guest);
    let base = base.map(|epoch| Base { epoch, pace: &pace });
    let reserved = work
        .host
        .disks
        .reserve(entry.linode, migration, &guest.disks, base);
    match (reserved, work.control.check()) {
        (Ok(()), _) => Ok(Report::Done),
        // The store only knows that it was told to stop; the control knows why.
        (Err(error), Err(halt)) if error.fault == DiskFault::Stopped => Err(halt.into()),
        (Err(error), _) => Err(error.into()),
    }
}

/// Copying of the store's own is held to the host's cap as any other, reported so that a cancel is heard of soon, and ends
/// with it.
pub(super) fn paced(work: &Work<'_>, guest: &GuestSpec) -> impl Fn(usize) -> bool {
    let (begun, done) = (Instant::now(), Cell::new(0));
    let total_bytes = guest.disks.iter().map(|disk| disk.size_bytes).sum();
    move |bytes| {
        let stop = || work.control.check().is_err();
        work.host.cap.take(bytes, &stop);
        if stop() {
            return false;
        }
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        work.control.say(Progress {
            pass: 0,
            done_bytes: done.get(),
            total_bytes,
            sent_bytes: 0,
            bytes_per_s: done.get().saturating_mul(1000) / ms.max(1),
            left_bytes: None,
            checked_bytes: None,
        });
        done.set(done.get() + bytes as u64);
        true
    }
}

/// A host that owns the Linode is not where it can be copied to.
pub(super) fn not_owner(work: &Work<'_>) -> Result<Entry> {
    let entry = work.host.ledger.entry(work.locked.linode())?;
    if entry.marks.owns() {
        return Err(StepError::Owner { marks: entry.marks });
    }
    Ok(entry)
}

/// The other Linodes that live here.
pub(super) fn others(work: &Work<'_>) -> Vec<Entry> {
    let entries = work.host.ledger.entries().into_values().flatten();
    entries
        .filter(|entry| entry.marks.owns() && entry.linode != work.locked.linode())
        .collect()
}

pub(super) fn memory(work: &Work<'_>, guest: &GuestSpec, others: &[Entry]) -> Result<()> {
    let total = work.host.driver.memory_total_mb();
    let ram = |entry: &Entry| entry.guest.as_ref().map_or(0, |guest| guest.ram_mb);
    let used: i64 = others
        .iter()
        .filter(|entry| entry.desired_running)
        .map(ram)
        .sum();
    if used + guest.ram_mb > total {
        return Err(StepError::Impossible {
            public: "The new host does not have enough free memory".into(),
            detail: format!("{} MiB wanted, {used} of {total} MiB in use", guest.ram_mb),
        });
    }
    Ok(())
}

fn addresses(guest: &GuestSpec, others: &[Entry]) -> Result<()> {
    for other in others {
        let Some(theirs) = &other.guest else { continue };
        let shared = guest.addresses.iter().find(|ours| {
            theirs
                .addresses
                .iter()
                .any(|their| their.address == ours.address)
        });
        let clash = match shared {
            Some(address) => format!("address {}", address.address),
            None if theirs.mac.eq_ignore_ascii_case(&guest.mac) => {
                format!("MAC {}", guest.mac)
            }
            None => continue,
        };
        return Err(StepError::Impossible {
            public: "An address of this Linode is already in use on the new host".into(),
            detail: format!("{clash} belongs to Linode {} here", other.linode),
        });
    }
    Ok(())
}
