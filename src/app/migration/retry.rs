//! Trying a failed migration again: it holds nothing since it failed, so all that it stands on is looked at anew, and under
//! lock.

use super::guard::{hosts_take_part, still_permitted};
use super::offer;
use crate::app::error::{AppError, Result};
use crate::app::host::liveness::asked_at;
use crate::app::job::outcome::step_of;
use crate::app::ownership::change;
use crate::domain::host::HostRole;
use crate::domain::ids::JobId;
use crate::domain::job::{JobKind, JobState};
use crate::domain::migration::{MigrationKind, MigrationState, is_live};
use crate::domain::placement;
use crate::domain::programme::Deed;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::host::room::RoomQuery;
use crate::store::migration::Migration;

/// Refuses a retry that must not be. The programme is held already. One that is not failed (any more) is left to the state
/// machine, which knows a second press from a late one.
pub(in crate::app) fn may(conn: &mut Db, now: Time, asked: &Migration) -> Result<()> {
    if asked.kind == MigrationKind::Return {
        return Err(AppError::conflict(
            "Ask for the way back again on the migration it belongs to.",
        ));
    }
    if let Some(registration) = asked.registration_id {
        store::registration::locked(conn, registration)?;
    }
    let open = store::migration::locked_of_linode(conn, asked.linode_id)?;
    let Some(row) = open
        .iter()
        .find(|row| row.id == asked.id && row.state == MigrationState::Failed)
    else {
        return Ok(());
    };
    still_permitted(conn, row)?;
    crate::app::programme::allows(
        &store::programme::get(conn, now)?,
        now,
        Deed::Start(row.kind),
    )?;
    in_its_place(conn, row, &open)?;
    has_room(conn, now, row)?;
    hosts_take_part(conn, now, row)
}

/// Nothing came after it, and the Linode is where it starts from.
fn in_its_place(conn: &mut Db, row: &Migration, open: &[Migration]) -> Result<()> {
    if let Some(other) = open
        .iter()
        .find(|other| other.id != row.id && is_live(other.state))
    {
        return Err(AppError::conflict(format!(
            "The Linode has another migration, number {}, which is {}.",
            other.id, other.state
        )));
    }
    let linode = store::linode::linode(conn, row.linode_id)?.ok_or(AppError::NotFound)?;
    offer::open_way_back(open, &linode)?;
    let newer = store::migration::of_linode(conn, row.linode_id)?
        .into_iter()
        .any(|other| other.id > row.id);
    if linode.host_id != row.source_host_id || newer {
        return Err(AppError::conflict(
            "This is no longer the Linode's last migration, and cannot be tried again. Staff can make a new offer.",
        ));
    }
    Ok(())
}

/// Its place was given up when it failed: it takes it again, if nobody else has.
fn has_room(conn: &mut Db, now: Time, row: &Migration) -> Result<()> {
    let linode = store::linode::linode(conn, row.linode_id)?.ok_or(AppError::NotFound)?;
    store::host::lock(conn, row.destination_host_id)?;
    let asked = RoomQuery {
        of: Some(linode.id),
        ..asked_at(now)
    };
    let rooms = store::host::room::rooms(conn, asked)?;
    let room = rooms
        .iter()
        .find(|room| room.host == row.destination_host_id)
        .ok_or(AppError::NotFound)?;
    let role = match row.kind {
        MigrationKind::Beta => HostRole::Beta,
        MigrationKind::Graduation => HostRole::Production,
        MigrationKind::Return | MigrationKind::Evacuation => room.role,
    };
    let need = offer::need(conn, &linode, role)?;
    placement::fits(room, &need).map_err(|no| {
        AppError::conflict(format!(
            "{} cannot take this Linode any more: {no}. Staff can offer a place on another host.",
            room.name
        ))
    })
}

/// Refuses to revive a job that nobody waits for: it must be its migration's present step, or what is left to clean up
/// while no other move of the Linode is under way; outside of migrations, its Linode must be where it was.
pub(in crate::app) fn may_job(conn: &mut Db, id: JobId) -> Result<()> {
    let seen = store::job::job(conn, id)?.ok_or(AppError::NotFound)?;
    if let Some(of) = seen.migration_id {
        store::migration::locked(conn, of)?;
    }
    let job = store::job::locked(conn, id)?.ok_or(AppError::NotFound)?;
    if job.state != JobState::Failed {
        return Err(AppError::conflict("Only a failed job can be tried again."));
    }
    if step_of(conn, &job)?.is_some() {
        return Ok(());
    }
    let why = if job.migration_id.is_none() {
        let is_there = change::is_current(conn, job.linode_id, &job)?;
        (!is_there)
            .then_some("Its Linode has moved since: this job is for an owner that is no longer.")
    } else if matches!(
        job.kind,
        JobKind::CloseTransfer | JobKind::Release | JobKind::Purge
    ) {
        let open = store::migration::locked_of_linode(conn, job.linode_id)?;
        open.iter()
            .any(|row| is_live(row.state))
            .then_some("Its Linode is being moved: try this again when that is over.")
    } else {
        Some("Its migration has gone on without it: there is nothing to try again.")
    };
    why.map_or(Ok(()), |why| Err(AppError::conflict(why)))
}
