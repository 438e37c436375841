//! Brings what is up to time: offers expire, queued migrations get their slots, lost leases are given again, way-back
//! windows end. It has no input: whatever happened before, one round looks at everything, so that recovery after a crash
//! and normal running are the same path.

use std::collections::BTreeSet;

use super::App;
use super::context::{PORTAL, Tx};
use super::error::{AppError, Result};
use super::host::liveness::SILENT_S;
use super::migration::event_details::EventDetails;
use super::migration::guard::may_still_ask;
use super::ownership::proof::{self, OldDisks, Purge};
use super::wave;
use crate::domain::ids::MigrationId;
use crate::domain::linode::LinodeStatus;
use crate::domain::migration::{Event, MigrationKind};
use crate::domain::placement::{self, Limits};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::{Db, lock_scheduler};

/// Rows of each kind that one round looks at; the next round goes on.
pub(super) const BATCH: i64 = 200;
/// Queued migrations that are looked at for the free slots: many may wait for one busy host, and must not hide the others.
const WAITING: i64 = 5000;
/// Failed sign-ins are kept this long.
const FAILURES_KEPT_S: i64 = 30 * 86_400;
/// And tokens that were revoked or came to their end, so that the form that made one makes no other.
const REVOKED_KEPT_S: i64 = 30 * 86_400;

/// What one round did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    pub expired: usize,
    /// Offers to hosts that take no new Linodes any more.
    pub withdrawn: usize,
    pub admitted: usize,
    /// Stops and passes of moves that hold.
    pub ordered: usize,
    pub released: usize,
    pub closed: usize,
    /// Registrations that the end of the beta closed.
    pub ended: usize,
    pub reminded: usize,
    /// Recoveries that ended, and held Linodes that were put right.
    pub settled: usize,
    /// Things that staff were told of.
    pub alerted: usize,
}

impl App {
    /// One round. Each thing is a transaction of its own: one that fails is logged and holds up none of the others. The first
    /// fault is given back when all the rest was done.
    pub fn reconcile(&self) -> Result<Round> {
        self.look_at_database()?;
        self.keep_servers_time()?;
        let is_right = self.look_at_the_clock()?;
        let mut faults = Faults::default();
        let mut round = Round {
            settled: faults.of("recovery", self.end_recovery())
                + faults.of("holds", self.settle_holds()),
            released: faults.of("jobs of another time", self.bring_jobs_back())
                + faults.of("lost leases", self.release_lost_leases()),
            alerted: faults.of("alerts", self.alert_staff()),
            ..Round::default()
        };
        // Nothing begins or ends by a clock that jumped.
        if is_right {
            faults.of("chosen times", self.keep_chosen_times());
            faults.of("late moves", self.tell_late());
            round.expired = faults.of("offers", self.expire_offers());
            round.closed = faults.of("ways back", self.close_way_backs());
            round.ended = faults.of("the end", self.close_after_the_end());
            round.reminded = faults.of("reminders", self.remind());
        }
        round.withdrawn = faults.of("offers to shut hosts", self.withdraw_shut_offers());
        round.admitted = faults.of("the queue", self.admit_queued(is_right));
        faults.of("trials", self.close_forsaken_trials());
        round.ordered = faults.of("moves that hold", self.look_after_holding(is_right));
        if is_right {
            faults.of("trials without an end", self.end_overdue_trials());
        }
        faults.none(round)
    }

    fn expire_offers(&self) -> Result<usize> {
        let now = self.now();
        let due = self
            .db
            .read(|conn| store::migration::expired_offers(conn, now, BATCH))?;
        let mut done = 0;
        for id in due {
            done += usize::from(self.push(id, Event::Expire));
        }
        Ok(done)
    }

    /// The way-back window is over, and the Linode's owner has shown since that it is well and has all its disks: its old
    /// copy may go. A host that does not answer is not well, whatever was heard of it before; then the old disks stay.
    fn close_way_backs(&self) -> Result<usize> {
        let now = self.now();
        let due = self
            .db
            .read(|conn| store::migration::way_backs_over(conn, now, BATCH))?;
        let mut done = 0;
        for id in due {
            match self.db.write(|conn| is_well(conn, now, id)) {
                Ok(is_shown) => done += usize::from(is_shown && self.push(id, Event::Confirm)),
                Err(error) => tracing::error!(migration = %id, %error, "is it well?"),
            }
        }
        Ok(done)
    }

    pub(super) fn push(&self, id: MigrationId, event: Event) -> bool {
        let outcome = self.transact(PORTAL, |tx| tx.apply(id, event, &EventDetails::default()));
        match outcome {
            Ok(applied) => applied.is_done(),
            Err(error) => {
                tracing::error!(migration = %id, ?event, %error, "could not be carried out");
                false
            }
        }
    }

    /// `by_time`: also those whose chosen time has come.
    fn admit_queued(&self, by_time: bool) -> Result<usize> {
        let now = self.now();
        let due_by = if by_time { now } else { now.plus_days(-36_500) };
        if self
            .db
            .read(|conn| store::migration::queue::waiting(conn, due_by, 1))?
            .is_empty()
        {
            return Ok(0);
        }
        let admit = |only| {
            let (admitted, unasked) =
                self.transact_at(now, PORTAL, |tx| admit(tx, due_by, only))?;
            for id in unasked {
                if let Err(error) = self.end_unasked(id) {
                    tracing::error!(migration = %id, %error, "could not be ended");
                }
            }
            Ok::<usize, AppError>(admitted)
        };
        let all = admit(None);
        let Err(error) = all else {
            return all;
        };
        tracing::error!(%error, "the queue is taken one by one");
        let mut admitted = 0;
        for id in self.db.read(|conn| chosen(conn, (now, due_by)))? {
            match admit(Some(id)) {
                Ok(done) => admitted += done,
                Err(error) => tracing::error!(migration = %id, %error, "could not begin"),
            }
        }
        Ok(admitted)
    }

