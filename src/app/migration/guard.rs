//! Who may see and do what with a migration, whatever is done.

use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::app::host::liveness::SILENT_S;
use crate::app::linode::profile::translation::{self, Untranslated};
use crate::domain::account::Right;
use crate::domain::host::HostState;
use crate::domain::ids::{AccountId, MigrationId, UserId};
use crate::domain::migration::{Event, MigrationKind};
use crate::domain::registration::RegistrationState;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::host::Host;
use crate::store::migration::Migration;

/// The migration, if the actor may see it: theirs, or any for staff.
pub fn visible(conn: &mut Db, actor: &Actor, id: MigrationId) -> Result<Migration> {
    let row = store::migration::migration(conn, id)?.ok_or(AppError::NotFound)?;
    if is_theirs(actor, &row) || actor.may(Right::Read) {
        Ok(row)
    } else {
        Err(AppError::NotFound)
    }
}

/// As [`visible`], and theirs to change: staff need the right to.
pub fn changeable(conn: &mut Db, actor: &Actor, id: MigrationId) -> Result<Migration> {
    let row = visible(conn, actor, id)?;
    if !is_theirs(actor, &row) {
        actor.require(Right::Moves)?;
    }
    Ok(row)
}

fn is_theirs(actor: &Actor, row: &Migration) -> bool {
    actor.account == Some(row.account_id)
}

/// Checked when work is scheduled and again when it begins: the registration behind it still stands.
pub fn still_permitted(conn: &mut Db, row: &Migration) -> Result<()> {
    if let Some(id) = row.registration_id
        && matches!(row.kind, MigrationKind::Beta | MigrationKind::Graduation)
    {
        let state = store::registration::registration(conn, id)?.map(|it| it.state);
        return match state {
            Some(RegistrationState::Approved) => Ok(()),
            Some(RegistrationState::Closed) => Err(AppError::conflict("The beta has ended.")),
            _ => Err(AppError::conflict(
                "The registration behind this migration was withdrawn.",
            )),
        };
    }
    Ok(())
}

/// Can its two hosts do it now? A way back may come to a host that takes no others.
pub(in crate::app) fn hosts_take_part(conn: &mut Db, now: Time, row: &Migration) -> Result<()> {
    let Some((host, why)) = store::host::room::shut(conn, now.plus_s(-SILENT_S), &row.link())?
    else {
        return Ok(());
    };
    let name = store::host::host(conn, host)?.map_or_else(String::new, |it| it.name);
    Err(AppError::conflict(format!(
        "{name} cannot take part in this move now: {why}. Try again later, or ask staff for an offer of another host."
    )))
}

/// Why work that was asked for does not begin.
pub const UNASKED: &str = "Who asked for this may not do so any more.";

/// May whoever asked for work on something of this account ask for it still? Looked at again at admission, when a job is
/// claimed, and before anything is stopped. What the portal does of itself nobody asked for.
pub fn may_still_ask(conn: &mut Db, by: Option<UserId>, account: AccountId) -> Result<bool> {
    let Some(by) = by else { return Ok(true) };
    let user = store::account::user(conn, by)?.filter(|user| !user.disabled);
    Ok(user.is_some_and(|it| it.may(Right::Moves) || it.account_id == Some(account)))
}

/// What a member must not do to staff's emptying of a host, and staff only if the host takes it.
pub(in crate::app) fn may(
    tx: &mut Tx<'_>,
    actor: &Actor,
    row: &Migration,
    event: Event,
) -> Result<()> {
    let is_staff = actor.may(Right::Moves);
    let no = |why: &str| Err(AppError::conflict(why));
    match (event, row.kind) {
        (Event::Cancel | Event::Unschedule, MigrationKind::Evacuation) if !is_staff => no(
            "Staff move this Linode because its host is being emptied: you can have it sooner, but not later, and only staff can cancel it.",
        ),
        (Event::Retry, MigrationKind::Evacuation) if !is_staff => {
            no("Staff move this Linode because its host is being emptied: they try it again.")
        }
        (Event::WayBack, _) => {
            let source =
                store::host::host(tx.conn, row.source_host_id)?.ok_or(AppError::NotFound)?;
            match closed_to_members(row, &source) {
                Some(why) if !is_staff => return no(why),
                Some(_) => takes_back(tx.conn, tx.now, &source)?,
                None => {}
            }
            match no_way_back(tx.conn, row, &source)? {
                Some(why) => no(&why),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Why its member cannot take the way back to `source`, where it came from, if they cannot.
pub fn closed_to_members(row: &Migration, source: &Host) -> Option<&'static str> {
    if row.kind == MigrationKind::Evacuation {
        return Some(
            "Staff moved it because its former host is being emptied, so there is no way back for you to take. If something is wrong, ask staff.",
        );
    }
    let back = row.kind != MigrationKind::Return && source.emptying_since.is_some();
    back.then_some(
        "Its former host is being emptied and takes no Linodes back. If something is wrong, ask staff.",
    )
}

/// Why the config profiles could not be what they have to be at `source`, where it came from.
pub fn no_way_back(conn: &mut Db, row: &Migration, source: &Host) -> Result<Option<String>> {
    let linode = store::linode::linode(conn, row.linode_id)?.ok_or(AppError::NotFound)?;
    match translation::after_way_back(conn, &linode, row, source.platform) {
        Ok(_) => Ok(None),
        Err(Untranslated::Not(why)) => Ok(Some(format!(
            "There is no way back as the config profiles are now: {why}. Give that profile another kernel, or delete it, and ask again."
        ))),
        Err(Untranslated::Fault(error)) => Err(error),
    }
}

fn takes_back(conn: &mut Db, now: Time, host: &Host) -> Result<()> {
    let heard = host
        .last_seen_at
        .is_some_and(|at| at >= now.plus_s(-SILENT_S));
    let why = if host.state != HostState::Enabled {
        format!("it is {}: enable it first", host.state)
    } else if !store::host::takes_jobs(conn, host.id, crate::app::ownership::ledger::settled(now))?
    {
        "no agent is enrolled on it".to_owned()
    } else if !heard {
        "it is silent".to_owned()
    } else {
        return Ok(());
    };
    Err(AppError::conflict(format!(
        "{} takes no Linode back: {why}.",
        host.name
    )))
}

/// A Linode has one live migration: the schema says so, whatever was looked at before.
pub(in crate::app) fn one_live(error: StoreError) -> AppError {
    let other = || AppError::conflict("This Linode has another migration under way or offered.");
    AppError::if_taken(other)(error)
}

/// Can something of its member's own keep one that is in step from its stop?
pub(in crate::app) fn may_be_kept(conn: &mut Db, row: &Migration) -> Result<bool> {
    let linode = store::linode::linode(conn, row.linode_id)?.ok_or(AppError::NotFound)?;
    let is_grouped = !linode.never_both.is_empty() && row.kind != MigrationKind::Return;
    Ok(row.down_limit_s.is_some() || is_grouped)
}
