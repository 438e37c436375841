//! Staff configure a migration for an approved registration: a destination with room, held for the member until they
//! click or the offer ends.

use super::event_details::EventDetails;
use super::guard;
use crate::app::App;
use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::app::host::liveness::asked_at;
use crate::app::linode::profile;
use crate::app::mail::kinds::LinodeMail;
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::host::HostRole;
use crate::domain::ids::{HostId, LinodeId, RegistrationId};
use crate::domain::migration::{
    Event, Last, MigrationKind, MigrationState, blocks_next, gives_way,
};
use crate::domain::placement::{self, Need, Room};
use crate::domain::programme::Deed;
use crate::domain::registration::RegistrationState;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::host::room::RoomQuery;
use crate::store::linode::Linode;
use crate::store::migration::{Migration, NewMigration};

impl App {
    /// Makes an offer; `destination: None` takes the proposed host. Offering again where an offer stands gives that one.
    pub fn offer(
        &self,
        actor: &Actor,
        registration: RegistrationId,
        destination: Option<HostId>,
    ) -> Result<Migration> {
        actor.require(Right::Registrations)?;
        self.transact(actor.who(), |tx| {
            offer_one(tx, actor, registration, destination)
        })
    }
}

pub(in crate::app) fn offer_one(
    tx: &mut Tx<'_>,
    actor: &Actor,
    registration: RegistrationId,
    destination: Option<HostId>,
) -> Result<Migration> {
    store::programme::hold(tx.conn)?;
    let registration =
        store::registration::locked(tx.conn, registration)?.ok_or(AppError::NotFound)?;
    if registration.state != RegistrationState::Approved {
        return Err(AppError::conflict(format!(
            "The registration is {}, not approved.",
            registration.state
        )));
    }
    let open = store::migration::locked_of_linode(tx.conn, registration.linode_id)?;
    let linode =
        store::linode::linode(tx.conn, registration.linode_id)?.ok_or(AppError::NotFound)?;
    if let Some(standing) = standing(tx, (&open, registration.id), destination)? {
        return Ok(standing);
    }
    let here = store::host::host(tx.conn, linode.host_id)?.ok_or(AppError::NotFound)?;
    let Some((kind, role)) = placement::next(here.standing()) else {
        return Err(AppError::conflict(format!(
            "This Linode runs on a production host already, on {}.",
            here.name
        )));
    };
    let programme = store::programme::get(tx.conn, tx.now)?;
    crate::app::programme::allows(&programme, tx.now, Deed::Offer(kind))?;
    open_way_back(&open, &linode)?;
    let need = need(tx.conn, &linode, role)?;
    if let Some(destination) = destination {
        store::host::lock(tx.conn, destination)?;
    }
    let asked = RoomQuery {
        of: Some(linode.id),
        ..asked_at(tx.now)
    };
    let rooms = store::host::room::rooms(tx.conn, asked)?;
    let room = choose(&rooms, &need, destination)?;
    if destination.is_none() {
        // The proposal was made without the lock; with it, it must still hold.
        store::host::lock(tx.conn, room.host)?;
        let rooms = store::host::room::rooms(tx.conn, asked)?;
        choose(&rooms, &need, Some(room.host))?;
    }
    check_kernels(tx.conn, &linode, room.host)?;
    let new = Offer {
        kind,
        registration: registration.id,
        to: room.host,
        until: tx.now.plus_days(i64::from(programme.offer_days)),
    };
    make(tx, actor, &linode, new)
}

/// The offer that stands for the registration, if it is of this destination; it must be of use still.
fn standing(
    tx: &mut Tx<'_>,
    (open, registration): (&[Migration], RegistrationId),
    destination: Option<HostId>,
) -> Result<Option<Migration>> {
    let standing = open.iter().find(|row| {
        row.registration_id == Some(registration) && row.state == MigrationState::Offered
    });
    let standing =
        standing.filter(|row| destination.is_none_or(|host| host == row.destination_host_id));
    if let Some(row) = standing {
        guard::hosts_take_part(tx.conn, tx.now, row)?;
    }
    Ok(standing.cloned())
}

/// An offer that was found to be possible.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Offer {
    pub kind: MigrationKind,
    pub registration: RegistrationId,
    pub to: HostId,
    pub until: Time,
}

/// Makes it: the row, its log, the mail, the trail. What failed before is over with it: what it copied is dropped.
pub(in crate::app) fn make(
    tx: &mut Tx<'_>,
    actor: &Actor,
    linode: &Linode,
    offer: Offer,
) -> Result<Migration> {
    close_evacuations(tx, linode)?;
    let instead = "Staff made a new offer instead; what was copied is dropped.";
    replace_failed(tx, linode.id, instead)?;
    let new = NewMigration {
        kind: offer.kind,
        linode_id: linode.id,
        account_id: linode.account_id,
        registration_id: Some(offer.registration),
        parent_id: None,
        source_host_id: linode.host_id,
        destination_host_id: offer.to,
        state: MigrationState::Offered,
        epoch: linode.epoch,
        base_epoch: None,
        offered_by: Some(actor.user),
        offered_at: tx.now,
        expires_at: offer.until,
        queued_at: None,
        queued_by: None,
        kernels_accepted: false,
        stop_limit_s: 60,
    };
    let row = store::migration::insert(tx.conn, &new).map_err(guard::one_live)?;
    tx.log(&row, "Offered by staff.")?;
    let mail = match offer.kind {
        MigrationKind::Graduation => LinodeMail::GraduationReady(&row),
        MigrationKind::Beta | MigrationKind::Return | MigrationKind::Evacuation => {
            LinodeMail::OfferReady(&row)
        }
    };
    tx.mail_about(linode, mail)?;
    let to = format!("host {}", offer.to);
    tx.audit(Action::Offer, Object::Migration(row.id), ("", &to))?;
    Ok(row)
}

