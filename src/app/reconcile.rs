//! Brings what is up to time: offers expire, queued migrations get their slots, lost leases are given again, way-back
//! windows end. It has no input: whatever happened before, one round looks at everything, so that recovery after a crash
//! and normal running are the same path.

use std::collections::{BTreeSet, HashMap};

use super::App;
use super::context::PORTAL;
use super::error::AppError;
use super::migration::event_details::EventDetails;
use super::ownership::proof::{self, OldDisks, Purge};
use crate::domain::host::HostState;
use crate::domain::ids::MigrationId;
use crate::domain::linode::LinodeStatus;
use crate::domain::migration::{Event, MigrationKind};
use crate::domain::placement::{self, Limits, Link};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::{Db, lock_scheduler};
use crate::store::error::StoreError;

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
    pub admitted: usize,
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
    /// One round. Each thing is a transaction of its own: one that fails is logged and holds up none of the others.
    pub fn reconcile(&self) -> Result<Round, AppError> {
        self.look_at_database()?;
        let is_right = self.look_at_the_clock()?;
        let settled = self.end_recovery()? + self.settle_holds()?;
        let released = self.bring_jobs_back()? + self.release_lost_leases()?;
        let alerted = self.alert_staff()?;
        if !is_right {
            // Nothing begins or ends by a clock that jumped.
            let admitted = self.admit_queued(false)?;
            return Ok(Round {
                admitted,
                released,
                settled,
                alerted,
                ..Round::default()
            });
        }
        self.keep_chosen_times()?;
        Ok(Round {
            settled,
            released,
            alerted,
            expired: self.expire_offers()?,
            closed: self.close_way_backs()?,
            ended: self.close_after_the_end()?,
            reminded: self.remind()?,
            admitted: self.admit_queued(true)?,
        })
    }

    fn expire_offers(&self) -> Result<usize, AppError> {
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
    fn close_way_backs(&self) -> Result<usize, AppError> {
        let now = self.now();
        let due = self
            .db
            .read(|conn| store::migration::way_backs_over(conn, now, BATCH))?;
        let mut done = 0;
        for id in due {
            let is_shown = self.db.write(|conn| is_well(conn, now, id))?;
            done += usize::from(is_shown && self.push(id, Event::Confirm));
        }
        Ok(done)
    }

    fn push(&self, id: crate::domain::ids::MigrationId, event: Event) -> bool {
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
    fn admit_queued(&self, by_time: bool) -> Result<usize, AppError> {
        let now = self.now();
        let due_by = if by_time { now } else { now.plus_days(-36_500) };
        let waiting = |conn: &mut Db, limit| waiting(conn, (now, due_by), limit);
        if self.db.read(|conn| waiting(conn, 1))?.is_empty() {
            return Ok(0);
        }
        self.transact_at(now, PORTAL, |tx| {
            // Two portals must not both fill the last slot.
            lock_scheduler(tx.conn)?;
            let programme = store::programme::get(tx.conn, tx.now)?;
            let per_host: HashMap<_, _> = store::host::all(tx.conn)?
                .into_iter()
                .filter(|host| matches!(host.state, HostState::Enabled | HostState::Draining))
                .map(|host| (host.id, host.slots))
                .collect();
            let limits = Limits {
                overall: programme.max_overall,
                per_link: programme.max_per_link,
                per_host,
            };
            let waiting = waiting(tx.conn, WAITING)?;
            let running = store::migration::queue::at_work(tx.conn)?;
            let chosen = placement::admit(&waiting, &running, &limits);
            // All of them before the first audit entry, newest first, as everyone takes several: someone who cancels one of
            // them now needs that entry, too.
            let mut due = BTreeSet::new();
            for id in chosen.iter().collect::<BTreeSet<_>>().into_iter().rev() {
                // Another time may have been chosen for it since it was found.
                let row = store::migration::locked(tx.conn, *id)?;
                if row.is_some_and(|row| row.is_due(due_by)) {
                    due.insert(*id);
                }
            }
            let mut admitted = 0;
            for id in chosen.into_iter().filter(|id| due.contains(id)) {
                admitted += usize::from(
                    tx.apply(id, Event::Admit, &EventDetails::default())?
                        .is_done(),
                );
            }
            Ok(admitted)
        })
    }

    /// Throws away what nobody needs any more, but nothing by a clock that jumped.
    pub fn tidy(&self) -> Result<(), AppError> {
        if !self.is_clock_right()? {
            return Ok(());
        }
        self.find_leftovers()?;
        self.retain()?;
        let now = self.now();
        self.db.write(|conn| {
            store::account::session::drop_expired_sessions(conn, now)?;
            store::account::session::drop_sign_in_failures(conn, now.plus_s(-FAILURES_KEPT_S))?;
            store::account::tokens::drop_dead(conn, now.plus_s(-REVOKED_KEPT_S))?;
            Ok(())
        })
    }
}

/// Has its owner shown, since the way-back window ended, that the Linode is well? It is asked to, if not.
fn is_well(conn: &mut Db, now: Time, id: MigrationId) -> Result<bool, AppError> {
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

/// Who may begin now, if there is a place: in quiet hours only ways back, and what staff started.
fn waiting(
    conn: &mut Db,
    (now, due_by): (Time, Time),
    limit: i64,
) -> Result<Vec<Link>, StoreError> {
    let (limits, _) = store::programme::move_times::limits(conn)?;
    store::migration::queue::waiting(conn, due_by, limits.is_quiet(now), limit)
}
