//! Boot, reboot and shut down a Linode, wherever it is.

use crate::app::App;
use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::app::linode::shared::own_linode;
use crate::app::migration::check;
use crate::app::ownership::change;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{ConfigId, HostId, JobId, LinodeId};
use crate::domain::job::JobKind;
use crate::domain::linode::LinodeStatus;
use crate::domain::migration::MigrationState;
use crate::store;
use crate::store::db::Db;
use crate::store::job::{Job, NewJob};

pub(in crate::app) const POWER: [JobKind; 3] = [JobKind::Boot, JobKind::Reboot, JobKind::Shutdown];

/// Is it being stopped, copied or started by its move? Then nothing else starts or stops it.
pub(in crate::app) fn is_switching(conn: &mut Db, linode: LinodeId) -> Result<bool> {
    Ok(store::migration::is_in(
        conn,
        linode,
        &[MigrationState::Switching],
    )?)
}

/// What a power job that the switch-over overtook was to end in: running, or off. The switch-over ends in that.
pub(in crate::app) fn wish(conn: &mut Db, linode: LinodeId) -> Result<Option<bool>> {
    let open = store::job::open_of_linode(conn, linode, &POWER)?;
    Ok(open.map(|job| job.kind != JobKind::Shutdown))
}

/// Boots a Linode that ran when its host was rebooted. Whatever else is to be done with it comes first; a switch-over that has not
/// stopped it yet finds in this what it is to end in.
pub(in crate::app) fn boot_again(tx: &mut Tx<'_>, host: HostId, linode: LinodeId) -> Result<()> {
    let Some(linode) = store::linode::linode(tx.conn, linode)? else {
        return Ok(());
    };
    let moves = store::migration::of_linode(tx.conn, linode.id)?;
    let arrives = moves
        .iter()
        .any(|it| it.state == MigrationState::Switching && it.source_host_id != host);
    let is_busy = arrives || store::job::open_of_linode(tx.conn, linode.id, &POWER)?.is_some();
    if is_busy || linode.host_id != host {
        return Ok(());
    }
    store::job::enqueue(tx.conn, &NewJob::own(&linode, JobKind::Boot, tx.now, None))?;
    store::linode::set_status(tx.conn, linode.id, LinodeStatus::Booting, tx.now)?;
    let change = (LinodeStatus::Running, LinodeStatus::Booting);
    tx.audit(Action::Power, Object::Linode(linode.id), change)
}

/// A power job that was never given out: the Linode is as it was, and the trail says why.
pub(in crate::app) fn not_done(tx: &mut Tx<'_>, job: &Job, why: &str) -> Result<()> {
    if !POWER.contains(&job.kind) || !change::is_current(tx.conn, job.linode_id, job)? {
        return Ok(());
    }
    let status = match job.kind {
        JobKind::Boot => LinodeStatus::Offline,
        _ => LinodeStatus::Running,
    };
    store::linode::set_status(tx.conn, job.linode_id, status, tx.now)?;
    let not_done = format!("not done: {why}");
    tx.audit(
        Action::Power,
        Object::Linode(job.linode_id),
        (job.kind, not_done),
    )
}

impl App {
    /// Enqueues a power job. The same one asked for twice is one job; `config` chooses the profile to boot from.
    pub fn power(
        &self,
        actor: &Actor,
        linode: LinodeId,
        kind: JobKind,
        config: Option<ConfigId>,
    ) -> Result<JobId> {
        let account = actor.require_account()?;
        let status = match kind {
            JobKind::Boot => LinodeStatus::Booting,
            JobKind::Reboot => LinodeStatus::Rebooting,
            JobKind::Shutdown => LinodeStatus::ShuttingDown,
            _ => return Err(AppError::Fault(format!("{kind} is not a power job"))),
        };
        self.transact(actor.who(), |tx| {
            // Moves come before their Linode.
            let moves = store::migration::locked_of_linode(tx.conn, linode)?;
            store::linode::lock(tx.conn, linode)?;
            let linode = own_linode(tx.conn, account, linode)?;
            if is_switching(tx.conn, linode.id)? {
                return Err(AppError::conflict(
                    "The Linode is being switched over to its new host. Try again when that is done.",
                ));
            }
            if let Some(open) = store::job::open_of_linode(tx.conn, linode.id, &POWER)? {
                if open.kind == kind {
                    return Ok(open.id);
                }
                return Err(AppError::conflict(format!(
                    "A {} is under way. Wait until it is done, then try again.",
                    open.kind
                )));
            }
            match (kind, linode.status) {
                (JobKind::Boot, LinodeStatus::Running) => {
                    return Err(AppError::conflict("The Linode is running already."));
                }
                // It died, and is waited for: that is called off.
                (JobKind::Shutdown, LinodeStatus::Offline) if check::is_awaited(tx, &moves)? => {}
                (JobKind::Shutdown, LinodeStatus::Offline) => {
                    return Err(AppError::conflict("The Linode is off already."));
                }
                _ => {}
            }
            if kind != JobKind::Shutdown {
                let profiles = store::linode::profile::profiles_of(tx.conn, linode.id)?;
                match config {
                    Some(config) if profiles.iter().any(|profile| profile.id == config) => {
                        store::linode::profile::set_boot_config(tx.conn, linode.id, config)?;
                    }
                    Some(_) => return Err(AppError::NotFound),
                    None if profiles.is_empty() => {
                        return Err(AppError::conflict("The Linode has no config profile to boot from."));
                    }
                    None => {}
                }
            }
            let id = store::job::enqueue(tx.conn, &NewJob::own(&linode, kind, tx.now, Some(actor.user)))?;
            store::linode::set_status(tx.conn, linode.id, status, tx.now)?;
            if kind == JobKind::Shutdown {
                check::shut_down(tx, &moves)?;
            }
            tx.audit(Action::Power, Object::Linode(linode.id), (linode.status, status))?;
            Ok(id)
        })
    }

    /// Asks the Linode's host for the last lines of its console. Asked for twice while it is under way, it is one job.
    pub fn read_console(&self, actor: &Actor, linode: LinodeId) -> Result<JobId> {
        let account = actor.require_account()?;
        let now = self.now();
        self.db.write(|conn| {
            store::linode::lock(conn, linode)?;
            let linode = own_linode(conn, account, linode)?;
            if let Some(open) = store::job::open_of_linode(conn, linode.id, &[JobKind::Console])? {
                return Ok(open.id);
            }
            let job = NewJob::own(&linode, JobKind::Console, now, Some(actor.user));
            Ok(store::job::enqueue(conn, &job)?)
        })
    }
}
