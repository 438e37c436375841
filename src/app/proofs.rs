//! Before old disks are deleted the Linode's owner shows that it has them itself (rule 18): asking for that, and what is
//! shown.

use super::{AppError, holds};
use crate::domain::ids::{HostId, MigrationId};
use crate::domain::ownership::{self, KeepDisks, Proof};
use crate::domain::time::Time;
use crate::domain::words::{JobKind, LinodeStatus};
use crate::store::db::Db;
use crate::store::fleet::Linode;
use crate::store::jobs::{self, NewJob};
use crate::store::{portal, proofs as rows};

/// May the disks at `place` (a host, and the epoch they are sealed under) go? `since`: only what was shown after that counts.
pub(super) fn may_purge(
    conn: &mut Db,
    now: Time,
    linode: &Linode,
    place: (HostId, i64),
    since: Option<Time>,
) -> Result<Result<(), KeepDisks>, AppError> {
    let watched_s = portal::get(conn)?.watched_s;
    let proof = rows::of(conn, linode.id)?
        .filter(|it| since.is_none_or(|since| it.at >= since))
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
    Ok(ownership::may_purge(
        holds::row_of(linode),
        proof,
        should_run,
        place,
    ))
}

/// Asks the owner to show its disks, unless it is asked already.
pub(super) fn ask(
    conn: &mut Db,
    now: Time,
    linode: &Linode,
    migration: Option<MigrationId>,
) -> Result<(), AppError> {
    if jobs::open_of_linode(conn, linode.id, &[JobKind::Prove])?.is_some() {
        return Ok(());
    }
    jobs::enqueue(
        conn,
        &NewJob {
            migration_id: migration,
            ..NewJob::own(linode, JobKind::Prove, now, None)
        },
    )?;
    Ok(())
}
