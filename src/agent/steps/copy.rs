//! Moving the bytes: the source opens a transfer, the destination fetches.

use super::preflight::{generation, not_owner};
use super::{StepError, Work};
use crate::agent::ledger::OpenTransfer;
use crate::agent::ledger::rules;
use crate::domain::ids::MigrationId;
use crate::wire::{GuestSpec, Peer, Report};

pub fn open(
    work: &Work<'_>,
    migration: MigrationId,
    epoch: i64,
    guest: &GuestSpec,
    peer_fingerprint: &str,
    token: &str,
) -> Result<Report, StepError> {
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

pub fn warm(
    work: &Work<'_>,
    _migration: MigrationId,
    _guest: &GuestSpec,
    _source: &Peer,
    _max_passes: u32,
) -> Result<Report, StepError> {
    not_owner(work)?;
    Ok(Report::Done)
}

pub fn last(
    work: &Work<'_>,
    _migration: MigrationId,
    epoch: i64,
    _guest: &GuestSpec,
    _source: &Peer,
) -> Result<Report, StepError> {
    let entry = not_owner(work)?;
    rules::may_publish(entry.marks, epoch + 1)?;
    Ok(Report::Done)
}
