//! Before old disks are deleted the Linode's owner shows that it has them itself (rule 18): asking for that, and what is
//! shown.

use super::change;
use crate::app::context::Tx;
use crate::app::error::{AppError, Result};
use crate::domain::ids::{HostId, MigrationId};
use crate::domain::job::JobKind;
use crate::domain::linode::LinodeStatus;
use crate::domain::ownership::{self, KeepDisks, Proof};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::{Db, wake_on_commit};
use crate::store::job::{Job, NewJob};
use crate::store::linode::Linode;
use crate::store::migration::Change;
use crate::store::ownership::proof::ProofRow;
use crate::store::wake::Wake;
use crate::wire::DiskProof;

/// An owner whose word just now did not count is not asked at once for the next, which may not count either.
const PAUSE_S: i64 = 5;

/// Disks that a Linode left behind.
pub(in crate::app) struct OldDisks {
    pub host: HostId,
    /// That they are sealed under.
    pub epoch: i64,
    pub migration: Option<MigrationId>,
    /// Only what the owner showed after this counts.
    pub since: Option<Time>,
}

/// May old disks go?
pub(in crate::app) enum Purge {
    Now,
    /// Never: the Linode lives on them.
    InUse,
    /// Not yet, for this reason: its owner is asked to show its own.
    Asked(KeepDisks),
}

/// Old disks go on the strength of a fresh proof by the Linode's owner that it has them itself; without one it is asked for.
pub(in crate::app) fn may_purge(
    conn: &mut Db,
    now: Time,
    linode: &Linode,
    old: &OldDisks,
) -> Result<Purge> {
    let watched_s = store::ownership::memory::get(conn)?.watched_s;
    let shown = store::ownership::proof::of(conn, linode.id)?;
    let just_now = shown
        .as_ref()
        .filter(|it| (it.host_id, it.epoch) == (linode.host_id, linode.epoch))
        .is_some_and(|it| now.seconds_since(it.at).abs() < PAUSE_S);
    let proof = shown
        .filter(|it| old.since.is_none_or(|since| it.at >= since))
        .map(|it| Proof {
            host: it.host_id,
            epoch: it.epoch,
            running: it.running,
            // A clock that was set back makes nothing fresh.
            age_s: match now.seconds_since(it.at) {
                age @ ..0 => age,
                age => age.max(watched_s - it.watched_s),
            },
        });
    // What its member switched off is off as it should be.
    let should_run = linode.status == LinodeStatus::Running;
    match ownership::may_purge(linode.row(), proof, should_run, (old.host, old.epoch)) {
        Ok(()) => Ok(Purge::Now),
        Err(KeepDisks::InUse) => Ok(Purge::InUse),
        Err(why) => {
            let after = if just_now { now.plus_s(PAUSE_S) } else { now };
            ask(conn, (now, after), linode, old.migration)?;
            Ok(Purge::Asked(why))
        }
    }
}

/// Asks the owner to show its disks, unless it is asked already.
fn ask(
    conn: &mut Db,
    (now, after): (Time, Time),
    linode: &Linode,
    migration: Option<MigrationId>,
) -> Result<()> {
    // Old disks on two hosts may want it at one moment.
    store::linode::lock(conn, linode.id)?;
    if store::job::open_of_linode(conn, linode.id, &[JobKind::Prove])?.is_some() {
        return Ok(());
    }
    store::job::enqueue(
        conn,
        &NewJob {
            migration_id: migration,
            run_after: after,
            ..NewJob::own(linode, JobKind::Prove, now, None)
        },
    )?;
    Ok(())
}

/// The owner has shown its disks: what waits for that may go.
pub(in crate::app) fn shown(
    tx: &mut Tx<'_>,
    job: &Job,
    (epoch, running): (i64, bool),
    shown: &[DiskProof],
) -> Result<()> {
    let (conn, now, linode) = (&mut *tx.conn, tx.now, job.linode_id);
    let disks = store::linode::disk::disks_of(conn, linode)?;
    let whole = disks.iter().all(|disk| {
        let size = u64::try_from(disk.size_mb).unwrap_or(0) * 1024 * 1024;
        shown
            .iter()
            .any(|it| it.disk == disk.id && it.size_bytes == size)
    });
    if epoch != job.epoch || !whole || !change::is_current(conn, linode, job)? {
        tracing::warn!(%linode, "a proof that shows something else than the portal knows does not count");
        return Ok(());
    }
    let watched_s = store::ownership::memory::get(conn)?.watched_s;
    store::ownership::proof::put(
        conn,
        &ProofRow {
            linode_id: linode,
            host_id: job.host_id,
            epoch,
            running,
            at: now,
            watched_s,
        },
    )?;
    store::job::hasten(conn, linode, JobKind::Purge)?;
    // A way-back window may wait for it.
    wake_on_commit(conn, Wake::Reconcile)?;
    Ok(())
}

/// Old disks are gone: noted on the migration they were the source of.
pub(in crate::app) fn purged(tx: &mut Tx<'_>, job: &Job) -> Result<()> {
    let conn = &mut *tx.conn;
    store::ownership::memory::count_up(conn)?;
    let Some(id) = job.migration_id else {
        return Ok(());
    };
    let row = store::migration::migration(conn, id)?.ok_or(AppError::NotFound)?;
    if row.source_host_id == job.host_id && row.epoch == job.epoch {
        let change = Change {
            purged_at: Some(tx.now),
            ..Change::default()
        };
        store::migration::note(conn, id, &change)?;
    }
    Ok(())
}
