//! What members and staff do with a migration: the one click, a time, cancel, retry, confirm, the way back, and staff's
//! taking back of a switch-over that the new host has not heard of.

use super::engine::Applied;
use super::event_details::EventDetails;
use super::guard::{self, changeable, still_permitted};
use super::{chosen, offer_again, retry, schedule};
use crate::app::App;
use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::app::linode::profile::translation::needs_acceptance;
use crate::app::linode::shared::own_linode;
use crate::app::trial;
use crate::domain::account::{Right, UserRole};
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{LinodeId, MigrationId};
use crate::domain::migration::{Event, Letter, MigrationKind, MigrationState, Refused, Step};
use crate::domain::programme::Deed;
use crate::domain::programme::move_times::{Limits, time_reminder};
use crate::domain::time::Time;
use crate::domain::trial::First;
use crate::domain::values::{DownLimit, Patience, StopLimit};
use crate::store;
use crate::store::db::{Db, wake_on_commit};
use crate::store::migration::{Change, Migration};
use crate::store::wake::Wake;
use crate::wire::KNOWS_TRIALS;

/// The one click, with what the member chose.
#[derive(Debug, Clone, Copy)]
pub struct Click {
    /// When the Linode is to stop; `None`: as soon as it is copied.
    pub at: Option<Time>,
    /// If it is not in step by then: for how long it may still stop afterwards.
    pub patience: Patience,
    /// The member accepts the kernels that stand in for theirs.
    pub accept_kernels: bool,
    pub stop_limit: StopLimit,
    /// The longest downtime that the member allows; `None`: as long as it takes.
    pub down_limit: Option<DownLimit>,
    /// It is not stopped before a clone of it came up on its new host.
    pub try_first: bool,
}

impl App {
    /// Starts (or schedules) the migration offered for a Linode. A second click finds it queued and gives the same
    /// migration; with another time it changes the time.
    pub fn migrate(&self, actor: &Actor, linode: LinodeId, click: Click) -> Result<Migration> {
        let account = actor.require_account()?;
        let now = self.now();
        if click
            .at
            .is_some_and(|at| at <= now || at.seconds_since(now) > 366 * 86_400)
        {
            return Err(AppError::invalid(
                "at",
                "Choose a time in the future, within a year",
            ));
        }
        self.transact_at(now, actor.who(), |tx| {
            store::programme::hold(tx.conn)?;
            let linode = own_linode(tx.conn, account, linode)?;
            let limits = schedule::locked_limits(tx.conn, click.at)?;
            let row = newest(tx.conn, linode.id)?.ok_or_else(no_offer)?;
            if let Some(registration) = row.registration_id {
                store::registration::locked(tx.conn, registration)?;
            }
            // Of two clicks at once the second sees what the first did.
            let row = store::migration::locked(tx.conn, row.id)?.ok_or_else(no_offer)?;
            can_be_tried(tx.conn, &row, click)?;
            match row.state {
                MigrationState::Queued
                | MigrationState::Preparing
                | MigrationState::Copying
                | MigrationState::Holding => return reschedule(tx, &row, &limits, click),
                MigrationState::Switching => {
                    let row = take_order_back(tx, row)?;
                    if row.state == MigrationState::Switching {
                        return at_its_time(&row, click);
                    }
                    return reschedule(tx, &row, &limits, click);
                }
                MigrationState::Offered if row.expires_at <= tx.now => return Err(offer_ended()),
                MigrationState::Offered => {}
                MigrationState::Expired => return Err(offer_ended()),
                _ => return Err(no_offer()),
            }
            still_permitted(tx.conn, &row)?;
            guard::hosts_take_part(tx.conn, tx.now, &row)?;
            let programme = store::programme::get(tx.conn, tx.now)?;
            crate::app::programme::allows(&programme, tx.now, Deed::Start(row.kind))?;
            if let Some(at) = click.at {
                schedule::may_stop_at(tx, &row, &limits, at)?;
            }
            if !click.accept_kernels && needs_acceptance(tx.conn, &row)? {
                return Err(AppError::invalid(
                    "accept_kernels",
                    "Confirm that the kernel changes, or stay where you are",
                ));
            }
            begin(tx, &row, click)
        })
    }

    /// Asks for a cancel. Before the copying it is done at once; later, when the agent says so.
    pub fn cancel_migration(&self, actor: &Actor, id: MigrationId) -> Result<Migration> {
        self.act(actor, id, Event::Cancel)
    }

