//! A move that was cancelled, or that came too late for its member, and whose offer stands again: as another offer of the
//! same place, until the same moment, so that nothing of the first try is mixed up with the next.

use super::guard::one_live;
use crate::app::context::Tx;
use crate::app::error::{AppError, Result};
use crate::app::mail::compose;
use crate::app::programme::allows;
use crate::domain::audit::{Action, Object};
use crate::domain::migration::hold::{Lateness, lateness};
use crate::domain::migration::{MigrationKind, MigrationState};
use crate::domain::programme::Deed;
use crate::domain::programme::move_times::offer_reminder;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::migration::{Change, Migration, NewMigration};

/// Would its offer still stand if its time were given up? After the end of the beta no offer into it does.
pub fn stands(conn: &mut Db, row: &Migration, now: Time) -> Result<bool, StoreError> {
    let programme = store::programme::get(conn, now)?;
    Ok(row.expires_at > now && allows(&programme, now, Deed::Start(row.kind)).is_ok())
}

/// Can its offer stand again after a cancel?
pub fn is_kept(conn: &mut Db, row: &Migration, now: Time) -> Result<bool> {
    let is_offer = matches!(row.kind, MigrationKind::Beta | MigrationKind::Graduation);
    Ok(is_offer && super::guard::still_permitted(conn, row).is_ok() && stands(conn, row, now)?)
}

/// The next offer in the place of one that was just cancelled, if it is to stand; its member hears of a time that is void.
/// `false`: the offer has ended.
pub(in crate::app) fn make(tx: &mut Tx<'_>, before: &Migration) -> Result<bool> {
    let row = store::migration::migration(tx.conn, before.id)?.ok_or(AppError::NotFound)?;
    if !row.offer_again || !is_kept(tx.conn, before, tx.now)? {
        return Ok(false);
    }
    let linode = store::linode::linode(tx.conn, row.linode_id)?.ok_or(AppError::NotFound)?;
    if linode.host_id != row.source_host_id {
        return Ok(false);
    }
    let new = NewMigration {
        kind: row.kind,
        linode_id: row.linode_id,
        account_id: row.account_id,
        registration_id: row.registration_id,
        parent_id: None,
        source_host_id: row.source_host_id,
        destination_host_id: row.destination_host_id,
        state: MigrationState::Offered,
        epoch: linode.epoch,
        base_epoch: None,
        offered_by: None,
        offered_at: tx.now,
        expires_at: row.expires_at,
        queued_at: None,
        queued_by: None,
        kernels_accepted: row.kernels_accepted,
        stop_limit_s: row.stop_limit_s,
    };
    let offer = store::migration::insert(tx.conn, &new).map_err(one_live)?;
    store::wave::follow(tx.conn, row.id, offer.id)?;
    let kept = Change {
        patience_s: Some(row.patience_s),
        down_limit_s: Some(row.down_limit_s),
        try_first_since: Some(row.try_first_since),
        remind_at: Some(offer_reminder(row.expires_at, tx.now)),
        ..Change::default()
    };
    store::migration::note(tx.conn, offer.id, &kept)?;
    tx.log(
        &offer,
        &format!("The offer stands again after migration {}.", row.id),
    )?;
    let instead = format!("instead of migration {}", row.id);
    tx.audit(Action::Offer, Object::Migration(offer.id), ("", &instead))?;
    let why = match lateness(row.not_before, row.patience_s, tx.now) {
        Lateness::Over => too_late(before),
        Lateness::InTime if row.not_before.is_some() => String::new(),
        Lateness::InTime | Lateness::Late(_) => return Ok(true),
    };
    compose::post_unscheduled(tx, &row, &why, Some(row.expires_at))?;
    Ok(true)
}

/// Why a move did not stop its Linode, in words for its member.
pub(in crate::app) fn too_late(row: &Migration) -> String {
    let why = match row.state {
        MigrationState::Queued => "There was no place to begin it in time.",
        MigrationState::Holding if row.try_first_since.is_some() => {
            "It was in step, and was to be tried on its new host before it stops: it could not be stopped in time."
        }
        MigrationState::Holding if row.down_limit_s.is_some() => {
            "It was in step, and could not be stopped in time within the limit that you set for its downtime."
        }
        MigrationState::Holding => "It was in step, and could not be stopped in time.",
        _ => "It was not in step with the original in time.",
    };
    format!(
        "{why} As you had said, it does not stop later than that; it runs on where it is. What was copied is dropped."
    )
}