    /// Throws away what nobody needs any more, but nothing by a clock that jumped.
    pub fn tidy(&self) -> Result<()> {
        if !self.is_clock_right()? {
            return Ok(());
        }
        let now = self.now();
        let mut faults = Faults::default();
        faults.of("leftovers", self.find_leftovers());
        faults.of("what is past its time", self.retain());
        faults.of("the trail's head", self.send_head());
        let dropped = self.db.write(|conn| {
            store::account::session::drop_expired_sessions(conn, now)?;
            store::account::second_factor::drop_expired_halves(conn, now)?;
            store::account::session::drop_sign_in_failures(conn, now.plus_s(-FAILURES_KEPT_S))?;
            store::account::tokens::drop_dead(conn, now.plus_s(-REVOKED_KEPT_S))?;
            Ok(())
        });
        faults.of("sessions", dropped);
        faults.none(())
    }
}

/// What went wrong in a round that went on.
#[derive(Default)]
struct Faults(Option<AppError>);

impl Faults {
    fn of<T: Default>(&mut self, what: &str, done: Result<T>) -> T {
        done.unwrap_or_else(|error| {
            tracing::error!(what, %error, "this part of the round could not be done");
            self.0.get_or_insert(error);
            T::default()
        })
    }

    fn none<T>(self, done: T) -> Result<T> {
        self.0.map_or(Ok(done), Err)
    }
}

/// Whom there is a place for now, in the order of the queue.
fn chosen(conn: &mut Db, (now, due_by): (Time, Time)) -> Result<Vec<MigrationId>> {
    let programme = store::programme::get(conn, now)?;
    let limits = Limits {
        overall: programme.max_overall,
        per_link: programme.max_per_link,
        doors: store::host::room::doors(conn, now.plus_s(-SILENT_S), None)?,
        waves: wave::gate::limits(conn, now)?,
    };
    let waiting = store::migration::queue::waiting(conn, due_by, WAITING)?;
    let waiting = wave::pause::unpaused(conn, waiting)?;
    let running = store::migration::queue::in_slots(conn)?;
    Ok(placement::admit(&waiting, &running, &limits))
}

/// How many begin, and whose asker has no access any more. `only`: nobody but this one.
fn admit(
    tx: &mut Tx<'_>,
    due_by: Time,
    only: Option<MigrationId>,
) -> Result<(usize, Vec<MigrationId>)> {
    // Two portals must not both fill the last slot.
    lock_scheduler(tx.conn)?;
    wave::gate::close_all(tx)?;
    let mut chosen = chosen(tx.conn, (tx.now, due_by))?;
    chosen.retain(|id| only.is_none_or(|only| only == *id));
    let (due, unasked) = due_of(tx, &chosen, due_by)?;
    let mut admitted = 0;
    for id in chosen.into_iter().filter(|id| due.contains(id)) {
        let done = tx.apply(id, Event::Admit, &EventDetails::default())?;
        admitted += usize::from(done.is_done());
    }
    Ok((admitted, unasked))
}

/// Those of the chosen that may begin, and those whose asker has no access any more. They are locked newest first, as everyone
/// takes several.
fn due_of(
    tx: &mut Tx<'_>,
    chosen: &[MigrationId],
    due_by: Time,
) -> Result<(BTreeSet<MigrationId>, Vec<MigrationId>)> {
    let (mut due, mut unasked) = (BTreeSet::new(), Vec::new());
    for id in chosen.iter().collect::<BTreeSet<_>>().into_iter().rev() {
        // Another time may have been chosen for it since it was found.
        let row = store::migration::locked(tx.conn, *id)?;
        let Some(row) = row.filter(|row| row.is_due(due_by)) else {
            continue;
        };
        if may_still_ask(tx.conn, row.queued_by, row.account_id)? {
            due.insert(*id);
        } else {
            unasked.push(*id);
        }
    }
    Ok((due, unasked))
}

/// Has its owner shown, since the way-back window ended, that the Linode is well? It is asked to, if not.
fn is_well(conn: &mut Db, now: Time, id: MigrationId) -> Result<bool> {
    let Some(row) = store::migration::migration(conn, id)? else {
        return Ok(false);
    };
    let Some(linode) = store::linode::linode(conn, row.linode_id)? else {
        return Ok(false);
    };
    let is_settled = if linode.host_id == row.destination_host_id {
        linode.status == LinodeStatus::Running || !row.was_running
    } else {
        // Who went back and has moved on needs neither of the copies that the way back left.
        row.kind == MigrationKind::Return
    };
    if !is_settled {
        return Ok(false);
    }
    let old = OldDisks {
        host: row.source_host_id,
        epoch: row.epoch,
        migration: Some(id),
        since: row.way_back_until,
    };
    Ok(matches!(
        proof::may_purge(conn, now, &linode, &old)?,
        Purge::Now
    ))
}