    /// Tries a failed migration again, with what was copied.
    pub fn retry_migration(&self, actor: &Actor, id: MigrationId) -> Result<Migration> {
        self.act(actor, id, Event::Retry)
    }

    /// The member says that all is well: the old host's copy is deleted, and there is no way back any more.
    pub fn confirm_migration(&self, actor: &Actor, id: MigrationId) -> Result<Migration> {
        self.act(actor, id, Event::Confirm)
    }

    /// Begins the move in the other direction; gives back that new migration.
    pub fn way_back(&self, actor: &Actor, id: MigrationId) -> Result<Migration> {
        let row = self.act(actor, id, Event::WayBack)?;
        self.db.read(|conn| {
            Ok(store::migration::of_linode(conn, row.linode_id)?
                .into_iter()
                .find(|child| child.parent_id == Some(row.id))
                .unwrap_or(row))
        })
    }

    /// Staff take a switch-over back whose new host was never told (it is silent): the old host starts the Linode again.
    pub fn roll_back_migration(&self, actor: &Actor, id: MigrationId) -> Result<Migration> {
        actor.require(Right::Moves)?;
        self.act(actor, id, Event::RollBackUnfetched)
    }

    fn act(&self, actor: &Actor, id: MigrationId, event: Event) -> Result<Migration> {
        self.transact(actor.who(), |tx| act_on(tx, actor, id, event))
    }
}

pub(super) fn act_on(
    tx: &mut Tx<'_>,
    actor: &Actor,
    id: MigrationId,
    event: Event,
) -> Result<Migration> {
    if event == Event::Retry {
        store::programme::hold(tx.conn)?;
    }
    let row = changeable(tx.conn, actor, id)?;
    guard::may(tx, actor, &row, event)?;
    match (event, row.kind) {
        (Event::WayBack, MigrationKind::Return) => {
            return Err(AppError::conflict(
                "This was the way back itself. To move the Linode again, ask staff for a new offer.",
            ));
        }
        (Event::WayBack, _)
            if row.way_back_is_over(tx.now, store::ownership::memory::get(tx.conn)?.watched_s) =>
        {
            return Err(AppError::conflict("The time for the way back is over."));
        }
        (Event::Retry, _) => retry::may(tx.conn, tx.now, &row)?,
        _ => {}
    }
    let given = if event == Event::Cancel {
        let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
        let row = take_order_back(tx, row)?;
        cancel_details(tx, actor, &row)?
    } else {
        EventDetails::default()
    };
    match tx.apply(id, event, &given)? {
        Applied::Done(after) => {
            if event == Event::Cancel && !given.message.is_empty() {
                // Who asked, also where the state stays until the agent has stopped.
                let states = (row.state, "asked to cancel");
                tx.audit(Action::MigrationCancel, Object::Migration(id), states)?;
            }
            Ok(*after)
        }
        // The second click of two: what it asked for is done or under way.
        Applied::Refused(Refused::Already) => Ok(row),
        refused @ Applied::Refused(_) => refused.done(),
    }
}

fn begin(tx: &mut Tx<'_>, offer: &Migration, click: Click) -> Result<Migration> {
    let id = offer.id;
    let given = EventDetails::with(Change {
        not_before: Some(click.at),
        begin_at: Some(schedule::begins(
            tx.conn,
            (offer.linode_id, schedule::hosts(offer)),
            (click.at, click.try_first),
        )?),
        patience_s: Some(click.patience.0),
        remind_at: Some(click.at.and_then(|at| time_reminder(at, tx.now))),
        kernels_accepted: Some(click.accept_kernels),
        stop_limit_s: Some(click.stop_limit.0),
        down_limit_s: Some(down_limit_s(offer, click)),
        try_first_since: Some(click.try_first.then_some(tx.now)),
        ..Change::default()
    });
    let row = tx.apply(id, Event::Click, &given)?.done()?;
    if click.try_first {
        tx.log(&row, TRIED_FIRST)?;
    }
    chosen::keep(tx, id, click.at)?;
    if click.at.is_some() {
        crate::app::mail::compose::post_letter(tx, &row, Letter::Scheduled)?;
    }
    Ok(row)
}

