//! A job that is lost without a word: its lease ran out, its agent does not hold it, or its order cannot be made. It is
//! given again after a pause that grows, and after five losses in a row it waits for staff: never a hot loop, never for
//! ever. Ownership is not moved by it: only a step before anything was stopped fails by losses alone. One that was to stop
//! has stopped.

use super::outcome::{settle_power, step_of};
use crate::app::App;
use crate::app::context::{PORTAL, Tx};
use crate::app::error::Result;
use crate::app::migration;
use crate::app::migration::event_details::{EventDetails, Words};
use crate::app::reconcile::BATCH;
use crate::app::trial;
use crate::domain::audit::{Action, Object};
use crate::domain::job::{JobKind, JobState, LONGEST_PAUSE_S, pause_s};
use crate::domain::migration::{Event, MigrationState, Step, can_cancel};
use crate::domain::text::lines;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::wake_on_commit;
use crate::store::job::{Again, End, Job, MOST_TRIES};
use crate::store::wake::Wake;
use crate::wire::LEASE_S;

const PUBLIC: &str =
    "The host lost this step again and again without a word; staff will look at it.";

impl App {
    /// Each in a transaction of its own: one that fails is logged and holds up none of the others.
    pub(in crate::app) fn lose_each(&self, lost: &[Job], now: Time, detail: &str) -> usize {
        let mut done = 0;
        for job in lost {
            match self.transact_at(now, PORTAL, |tx| lose(tx, job, detail)) {
                Ok(hit) => done += usize::from(hit),
                Err(error) => tracing::error!(job = %job.id, %error, "its loss could not be noted"),
            }
        }
        done
    }

    /// Written by a clock that was ahead, and has been put right since: nobody waits for it to come to that again.
    pub(in crate::app) fn bring_jobs_back(&self) -> Result<usize> {
        let now = self.now();
        let lease_s = i64::from(LEASE_S);
        let (pause, lease) = (now.plus_s(LONGEST_PAUSE_S), now.plus_s(2 * lease_s));
        if !self
            .db
            .read(|conn| store::job::any_ahead(conn, pause, lease))?
        {
            return Ok(0);
        }
        let leased = (now.plus_s(lease_s), lease);
        let done = self
            .db
            .write(|conn| store::job::bring_back(conn, (now, pause), leased))?;
        tracing::warn!(
            jobs = done,
            "the clock was ahead: jobs that waited for its time go on"
        );
        Ok(done)
    }

    /// Leases that ran out. Nothing else moves: a silent agent may still be running what it holds.
    pub(in crate::app) fn release_lost_leases(&self) -> Result<usize> {
        let now = self.now();
        let lost = self.db.read(|conn| store::job::expired(conn, now, BATCH))?;
        let mut done = 0;
        for id in lost {
            match self.db.read(|conn| store::job::job(conn, id)) {
                Ok(seen) => {
                    // Another portal may have noted it by now.
                    let is_lost = |job: &Job| {
                        job.state == JobState::Leased && job.lease_until.is_some_and(|at| at < now)
                    };
                    let seen = seen.filter(is_lost);
                    done +=
                        self.lose_each(seen.as_slice(), now, "The host did not answer in time.");
                }
                Err(error) => tracing::error!(job = %id, %error, "its loss could not be noted"),
            }
        }
        Ok(done)
    }
}

/// One more loss of a job. `false` if it is no longer as `seen`: renewed, finished, or given again.
pub(in crate::app) fn lose(tx: &mut Tx<'_>, seen: &Job, detail: &str) -> Result<bool> {
    if let Some(of) = seen.migration_id {
        // The migration before its jobs, as everyone takes them.
        store::migration::locked(tx.conn, of)?;
    }
    let Some(job) = store::job::locked(tx.conn, seen.id)?.filter(|job| {
        (job.state, job.attempt, job.lease_until) == (seen.state, seen.attempt, seen.lease_until)
    }) else {
        return Ok(false);
    };
    let detail = lines(detail, 4000);
    let losses = job.losses.saturating_add(1);
    // A trial is not given again: it began and came to nothing.
    if job.cancel_asked || job.kind == JobKind::Trial {
        end_stopped(tx, &job, &detail)?;
    } else if losses < MOST_TRIES {
        let again = Again {
            run_after: tx.now.plus_s(pause_s(losses)),
            failures: job.failures,
            losses,
            detail: &detail,
        };
        store::job::release(tx.conn, &job, &again)?;
    } else {
        give_up(tx, &job, &detail)?;
        store::job::set_tries(tx.conn, job.id, (job.failures, losses))?;
    }
    if let Some(id) = job.migration_id {
        wake_on_commit(tx.conn, Wake::Migration(id))?;
    }
    Ok(true)
}

/// It was to stop, and nobody is at it any more: it has stopped.
pub(in crate::app) fn end_stopped(tx: &mut Tx<'_>, job: &Job, detail: &str) -> Result<()> {
    let end = End {
        state: JobState::Cancelled,
        message: "Stopped: its host is no longer at it.",
        detail,
        now: tx.now,
    };
    store::job::end_unclaimed(tx.conn, job.id, &end)?;
    trial::broken_off(tx, job)?;
    settle_power(tx.conn, tx.now, job)?;
    migration::check::lapsed(tx, job)?;
    if let Some((id, step)) = step_of(tx.conn, job)?
        && can_cancel(step.state())
    {
        let event = Event::Stopped(step);
        let _applied = tx.by(PORTAL).apply(id, event, &EventDetails::default())?;
    }
    Ok(())
}

/// Five losses in a row: it has failed, and staff are told by the pages, the migration's log and the trail.
fn give_up(tx: &mut Tx<'_>, job: &Job, detail: &str) -> Result<()> {
    let end = End {
        state: JobState::Failed,
        message: PUBLIC,
        detail,
        now: tx.now,
    };
    store::job::end_unclaimed(tx.conn, job.id, &end)?;
    settle_power(tx.conn, tx.now, job)?;
    migration::check::lapsed(tx, job)?;
    let before = job.state.to_string();
    let step = step_of(tx.conn, job)?;
    match step {
        Some((id, step)) if stops_nothing(step) => {
            let given = EventDetails::failure(Words {
                public: PUBLIC,
                detail,
            });
            let _applied = tx.by(PORTAL).apply(id, Event::Failed(step), &given)?;
        }
        _ => {
            if let Some(row) = match job.migration_id {
                Some(id) => store::migration::migration(tx.conn, id)?,
                None => None,
            } {
                let said = format!("{}: {PUBLIC}", job.kind);
                tx.log(&row, &said)?;
            }
        }
    }
    tx.by(PORTAL)
        .audit(Action::JobLost, Object::Job(job.id), (&before, "failed"))
}

/// Steps that leave the Linode running where it is: these may fail without a word of the host.
fn stops_nothing(step: Step) -> bool {
    step.state() != MigrationState::Switching
}
