//! At the member's leisure: when their Linode may stop, the times they may choose, and giving a chosen time up.

use super::engine::Applied;
use super::event_details::EventDetails;
use super::guard;
use super::offer_again;
use crate::app::App;
use crate::app::context::{Actor, PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::app::mail::compose;
use crate::domain::ids::{HostId, LinodeId, MigrationId, UserId};
use crate::domain::migration::forecast::Forecast;
use crate::domain::migration::{Event, MigrationKind, MigrationState, hold};
use crate::domain::programme::move_times::{Limits, No, SLOT_S, Taken, offer_reminder};
use crate::domain::time::Time;
use crate::domain::trial;
use crate::store;
use crate::store::db::{Db, lock_scheduler};
use crate::store::migration::{Change, Migration};
use crate::wire::KNOWS_TRIALS;

/// Times that a page proposes.
const PROPOSED: usize = 4;
const HOUR_S: i64 = 3600;

/// May a Linode stop now?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    Free,
    /// Not in the provider's quiet hours. `until`: when the first may, if one may.
    Quiet {
        until: Option<Time>,
    },
}

/// What a member may choose from.
#[derive(Debug, Clone)]
pub struct Choices {
    pub limits: Limits,
    pub now: Now,
    /// What copying will take, by what the last copies took, in seconds.
    pub copy_s: i64,
    /// How long it will be off; `None`: it is off already.
    pub forecast: Option<Forecast>,
    /// The next full hours that are free and by which it will be in step.
    pub free: Vec<Time>,
    /// The new host's agent knows trials, so it can be tried there first.
    pub can_try_first: bool,
    /// No new move begins now.
    pub is_paused: bool,
}

impl App {
    /// The times to choose from for a migration that is offered, or waits for its time.
    pub fn move_choices(&self, row: &Migration) -> Result<Choices> {
        let now = self.now();
        self.db.read(|conn| {
            let (limits, _) = store::programme::move_times::limits(conn)?;
            let taken = taken(conn, row, (now, row.expires_at))?;
            let copy_s = copy_s(conn, row.linode_id, hosts(row))?;
            let from = now.plus_s(now.seconds_since(hold::begins(now, copy_s)));
            let free =
                limits.free_times((from, row.expires_at, HOUR_S), hosts(row), &taken, PROPOSED);
            Ok(Choices {
                forecast: store::migration::timing::forecast(conn, row, now)?,
                copy_s,
                now: if limits.is_quiet(now) {
                    Now::Quiet {
                        until: limits.open_from(now),
                    }
                } else {
                    Now::Free
                },
                free,
                limits,
                can_try_first: store::host::speaks(conn, row.destination_host_id, KNOWS_TRIALS)?,
                is_paused: store::migration::pause::since(conn)?.is_some(),
            })
        })
    }

    /// Gives a chosen time up: the offer stands as before, if its time is not over; else the migration is cancelled.
    /// Doing so twice is doing so once.
    pub fn unschedule(&self, actor: &Actor, id: MigrationId) -> Result<Migration> {
        self.transact(actor.who(), |tx| {
            store::programme::hold(tx.conn)?;
            let seen = guard::changeable(tx.conn, actor, id)?;
            if let Some(registration) = seen.registration_id {
                store::registration::locked(tx.conn, registration)?;
            }
            let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if matches!(
                row.state,
                MigrationState::Offered | MigrationState::Cancelled
            ) {
                return Ok(row);
            }
            guard::may(tx, actor, &row, Event::Unschedule)?;
            if !can_unschedule(&row, tx.now) {
                return Err(AppError::conflict(
                    "There is no time to cancel: the migration has begun, or waits for its place.",
                ));
            }
            let stands = offer_again::stands(tx.conn, &row, tx.now)?;
            give_up(tx, &row, stands, "")?.done()
        })
    }