/// Another time for one that was not told to stop yet.
fn reschedule(
    tx: &mut Tx<'_>,
    row: &Migration,
    limits: &Limits,
    click: Click,
) -> Result<Migration> {
    if row.cancel_asked {
        return Err(AppError::conflict(
            "It is being cancelled: no other time can be chosen for it any more.",
        ));
    }
    let at = click.at;
    if row.not_before == at {
        return relimit(tx, row, click);
    }
    if let Some(at) = at {
        schedule::may_stop_at(tx, row, limits, at)?;
    }
    let change = Change {
        not_before: Some(at),
        begin_at: Some(schedule::begins(
            tx.conn,
            (row.linode_id, schedule::hosts(row)),
            (at, click.try_first),
        )?),
        patience_s: Some(click.patience.0),
        late_told: Some(false),
        remind_at: Some(at.and_then(|at| time_reminder(at, tx.now))),
        stop_limit_s: Some(click.stop_limit.0),
        down_limit_s: Some(down_limit_s(row, click)),
        try_first_since: Some(try_first_since(tx, row, click)?),
        ..Change::default()
    };
    store::migration::note(tx.conn, row.id, &change)?;
    if !click.try_first {
        trial::end_open(tx, row, trial::FOR_ANOTHER_TIME)?;
    }
    chosen::keep(tx, row.id, at)?;
    wake_on_commit(tx.conn, Wake::Reconcile)?;
    let changed = store::migration::migration(tx.conn, row.id)?.ok_or(AppError::NotFound)?;
    if at.is_some() {
        crate::app::mail::compose::post_letter(tx, &changed, Letter::Scheduled)?;
    } else {
        let why = "It stops instead as soon as it is copied.";
        crate::app::mail::compose::post_unscheduled(tx, row, why, None)?;
    }
    let text_of = |at: Option<Time>| match at {
        Some(at) => format!("The time was changed to {at}."),
        None => "The time was changed to now.".to_owned(),
    };
    tx.log(row, &text_of(at))?;
    let text = |at: Option<Time>| at.map_or_else(|| "now".to_owned(), |at| at.to_string());
    let times = (text(row.not_before), text(at));
    tx.audit(Action::Schedule, Object::Migration(row.id), times)?;
    tell_try_first(tx, row, &changed)?;
    Ok(changed)
}

/// An order to stop that no agent was given is none: until then everything can be chosen anew.
fn take_order_back(tx: &mut Tx<'_>, row: Migration) -> Result<Migration> {
    let Some(job) = row.step_job_id.filter(|_| row.step == Some(Step::StopSeal)) else {
        return Ok(row);
    };
    if !store::job::cancel_ungiven(tx.conn, job, tx.now)? {
        return Ok(row);
    }
    let given =
        EventDetails::saying("The order to stop had not been given out, and was taken back.");
    tx.apply(row.id, Event::Unstop, &given)?.done()
}

/// What the log says of a cancel, and whether the offer stands afterwards; nothing if it was asked for before.
fn cancel_details(tx: &mut Tx<'_>, actor: &Actor, row: &Migration) -> Result<EventDetails> {
    let at_work = matches!(
        row.state,
        MigrationState::Preparing | MigrationState::Copying | MigrationState::Holding
    );
    if at_work && row.cancel_asked {
        return Ok(EventDetails::default());
    }
    let whom = match actor.role {
        UserRole::Staff => "Staff",
        UserRole::Member => actor.name.as_str(),
    };
    let is_called_off = actor.role == UserRole::Staff && row.kind != MigrationKind::Evacuation;
    let why = match row.reason.as_str() {
        reason if is_called_off && !reason.is_empty() => format!(": {reason}"),
        _ => ".".to_owned(),
    };
    let message = if at_work {
        format!("{whom} asked to cancel{why}")
    } else {
        format!("{whom} cancelled it{why}")
    };
    let is_theirs = actor.role == UserRole::Member && at_work;
    Ok(EventDetails {
        change: Change {
            offer_again: Some(is_theirs && offer_again::is_kept(tx.conn, row, tx.now)?),
            ..Change::default()
        },
        message,
    })
}

/// A click on what is stopped already: the second of two finds it done, and another time comes too late.
fn at_its_time(row: &Migration, click: Click) -> Result<Migration> {
    if click.at.is_some() && click.at != row.not_before {
        return Err(AppError::conflict(
            "It is being stopped, or is stopped: no other time can be chosen any more.",
        ));
    }
    Ok(row.clone())
}

fn newest(conn: &mut Db, linode: LinodeId) -> Result<Option<Migration>> {
    Ok(store::migration::of_linode(conn, linode)?
        .into_iter()
        .next())
}

