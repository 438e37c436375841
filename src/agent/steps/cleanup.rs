//! Closing transfers, dropping copies, purging sealed disks. The only steps that delete, each behind its rule.

use super::look::is_running;
use super::work::{Result, Work};
use crate::agent::ledger::rules;
use crate::domain::ids::MigrationId;
use crate::wire::Report;

pub(super) fn close(work: &Work<'_>, migration: MigrationId) -> Result<Report> {
    work.host.ledger.close_transfer(migration)?;
    // In this order: nobody new is let in, and then whoever is in is cut off.
    let linode = work.locked.linode();
    match work.host.server.get() {
        Some(server) => server.close(linode, migration)?,
        None => work.host.disks.close_source(linode, migration)?,
    }
    Ok(Report::Done)
}

pub(super) fn release(work: &Work<'_>, migration: MigrationId, epoch: i64) -> Result<Report> {
    let entry = work.host.ledger.entry(work.locked.linode())?;
    rules::may_release(entry.marks, epoch)?;
    work.host.ledger.remember_portal()?;
    work.host.disks.release(entry.linode, migration)?;
    Ok(Report::Done)
}

pub(super) fn purge(work: &Work<'_>, epoch: i64) -> Result<Report> {
    let mut entry = work.host.ledger.entry(work.locked.linode())?;
    if rules::superseded(entry.marks, entry.generation, epoch) {
        work.host.ledger.remember_portal()?;
        work.host.disks.purge(entry.linode, epoch)?;
        return Ok(Report::Done);
    }
    rules::may_purge(entry.marks, epoch, is_running(work)?)?;
    work.host.ledger.remember_portal()?;
    if let Some(generation) = entry.generation.filter(|generation| *generation <= epoch) {
        work.host.disks.purge(entry.linode, generation)?;
        entry.generation = None;
        work.host.ledger.put(&entry)?;
    }
    Ok(Report::Done)
}
