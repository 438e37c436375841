//! Members' data that a move left behind on a host, and that nothing will come back for (rule 23, last sentence): found by
//! what hosts report, and purged as any old copy is, on the owner's fresh proof.

use crate::app::App;
use crate::app::error::{AppError, Result};
use crate::app::ownership::recovery::should_report;
use crate::domain::ids::{HostId, LinodeId, MigrationId};
use crate::domain::job::{JobKind, JobState};
use crate::domain::migration::{MigrationKind, MigrationState};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::host::Host;
use crate::store::job::NewJob;
use crate::store::migration::Migration;

impl App {
    /// Says how many were found.
    pub(in crate::app) fn find_leftovers(&self) -> Result<usize> {
        let now = self.now();
        let hosts = self.db.read(|conn| {
            if store::ownership::memory::get(conn)?
                .recovery_since
                .is_some()
            {
                return Ok::<_, AppError>(Vec::new());
            }
            Ok(store::host::all(conn)?)
        })?;
        let mut found = 0;
        for host in hosts.iter().filter(|host| should_report(host)) {
            for (linode, sealed) in left(host) {
                let purged = self
                    .db
                    .write(|conn| purge(conn, now, host.id, (linode, sealed)));
                match purged {
                    Ok(purged) => found += usize::from(purged),
                    Err(error) => {
                        tracing::error!(host = %host.id, %linode, %error, "are its disks left behind?")
                    }
                }
            }
        }
        Ok(found)
    }
}

/// Linodes whose disks the host has and does not own, with the epoch they are sealed under.
fn left(host: &Host) -> Vec<(LinodeId, i64)> {
    if !host.ledger_fault.is_empty() {
        return Vec::new();
    }
    let all: Vec<(LinodeId, i64, i64)> =
        serde_json::from_str(&host.sealed_here).unwrap_or_default();
    all.into_iter()
        .map(|(linode, _, sealed)| (linode, sealed))
        .collect()
}

fn purge(
    conn: &mut Db,
    now: Time,
    host: HostId,
    (linode, sealed): (LinodeId, i64),
) -> Result<bool> {
    store::linode::lock(conn, linode)?;
    let Some(row) = store::linode::linode(conn, linode)? else {
        return Ok(false);
    };
    if row.host_id == host
        || store::ownership::hold::of(conn, linode)?.is_some()
        || store::job::open_of_linode(conn, linode, &[JobKind::Purge])?.is_some()
    {
        return Ok(false);
    }
    let all = store::migration::of_linode(conn, linode)?;
    let Some(of) = nobody_needs(&all, host) else {
        return Ok(false);
    };
    tracing::warn!(%host, %linode, sealed, "disks were left behind: they are purged once their owner has shown its own");
    store::job::enqueue(
        conn,
        &NewJob {
            host_id: host,
            linode_id: linode,
            migration_id: Some(of),
            kind: JobKind::Purge,
            state: JobState::Pending,
            epoch: sealed,
            run_after: now,
            requested_by: None,
            entered_at: now,
        },
    )?;
    Ok(true)
}

/// The newest migration that had to do with the host, if none of them is open that might come back for its disks.
fn nobody_needs(all: &[Migration], host: HostId) -> Option<MigrationId> {
    let is_over = |row: &Migration| {
        matches!(
            row.state,
            MigrationState::Confirmed
                | MigrationState::Returned
                | MigrationState::Expired
                | MigrationState::Cancelled
        )
    };
    let needs = |row: &Migration| match row.kind {
        // A way back that failed is asked for anew on the move it belongs to.
        MigrationKind::Return if row.state == MigrationState::Failed => all
            .iter()
            .any(|parent| row.parent_id == Some(parent.id) && !is_over(parent)),
        _ => !is_over(row),
    };
    let mut touching = all
        .iter()
        .filter(|row| row.source_host_id == host || row.destination_host_id == host);
    let newest = touching.clone().next()?;
    (!touching.any(needs)).then_some(newest.id)
}
