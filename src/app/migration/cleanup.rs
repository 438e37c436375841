//! What a migration leaves behind, and the jobs that clear it away: transfers, copies, old disks.

use super::engine::Work;
use crate::app::error::Result;
use crate::domain::job::JobKind;
use crate::domain::migration::{MigrationKind, MigrationState};
use crate::store;
use crate::store::migration::Migration;

impl Work<'_, '_> {
    pub(in crate::app) fn close_transfer(&mut self, row: &Migration) -> Result<()> {
        if row.started_at.is_some() {
            self.enqueue(row, JobKind::CloseTransfer, (row.source_host_id, row.epoch))?;
        }
        Ok(())
    }

    pub(in crate::app) fn clean_up(&mut self, row: &Migration) -> Result<()> {
        if row.started_at.is_none() {
            return Ok(());
        }
        self.close_transfer(row)?;
        if row.state == MigrationState::Finished {
            return Ok(());
        }
        self.enqueue(
            row,
            JobKind::Release,
            (row.destination_host_id, row.epoch + 1),
        )?;
        if row.kind != MigrationKind::Return
            && let Some(epoch) = row.base_epoch
        {
            self.enqueue(row, JobKind::Purge, (row.destination_host_id, epoch))?;
        }
        Ok(())
    }

    /// The source's sealed disks go, those of ways back that were tried and given up too, and what an earlier stay left at
    /// the destination. Each waits for the owner's proof (`orders::purge`), and the agents check for themselves.
    pub(in crate::app) fn purge(&mut self, row: &Migration) -> Result<()> {
        self.enqueue(row, JobKind::Purge, (row.source_host_id, row.epoch))?;
        for tried in store::migration::of_linode(self.tx.conn, row.linode_id)? {
            if tried.parent_id == Some(row.id)
                && let Some(epoch) = tried.base_epoch.filter(|epoch| *epoch > row.epoch)
            {
                self.enqueue(row, JobKind::Purge, (tried.destination_host_id, epoch))?;
            }
        }
        if let Some(epoch) = row.base_epoch {
            self.enqueue(row, JobKind::Purge, (row.destination_host_id, epoch))?;
        }
        Ok(())
    }
}
