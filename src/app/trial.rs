//! *Try it there*: a trial is asked for while its move is in step, is a job of the destination that is no step of the move,
//! and gives way to everything: the stop, a cancel, another time, the last pass. It changes nothing but its own row.
//! A move that is *tried first* waits for one that came up: the portal begins that as soon as the move is in step, and tells its
//! member where it fails.

use super::App;
use super::context::{Actor, PORTAL, Tx};
use super::error::{AppError, Result};
use super::mail::kinds::LinodeMail;
use super::migration::event_details::Words;
use super::migration::guard::changeable;
use super::ownership::guard::not_held;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{JobId, MigrationId, UserId};
use crate::domain::job::{JobKind, JobState};
use crate::domain::migration::{Effect, Event, Step, Transition};
use crate::domain::text::{CONSOLE_BYTES, CONSOLE_LINES, last_lines, line, lines};
use crate::domain::time::{Time, span};
use crate::domain::trial::{self, First, NotNow, TrialEnd, TrialState, last_line};
use crate::store;
use crate::store::db::{Db, lock_scheduler, wake_on_commit};
use crate::store::job::{Job, NewJob};
use crate::store::migration::{Change, Migration};
use crate::store::trial::{End, NewTrial};
use crate::store::wake::Wake;

/// Why one ends before it is over.
const FOR_THE_STOP: &str = "the Linode's time to stop came";
const FOR_A_CANCEL: &str = "the move was cancelled";
pub(in crate::app) const FOR_ANOTHER_TIME: &str = "another time was chosen";
pub(in crate::app) const FOR_THE_LAST_PASS: &str = "the last copying before its stop was due";
const WITH_ITS_STEP: &str = "the move went on";
const WITH_ITS_AGENT: &str = "its host's agent was started anew, or did not answer";
const FOR_TOO_LONG: &str = "its host was not done with it in time";
/// Of a console, what a mail has.
const MAILED: (usize, usize) = (30, 3000);

impl App {
    /// Boots a clone of the copies on the destination. The Linode runs on, and is not touched.
    pub fn try_there(&self, actor: &Actor, id: MigrationId) -> Result<Migration> {
        self.transact(actor.who(), |tx| {
            changeable(tx.conn, actor, id)?;
            let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
            not_held(tx.conn, row.linode_id)?;
            store::trial::may_begin(tx.conn, &row)?
                .map_err(|why| AppError::conflict(why.to_string()))?;
            begin(tx, &row, Some(actor.user))?;
            tx.log(&row, &format!("{} asked to try it there.", actor.name))?;
            Ok(row)
        })
    }

    /// A move that is to be tried before it stops goes on without: its member does not wait for that any more. Doing so twice
    /// is doing so once.
    pub fn go_on_untried(&self, actor: &Actor, id: MigrationId) -> Result<Migration> {
        self.transact(actor.who(), |tx| {
            changeable(tx.conn, actor, id)?;
            let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if !row.awaits_stop() || row.try_first_since.is_none() {
                return Ok(row);
            }
            let change = Change {
                try_first_since: Some(None),
                ..Change::default()
            };
            store::migration::note(tx.conn, id, &change)?;
            tx.log(
                &row,
                &format!("{} said to go on without a trial.", actor.name),
            )?;
            tx.audit(Action::TryFirst, Object::Migration(id), ("yes", "no"))?;
            wake_on_commit(tx.conn, Wake::Reconcile)?;
            store::migration::migration(tx.conn, id)?.ok_or(AppError::NotFound)
        })
    }

