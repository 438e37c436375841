//! Moving the bytes: the source opens a transfer, the destination fetches.

use super::look::generation;
use super::preflight::not_owner;
use super::work::{Result, StepError, Work};
use crate::agent::ledger::{OpenTransfer, rules};
use crate::agent::transfer::{Fault, Fetch, TransferError};
use crate::domain::ids::MigrationId;
use crate::wire::{GuestSpec, Peer, Report};

pub(super) fn open(
    work: &Work<'_>,
    migration: MigrationId,
    epoch: i64,
    guest: &GuestSpec,
    peer_fingerprint: &str,
    token: &str,
) -> Result<Report> {
    let entry = work.host.ledger.entry(work.locked.linode())?;
    rules::serve(entry.marks, epoch)?;
    work.host
        .disks
        .check(entry.linode, generation(&entry)?, &guest.disks)?;
    work.host.ledger.open_transfer(&OpenTransfer {
        migration,
        linode: entry.linode,
        epoch,
        guest: guest.clone(),
        peer_fingerprint: peer_fingerprint.to_owned(),
        token: token.to_owned(),
    })?;
    Ok(Report::Done)
}

/// Passes over the live disks. Never counts as final.
pub(super) fn warm(
    work: &Work<'_>,
    migration: MigrationId,
    guest: &GuestSpec,
    source: &Peer,
    max_passes: u32,
) -> Result<Report> {
    not_owner(work)?;
    let fetch = fetch(work, migration, guest, source);
    let warm = work
        .host
        .mover
        .warm(&fetch, max_passes)
        .map_err(|error| halted(work, error))?;
    Ok(Report::Warm {
        passes: warm.passes,
        sent_bytes: warm.sent_bytes,
        seconds: warm.seconds,
        rest_bytes: warm.rest_bytes,
        moving_passes: warm.moving_passes,
        last_pass_s: Some(warm.last_pass_s),
    })
}

/// The last pass, from disks sealed at `epoch`, published as the generation that will run under `epoch + 1`.
pub(super) fn last(
    work: &Work<'_>,
    migration: MigrationId,
    epoch: i64,
    guest: &GuestSpec,
    source: &Peer,
) -> Result<Report> {
    let entry = not_owner(work)?;
    rules::may_publish(entry.marks, epoch + 1)?;
    let fetch = fetch(work, migration, guest, source);
    let copied = work
        .host
        .mover
        .finish(&fetch, epoch)
        .map_err(|error| halted(work, error))?;
    Ok(Report::Copied {
        epoch,
        digests: copied.digests,
        sent_bytes: copied.sent_bytes,
        seconds: copied.seconds,
        uncached: copied.uncached,
    })
}

fn fetch<'a>(
    work: &'a Work<'_>,
    migration: MigrationId,
    guest: &'a GuestSpec,
    source: &'a Peer,
) -> Fetch<'a> {
    Fetch {
        identity: &work.host.identity,
        source,
        linode: work.locked.linode(),
        migration,
        disks: &guest.disks,
        store: &*work.host.disks,
        cap: &work.host.cap,
        watch: work.control,
    }
}

/// The mover only knows that it was told to stop; the control knows why.
fn halted(work: &Work<'_>, error: TransferError) -> StepError {
    match (error.fault, work.control.check()) {
        (Fault::Cancelled, Err(halt)) => halt.into(),
        _ => error.into(),
    }
}