/// What a Linode needs of a host.
pub fn need(conn: &mut Db, linode: &Linode, role: HostRole) -> Result<Need> {
    let plan = store::catalogue::plan(conn, linode.plan_id)?;
    let disk_mb = store::linode::disk::disks_of(conn, linode.id)?
        .iter()
        .map(|disk| disk.size_mb)
        .sum();
    Ok(Need {
        from: linode.host_id,
        plan: linode.plan_id,
        memory_mb: plan.ram_mb,
        disk_mb,
        role,
    })
}

fn choose<'a>(rooms: &'a [Room], need: &Need, host: Option<HostId>) -> Result<&'a Room> {
    match host {
        Some(host) => {
            let room = rooms
                .iter()
                .find(|room| room.host == host)
                .ok_or(AppError::NotFound)?;
            placement::takes(room, need).map_err(|no| {
                AppError::conflict(format!("{} cannot take this Linode: {no}.", room.name))
            })?;
            Ok(room)
        }
        None => placement::propose(rooms, need).ok_or_else(|| {
            AppError::conflict(match need.role {
                HostRole::Production => {
                    "No enabled production host of its plan has room for this Linode. Add a host, or free memory on one."
                }
                HostRole::Beta | HostRole::Source => {
                    "No enabled beta host has room for this Linode. Add a host, or free memory on one."
                }
            })
        }),
    }
}

/// Two ways to move one Linode would lead to two places: a failed one cannot be tried again beside a new offer.
pub(in crate::app) fn replace_failed(
    tx: &mut Tx<'_>,
    linode: LinodeId,
    message: &str,
) -> Result<()> {
    let given = EventDetails::saying(message);
    for row in store::migration::locked_of_linode(tx.conn, linode)? {
        if row.state == MigrationState::Failed && row.kind != MigrationKind::Return {
            tx.apply(row.id, Event::Cancel, &given)?
                .taken()
                .map_err(|refused| {
                    AppError::conflict(format!("Migration {}: {refused}.", row.id))
                })?;
        }
    }
    Ok(())
}

/// Confirms the evacuations whose way back gives way to a further move, as staff's word that nobody goes back there: left
/// open, its window would end with the Linode elsewhere, and the disks it keeps would stay for ever.
pub(in crate::app) fn close_evacuations(tx: &mut Tx<'_>, linode: &Linode) -> Result<()> {
    for row in store::migration::locked_of_linode(tx.conn, linode.id)? {
        if gives_way(&last(&row, linode)) {
            let given = EventDetails::default();
            tx.aloud()
                .apply(row.id, Event::Confirm, &given)?
                .taken()
                .map_err(|refused| {
                    AppError::conflict(format!("Migration {}: {refused}.", row.id))
                })?;
        }
    }
    Ok(())
}

fn last(row: &Migration, linode: &Linode) -> Last {
    Last {
        kind: row.kind,
        state: row.state,
        was_running: row.was_running,
        status: linode.status,
        at_destination: linode.host_id == row.destination_host_id,
    }
}

/// All that is not over of the Linode, against [`migration::blocks_next`].
pub(in crate::app) fn open_way_back(all: &[Migration], linode: &Linode) -> Result<()> {
    match all.iter().find(|row| blocks_next(&last(row, linode))) {
        None => Ok(()),
        Some(row) => Err(AppError::conflict(format!(
            "Its last move (migration {}) is not confirmed yet, and the way back is still open.",
            row.id
        ))),
    }
}

fn check_kernels(conn: &mut Db, linode: &Linode, to: HostId) -> Result<()> {
    let there = store::host::host(conn, to)?.ok_or(AppError::NotFound)?;
    let offered = there.kernel_list()?;
    let pairs = profile::translation::translated(conn, linode, there.platform).map_err(|why| {
        why.or(|error| {
            AppError::conflict(format!(
                "This Linode cannot be offered a migration: {error}."
            ))
        })
    })?;
    for profile in pairs.iter().map(|pair| &pair.after.profile) {
        let known = offered.iter().any(|kernel| kernel.id == profile.kernel);
        // A host that names none takes any, or was never heard of; its agent checks before anything is stopped.
        if !known && !offered.is_empty() {
            return Err(AppError::conflict(format!(
                "{} does not have the kernel {}, which the config profile {} would need there.",
                there.name, profile.kernel, profile.label
            )));
        }
    }
    Ok(())
}