    /// Trials whose jobs ended where nobody thought of them: with a host that was given up, say.
    pub(in crate::app) fn close_forsaken_trials(&self) -> Result<usize> {
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

    /// Ends those that their hosts are not done with in time: a stop may wait for them.
    pub(in crate::app) fn end_overdue_trials(&self) -> Result<usize> {
        let now = self.now();
        let overdue = self.db.read(|conn| overdue(conn, now))?;
        let mut done = 0;
        for id in overdue {
            done += usize::from(self.end_trial(id, FOR_TOO_LONG)?);
        }
        Ok(done)
    }

    /// Ends the trial of a move, if it has one.
    pub(in crate::app) fn end_trial(&self, id: MigrationId, why: &str) -> Result<bool> {
        self.transact(PORTAL, |tx| {
            let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
            end_open(tx, &row, why)
        })
    }
}

/// Begins the trial of a move that is tried first, if it may begin now; else the next round looks again.
pub(in crate::app) fn begin_first(tx: &mut Tx<'_>, id: MigrationId) -> Result<bool> {
    // Of two portals one begins it.
    lock_scheduler(tx.conn)?;
    let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
    let is_to_try = store::trial::first(tx.conn, &row)? == Some(First::ToTry);
    if !is_to_try || !row.awaits_stop() || not_held(tx.conn, row.linode_id).is_err() {
        return Ok(false);
    }
    match store::trial::may_begin(tx.conn, &row)? {
        // An older agent is not given it, which is told as what kept it from being tried.
        Ok(()) | Err(NotNow::OlderAgent) => {}
        Err(_) => return Ok(false),
    }
    begin(tx, &row, None)?;
    tx.log(
        &row,
        "In step: it is tried on its new host first, as was asked for.",
    )?;
    Ok(true)
}

fn overdue(conn: &mut Db, now: Time) -> Result<Vec<MigrationId>> {
    let mut late = Vec::new();
    for id in store::trial::open(conn)? {
        let (row, it) = (
            store::migration::migration(conn, id)?,
            store::trial::newest(conn, id)?,
        );
        let copied_s = row.and_then(|row| row.copied_s).unwrap_or_default();
        let is_over = |asked| trial::over_by(asked, i64::from(copied_s)) < now;
        late.extend(it.filter(|it| is_over(it.asked_at)).map(|_| id));
    }
    Ok(late)
}

/// It is not stopped, as its member said, and hears of it with what its console said last.
fn tell_of_first(tx: &mut Tx<'_>, id: MigrationId, job: JobId) -> Result<()> {
    let row = store::migration::migration(tx.conn, id)?.ok_or(AppError::NotFound)?;
    let Some(it) = store::trial::of_job(tx.conn, job)? else {
        return Ok(());
    };
    let is_told = it.state != TrialState::BrokenOff || it.asked_by.is_none();
    if !is_told || !row.awaits_stop() || store::trial::first(tx.conn, &row)? != Some(First::Failed)
    {
        return Ok(());
    }
    let is_late = row.not_before.is_none_or(|at| at <= tx.now);
    let change = Change {
        // As soon as it is copied: from now on it is late.
        not_before: row.not_before.is_none().then_some(Some(tx.now)),
        // This tells it.
        late_told: is_late.then_some(true),
        ..Change::default()
    };
    if is_late {
        store::migration::note(tx.conn, id, &change)?;
    }
    let row = store::migration::migration(tx.conn, id)?.ok_or(AppError::NotFound)?;
    let (lines, bytes) = MAILED;
    if let Some(linode) = store::linode::linode(tx.conn, row.linode_id)? {
        let mail = LinodeMail::TriedFirst {
            of: &row,
            why: &it.outcome,
            console: &last_lines(&it.console, lines, bytes),
        };
        tx.mail_about(&linode, mail)?;
    }
    Ok(())
}

/// Nothing is written to copies while a clone shares their blocks.
pub(in crate::app) fn is_in_the_way(conn: &mut Db, id: MigrationId, event: Event) -> Result<bool> {
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
) -> Result<()> {
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
pub(in crate::app) fn begin(tx: &mut Tx<'_>, row: &Migration, by: Option<UserId>) -> Result<()> {
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
pub(in crate::app) fn end_open(tx: &mut Tx<'_>, row: &Migration, why: &str) -> Result<bool> {
    match store::trial::newest(tx.conn, row.id)? {
        Some(it) if trial::is_open(it.state) => {
            store::job::stop_one(tx.conn, it.job_id, tx.now)?;
            close(tx, row, &it, why)
        }
        _ => Ok(false),
    }
}

fn close(tx: &mut Tx<'_>, row: &Migration, it: &store::trial::Trial, why: &str) -> Result<bool> {
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

    fn of(&self, tx: &mut Tx<'_>, row: &Migration, it: &store::trial::Trial) -> Result<bool> {
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
        tell_of_first(tx, row.id, it.job_id)?;
        wake_on_commit(tx.conn, Wake::Migration(row.id))?;
        // Passes, and a stop that waited for it, go on.
        wake_on_commit(tx.conn, Wake::Reconcile)?;
        Ok(true)
    }

    /// Of the trial that this job is, if it is one that is not over.
    fn of_job(&self, tx: &mut Tx<'_>, job: &Job) -> Result<()> {
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
) -> Result<()> {
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
pub(in crate::app) fn not_tried(tx: &mut Tx<'_>, job: &Job, why: Words<'_>) -> Result<()> {
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
pub(in crate::app) fn broken_off(tx: &mut Tx<'_>, job: &Job) -> Result<()> {
    Said::broken_off(WITH_ITS_AGENT).of_job(tx, job)
}

/// What is kept of a console, as a page may show it.
pub(in crate::app) fn kept(console: &str) -> String {
    last_lines(console, CONSOLE_LINES, CONSOLE_BYTES)
}
