//! *Try it there*: a trial is asked for while its move is in step, is a job of the destination that is no step of the move,
//! and gives way to everything: the stop, a cancel, another time, the last pass. It changes nothing but its own row.

use super::App;
use super::context::{Actor, PORTAL, Tx};
use super::error::AppError;
use super::migration::event_details::Words;
use super::migration::guard::visible;
use super::ownership::guard::not_held;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{MigrationId, UserId};
use crate::domain::job::{JobKind, JobState};
use crate::domain::migration::{Effect, Event, Step, Transition};
use crate::domain::text::{line, lines};
use crate::domain::time::span;
use crate::domain::trial::{self, NotNow, TrialEnd, TrialState, console_end, last_line};
use crate::store;
use crate::store::db::{Db, wake_on_commit};
use crate::store::job::{Job, NewJob};
use crate::store::migration::Migration;
use crate::store::trial::{End, NewTrial};
use crate::store::wake::Wake;

/// Why one ends before it is over.
const FOR_THE_STOP: &str = "the Linode's time to stop came";
const FOR_A_CANCEL: &str = "the move was cancelled";
pub(in crate::app) const FOR_ANOTHER_TIME: &str = "another time was chosen";
pub(in crate::app) const FOR_THE_LAST_PASS: &str = "the last copying before its stop was due";
const WITH_ITS_STEP: &str = "the move went on";
const WITH_ITS_AGENT: &str = "its host's agent was started anew, or did not answer";

impl App {
    /// Boots a clone of the copies on the destination. The Linode runs on, and is not touched.
    pub fn try_there(&self, actor: &Actor, id: MigrationId) -> Result<Migration, AppError> {
        self.transact(actor.who(), |tx| {
            visible(tx.conn, actor, id)?;
            let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
            not_held(tx.conn, row.linode_id)?;
            store::trial::may_begin(tx.conn, &row)?
                .map_err(|why| AppError::conflict(why.to_string()))?;
            begin(tx, &row, Some(actor.user))?;
            tx.log(&row, &format!("{} asked to try it there.", actor.name))?;
            Ok(row)
        })
    }

    /// Trials whose jobs ended where nobody thought of them: with a host that was given up, say.
    pub(in crate::app) fn close_forsaken_trials(&self) -> Result<usize, AppError> {
        let forsaken = self.db.read(store::trial::forsaken)?;
        let mut done = 0;
        for it in forsaken {
            let closed = self.transact(PORTAL, |tx| {
                let Some(row) = store::migration::locked(tx.conn, it.migration_id)? else {
                    return Ok(false);
                };
                close(tx, &row, &it, WITH_ITS_AGENT)
            });
            match closed {
                Ok(closed) => done += usize::from(closed),
                Err(error) => tracing::error!(trial = %it.id, %error, "it could not be closed"),
            }
        }
        Ok(done)
    }

    /// Ends the trial of a move, if it has one.
    pub(in crate::app) fn end_trial(&self, id: MigrationId, why: &str) -> Result<bool, AppError> {
        self.transact(PORTAL, |tx| {
            let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
            end_open(tx, &row, why)
        })
    }
}

/// Nothing is written to copies while a clone shares their blocks.
pub(in crate::app) fn is_in_the_way(
    conn: &mut Db,
    id: MigrationId,
    event: Event,
) -> Result<bool, AppError> {
    if event != Event::TopUp {
        return Ok(false);
    }
    let last = store::trial::newest(conn, id)?;
    Ok(last.is_some_and(|it| trial::is_open(it.state)))
}

/// Whatever takes its move on, or is to stop it, ends the trial of one that holds.
pub(in crate::app) fn give_way(
    tx: &mut Tx<'_>,
    before: &Migration,
    (event, to): (Event, &Transition),
) -> Result<(), AppError> {
    let stays = to.step == Some(Step::Hold) && !to.effects.contains(&Effect::StopJobs);
    if before.step != Some(Step::Hold) || stays {
        return Ok(());
    }
    let why = match event {
        Event::Stop => FOR_THE_STOP,
        Event::Cancel => FOR_A_CANCEL,
        _ => WITH_ITS_STEP,
    };
    end_open(tx, before, why).map(drop)
}

/// A job of the destination that is no step of the move.
pub(in crate::app) fn begin(
    tx: &mut Tx<'_>,
    row: &Migration,
    by: Option<UserId>,
) -> Result<(), AppError> {
    let job = store::job::enqueue(
        tx.conn,
        &NewJob {
            host_id: row.destination_host_id,
            linode_id: row.linode_id,
            migration_id: Some(row.id),
            kind: JobKind::Trial,
            state: JobState::Pending,
            epoch: row.epoch,
            run_after: tx.now,
            requested_by: by,
            entered_at: tx.now,
        },
    )?;
    let new = NewTrial {
        migration_id: row.id,
        asked_at: tx.now,
        asked_by: by,
        job_id: job,
        host_id: row.destination_host_id,
        state: TrialState::Asked,
    };
    // Of two at once, of this move or on this host, one begins.
    let busy = || AppError::conflict(NotNow::HostBusy.to_string());
    store::trial::insert(tx.conn, &new).map_err(AppError::if_taken(busy))?;
    wake_on_commit(tx.conn, Wake::Migration(row.id))?;
    tx.audit(Action::Trial, Object::Migration(row.id), ("", "asked"))
}