    /// A move that waits in the queue, or for its time, and whose asker has no access any more: it does not begin. Its offer
    /// stands for others of the account, if its time is not over; else the move is cancelled.
    pub(in crate::app) fn end_unasked(&self, id: MigrationId) -> Result<bool> {
        self.transact(PORTAL, |tx| {
            store::programme::hold(tx.conn)?;
            let seen = store::migration::migration(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if let Some(registration) = seen.registration_id {
                store::registration::locked(tx.conn, registration)?;
            }
            let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if row.state != MigrationState::Queued
                || guard::may_still_ask(tx.conn, row.queued_by, row.account_id)?
            {
                return Ok(false);
            }
            let is_offer = matches!(row.kind, MigrationKind::Beta | MigrationKind::Graduation);
            let stands = is_offer && row.round == 1 && offer_again::stands(tx.conn, &row, tx.now)?;
            Ok(give_up(tx, &row, stands, guard::UNASKED)?.is_done())
        })
    }
}

/// `stands`: its offer does, as before its time was chosen. `why`: it did not begin; nothing where its member says so.
pub(in crate::app) fn give_up(
    tx: &mut Tx<'_>,
    row: &Migration,
    stands: bool,
    why: &str,
) -> Result<Applied> {
    let event = if stands {
        Event::Unschedule
    } else {
        Event::Cancel
    };
    let given = EventDetails {
        change: Change {
            not_before: stands.then_some(None),
            begin_at: stands.then_some(None),
            late_told: Some(false),
            remind_at: Some(offer_reminder(row.expires_at, tx.now)),
            ..Change::default()
        },
        message: if why.is_empty() {
            String::new()
        } else {
            format!("It did not begin. {why}")
        },
    };
    let applied = tx.apply(row.id, event, &given)?;
    if stands && applied.is_done() {
        compose::post_unscheduled(tx, row, why, Some(row.expires_at))?;
    }
    Ok(applied)
}

/// Does it wait for a time that its member chose?
pub fn can_unschedule(row: &Migration, now: Time) -> bool {
    row.state == MigrationState::Queued
        && !matches!(row.kind, MigrationKind::Return | MigrationKind::Evacuation)
        && row.started_at.is_none()
        && row.begin_at.is_some_and(|at| at > now)
}

/// The limits, for a transaction that sets a time by them: of two that want the last place, the second sees the first's.
/// Call it before any row is locked, as the scheduler does.
pub fn locked_limits(conn: &mut Db, at: Option<Time>) -> Result<Limits> {
    let (limits, _) = store::programme::move_times::limits(conn)?;
    if at.is_some() {
        lock_scheduler(conn)?;
    }
    Ok(limits)
}

/// May this member's Linode stop then? The error says when it may.
pub fn may_stop_at(tx: &mut Tx<'_>, row: &Migration, limits: &Limits, at: Time) -> Result<()> {
    let (conn, user) = (&mut *tx.conn, tx.who.user);
    if at > row.expires_at {
        if row.kind == MigrationKind::Evacuation {
            let zone = zone_of(conn, user)?;
            let latest = compose::moment(row.expires_at, &zone);
            let message = format!("Its host is being emptied: choose a time before {latest}");
            return Err(AppError::invalid("at", message));
        }
        return Err(AppError::invalid(
            "at",
            "Choose a time before the offer ends",
        ));
    }
    let taken_there = taken(conn, row, (at, at))?;
    let no = match limits.allows(at, hosts(row), &taken_there) {
        Ok(()) => return Ok(()),
        Err(no) => no,
    };
    let taken_later = taken(conn, row, (at, row.expires_at))?;
    let later = (at, row.expires_at, SLOT_S);
    let free = limits.free_times(later, hosts(row), &taken_later, 1);
    let next = next_words(conn, user, free.first().copied())?;
    let why = match no {
        No::Quiet => "No Linode is stopped then: these are quiet hours.",
        No::Full => "All places at that time are taken.",
    };
    Err(AppError::invalid("at", format!("{why} {next}")))
}

/// When copying a Linode begins for a stop at this time, so that it can be tried before, if it is to be; `None`: as soon as
/// there is a place.
pub(in crate::app) fn begins(
    conn: &mut Db,
    (linode, hosts): (LinodeId, [HostId; 2]),
    (stop, is_tried): (Option<Time>, bool),
) -> Result<Option<Time>> {
    let Some(stop) = stop else { return Ok(None) };
    let copy_s = copy_s(conn, linode, hosts)?;
    let trial_s = if is_tried {
        let there = store::host::host(conn, hosts[1])?;
        trial::takes_s(copy_s, there.is_some_and(|it| it.tells_changes))
    } else {
        0
    };
    Ok(Some(hold::begins(stop.plus_s(-trial_s), copy_s)))
}

/// What copying it will take, in seconds.
fn copy_s(conn: &mut Db, linode: LinodeId, between: [HostId; 2]) -> Result<i64> {
    let disks = store::linode::disk::disks_of(conn, linode)?;
    let mb: i64 = disks.iter().map(|disk| disk.size_mb).sum();
    let rate = store::migration::queue::copy_rate(conn, between)?;
    Ok(hold::copy_s(mb.saturating_mul(1 << 20), rate))
}

/// Ends a sentence's paragraph without a full stop, as the words beside a field do.
fn next_words(conn: &mut Db, reader: Option<UserId>, next: Option<Time>) -> Result<String> {
    let zone = zone_of(conn, reader)?;
    Ok(match next {
        Some(next) => format!("The next free time is {}", compose::moment(next, &zone)),
        None => "There is no free time before the offer ends; ask us for help".to_owned(),
    })
}

fn zone_of(conn: &mut Db, user: Option<UserId>) -> Result<String> {
    let user = match user {
        Some(id) => store::account::user(conn, id)?,
        None => None,
    };
    Ok(user.map_or_else(String::new, |user| user.timezone))
}

pub(in crate::app) fn hosts(row: &Migration) -> [HostId; 2] {
    [row.source_host_id, row.destination_host_id]
}

/// What is taken in these hours.
fn taken(conn: &mut Db, row: &Migration, (from, until): (Time, Time)) -> Result<Taken> {
    let into_hour = |at: Time| at.utc().timestamp().rem_euclid(HOUR_S);
    let whole = (
        from.plus_s(-into_hour(from)),
        until.plus_s(HOUR_S - into_hour(until)),
    );
    Ok(store::programme::move_times::taken(
        conn,
        hosts(row),
        whole,
        row.id,
    )?)
}