/// Its host's own move off is not its member's to hold back.
fn down_limit_s(row: &Migration, click: Click) -> Option<i32> {
    let limit = click.down_limit.map(|limit| limit.0);
    limit.filter(|_| row.kind != MigrationKind::Evacuation)
}

/// Another limit, or another word for the case that it is late, at the same time as before.
fn relimit(tx: &mut Tx<'_>, row: &Migration, click: Click) -> Result<Migration> {
    let (limit, patience) = (click.stop_limit, click.patience);
    let down_limit_s = down_limit_s(row, click);
    let first = try_first_since(tx, row, click)?;
    let before = (
        row.stop_limit_s,
        row.patience_s,
        row.down_limit_s,
        row.try_first_since,
    );
    if before == (limit.0, patience.0, down_limit_s, first) {
        return Ok(row.clone());
    }
    let mut change = Change {
        stop_limit_s: Some(limit.0),
        patience_s: Some(patience.0),
        down_limit_s: Some(down_limit_s),
        try_first_since: Some(first),
        ..Change::default()
    };
    if first.is_some() && row.state == MigrationState::Queued {
        let of = (row.linode_id, schedule::hosts(row));
        change.begin_at = Some(schedule::begins(tx.conn, of, (row.not_before, true))?);
    }
    store::migration::note(tx.conn, row.id, &change)?;
    wake_on_commit(tx.conn, Wake::Reconcile)?;
    if row.stop_limit_s != limit.0 {
        tx.log(row, &format!("It gets {} seconds to shut down.", limit.0))?;
        let limits = (row.stop_limit_s, limit.0);
        tx.audit(Action::StopLimit, Object::Migration(row.id), limits)?;
    }
    if row.patience_s != patience.0 {
        let said = (row.patience_s, patience.0);
        tx.audit(Action::Patience, Object::Migration(row.id), said)?;
    }
    if row.down_limit_s != down_limit_s {
        let text =
            |limit: Option<i32>| limit.map_or_else(|| "none".to_owned(), |it| it.to_string());
        let limits = (text(row.down_limit_s), text(down_limit_s));
        tx.audit(Action::DownLimit, Object::Migration(row.id), limits)?;
    }
    let changed = store::migration::migration(tx.conn, row.id)?.ok_or(AppError::NotFound)?;
    tell_try_first(tx, row, &changed)?;
    Ok(changed)
}

const TRIED_FIRST: &str = "It is not stopped before a clone of it came up on its new host.";

/// Is what was ticked possible there? Said before anything begins.
fn can_be_tried(conn: &mut Db, row: &Migration, click: Click) -> Result<()> {
    if !click.try_first || store::host::speaks(conn, row.destination_host_id, KNOWS_TRIALS)? {
        return Ok(());
    }
    Err(AppError::invalid(
        "try_first",
        "It cannot be tried there first: the new host's agent is of an older release",
    ))
}

/// From when on trials count, if it is to be tried first. What came up since it began to move need not again; what did not,
/// is tried anew when its member says the same again.
fn try_first_since(tx: &mut Tx<'_>, row: &Migration, click: Click) -> Result<Option<Time>> {
    if !click.try_first {
        return Ok(None);
    }
    let begun = row
        .started_at
        .filter(|_| row.state == MigrationState::Holding);
    let since = row.try_first_since.or(begun).unwrap_or(tx.now);
    Ok(Some(
        match store::trial::first_since(tx.conn, row.id, since)? {
            First::Failed => tx.now,
            First::ToTry | First::AtWork | First::CameUp(_) => since,
        },
    ))
}

fn tell_try_first(tx: &mut Tx<'_>, before: &Migration, row: &Migration) -> Result<()> {
    let asked = [before, row].map(|it| it.try_first_since.is_some());
    let words = match asked {
        [false, true] => TRIED_FIRST,
        [true, false] => "It need not be tried on its new host before it stops.",
        [false, false] | [true, true] => return Ok(()),
    };
    tx.log(row, words)?;
    let [from, to] = asked.map(|it| if it { "yes" } else { "no" });
    tx.audit(Action::TryFirst, Object::Migration(row.id), (from, to))
}

fn no_offer() -> AppError {
    AppError::conflict(
        "No migration is offered for this Linode. Register it, and staff will configure one.",
    )
}

fn offer_ended() -> AppError {
    AppError::conflict(
        "This offer has ended. Your registration still stands: staff can make a new offer.",
    )
}