/// The trial of a move is over, whatever its agent is at: nobody waits for it, and it is asked to end at once.
pub(in crate::app) fn end_open(
    tx: &mut Tx<'_>,
    row: &Migration,
    why: &str,
) -> Result<bool, AppError> {
    match store::trial::newest(tx.conn, row.id)? {
        Some(it) if trial::is_open(it.state) => {
            store::job::stop_one(tx.conn, it.job_id, tx.now)?;
            close(tx, row, &it, why)
        }
        _ => Ok(false),
    }
}

fn close(
    tx: &mut Tx<'_>,
    row: &Migration,
    it: &store::trial::Trial,
    why: &str,
) -> Result<bool, AppError> {
    Said::broken_off(why).of(tx, row, it)
}

/// What is noted of a trial that is over.
struct Said<'a> {
    state: TrialState,
    outcome: String,
    detail: &'a str,
    console: Option<&'a str>,
}

impl Said<'_> {
    fn broken_off(why: &str) -> Self {
        Self {
            state: TrialState::BrokenOff,
            outcome: format!("The trial was ended: {why}."),
            detail: "",
            console: None,
        }
    }

    fn of(
        &self,
        tx: &mut Tx<'_>,
        row: &Migration,
        it: &store::trial::Trial,
    ) -> Result<bool, AppError> {
        let (outcome, detail) = (line(&self.outcome, 500), lines(self.detail, 4000));
        let end = End {
            state: self.state,
            outcome: &outcome,
            detail: &detail,
            console: self.console,
            now: tx.now,
        };
        if !store::trial::end(tx.conn, it.id, &end)? {
            return Ok(false);
        }
        tx.log(row, &outcome)?;
        wake_on_commit(tx.conn, Wake::Migration(row.id))?;
        // Passes, and a stop that waited for it, go on.
        wake_on_commit(tx.conn, Wake::Reconcile)?;
        Ok(true)
    }

    /// Of the trial that this job is, if it is one that is not over.
    fn of_job(&self, tx: &mut Tx<'_>, job: &Job) -> Result<(), AppError> {
        if job.kind != JobKind::Trial {
            return Ok(());
        }
        let Some(it) = store::trial::of_job(tx.conn, job.id)? else {
            return Ok(());
        };
        if let Some(row) = store::migration::locked(tx.conn, it.migration_id)? {
            self.of(tx, &row, &it)?;
        }
        Ok(())
    }
}

/// Its host's word.
pub(in crate::app) fn tried(
    tx: &mut Tx<'_>,
    job: &Job,
    end: TrialEnd,
    (console, seconds): (&str, f64),
) -> Result<(), AppError> {
    let console = kept(console);
    #[allow(
        clippy::cast_possible_truncation,
        reason = "saturates, and is at most some minutes of an honest host"
    )]
    let ran = span(seconds.clamp(1.0, 86_400.0) as i64);
    let outcome = match end {
        TrialEnd::CameUp => {
            format!("Tried there: it came up. The clone ran for {ran}, and is gone.")
        }
        TrialEnd::Stopped => match last_line(&console) {
            "" => format!("Tried there: it stopped by itself after {ran}, without a word."),
            last => format!("Tried there: it stopped by itself after {ran}, with: {last}"),
        },
        TrialEnd::Silent => format!("Tried there: it ran for {ran} without a login prompt."),
    };
    let said = Said {
        state: end.into(),
        outcome,
        detail: "",
        console: Some(&console),
    };
    said.of_job(tx, job)
}

/// No clone came to run.
pub(in crate::app) fn not_tried(
    tx: &mut Tx<'_>,
    job: &Job,
    why: Words<'_>,
) -> Result<(), AppError> {
    let said = Said {
        state: TrialState::NotTried,
        outcome: format!(
            "It could not be tried there: {}.",
            why.public.trim_end_matches('.')
        ),
        detail: why.detail,
        console: None,
    };
    said.of_job(tx, job)
}

/// Nobody is at it any more.
pub(in crate::app) fn broken_off(tx: &mut Tx<'_>, job: &Job) -> Result<(), AppError> {
    Said::broken_off(WITH_ITS_AGENT).of_job(tx, job)
}

/// What is kept of a console, as a page may show it.
pub(in crate::app) fn kept(console: &str) -> String {
    console_end(&lines(console, usize::MAX)).to_owned()
}
