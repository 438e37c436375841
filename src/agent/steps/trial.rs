//! A trial: a throw-away clone of a move's copies boots, without any network, and is destroyed. It is nobody's owner: no mark
//! of the ledger is read as a right or changed, only the trial's own record, which is there before anything of it is and goes
//! after all of it has gone. Whoever finds one where no trial is at work destroys what it stands for.

use std::thread;
use std::time::{Duration, Instant};

use super::look::is_running;
use super::preflight::{memory, others, paced};
use super::work::{Result, StepError, Work};
use crate::agent::disk::DiskFault;
use crate::agent::driver::{Guest, Trials};
use crate::agent::host::Host;
use crate::agent::ledger::{Trial, rules};
use crate::domain::ids::{LinodeId, MigrationId};
use crate::domain::text::{CONSOLE_BYTES, CONSOLE_LINES, last_lines};
use crate::domain::trial::{TrialEnd, came_up};
use crate::wire::{BootSpec, GuestSpec, Report, Task};

/// How often the clone is looked at, and its console told.
const LOOK: Duration = Duration::from_secs(1);
/// It came up: so much longer, at most, it runs, to be seen to stay up.
const STAYS: Duration = Duration::from_secs(10);
/// A clone that could not be destroyed is tried to be again, before that is said.
const TRIES: u32 = 5;

pub(super) fn run(
    work: &Work<'_>,
    migration: MigrationId,
    what: (&GuestSpec, &BootSpec),
    limit_s: u32,
) -> Result<Report> {
    let linode = work.locked.linode();
    let entry = work.host.ledger.entry(linode)?;
    rules::may_try(entry.marks, is_running(work)?)?;
    let trials = work.host.trials.as_ref().ok_or_else(none_here)?;
    memory(work, what.0, &others(work))?;
    trials.preflight(linode, what.0, what.1)?;
    work.host.ledger.begin_trial(&Trial { linode, migration })?;
    let tried = clone_and_boot(work, trials, migration, what, limit_s);
    destroyed(work.host, linode)?;
    tried
}

fn none_here() -> StepError {
    StepError::Impossible {
        public: "Nothing can be tried on the new host".into(),
        detail: "its driver has no guests for trials; the agent's log says why".into(),
    }
}

fn clone_and_boot(
    work: &Work<'_>,
    trials: &Trials,
    migration: MigrationId,
    (guest, boot): (&GuestSpec, &BootSpec),
    limit_s: u32,
) -> Result<Report> {
    let linode = work.locked.linode();
    let pace = paced(work, guest);
    let made = work
        .host
        .disks
        .make_trial(linode, migration, &guest.disks, &pace);
    let disks = match (made, work.control.check()) {
        (Err(error), Err(halt)) if error.fault == DiskFault::Stopped => return Err(halt.into()),
        (made, checked) => {
            checked?;
            made?
        }
    };
    trials.start(&Guest {
        linode,
        spec: guest,
        boot,
        disks: &disks,
    })?;
    watch(work, trials, boot, Duration::from_secs(limit_s.into()))
}

/// Until it ends, has come up and stayed so, its time is over, or it is asked to end.
fn watch(work: &Work<'_>, trials: &Trials, boot: &BootSpec, limit: Duration) -> Result<Report> {
    let (linode, begun) = (work.locked.linode(), Instant::now());
    let mut up: Option<Instant> = None;
    loop {
        // Asked before the console is read: what it said last is on it then.
        let runs = trials.runs(linode)?;
        let console = trials.console(linode, CONSOLE_LINES);
        let console = last_lines(&console, CONSOLE_LINES, CONSOLE_BYTES);
        if up.is_none() && came_up(&console, boot.run_level) {
            up = Some(Instant::now());
        }
        let stayed = up.is_some_and(|at| at.elapsed() >= STAYS.min(limit / 4));
        let end = match (runs, up) {
            (false, None) => Some(TrialEnd::Stopped),
            (false, Some(_)) => Some(TrialEnd::CameUp),
            (true, Some(_)) if stayed || begun.elapsed() >= limit => Some(TrialEnd::CameUp),
            (true, None) if begun.elapsed() >= limit => Some(TrialEnd::Silent),
            (true, _) => None,
        };
        if let Some(end) = end {
            return Ok(Report::Tried {
                end,
                console,
                seconds: begun.elapsed().as_secs_f64(),
            });
        }
        work.control.say_console(console);
        pause(work)?;
    }
}

/// Looks at the room for what the clone writes, and hears of a cancel, more often than at the clone.
fn pause(work: &Work<'_>) -> Result<()> {
    let until = Instant::now() + LOOK;
    while Instant::now() < until {
        work.control.check()?;
        if !work.host.disks.has_room_for_trial() {
            return Err(StepError::Impossible {
                public:
                    "The trial was ended: the new host had too little room left for what it wrote"
                        .into(),
                detail: "less than half of the reserve is free".into(),
            });
        }
        thread::sleep(LOOK / 5);
    }
    Ok(())
}

/// Says only after some tries that a clone cannot be got rid of.
fn destroyed(host: &Host, linode: LinodeId) -> Result<()> {
    for _ in 1..TRIES {
        match clear(host, linode) {
            Ok(()) => return Ok(()),
            Err(error) => tracing::warn!(%linode, %error, "a trial is not gone yet"),
        }
        thread::sleep(LOOK);
    }
    clear(host, linode)
}

/// Destroys what there is of the Linode's trial: its guest, its clones, and then its record. Without a record there is none.
/// The caller has the Linode's lock, or is alone.
pub(super) fn clear(host: &Host, linode: LinodeId) -> Result<()> {
    let Some(trial) = host.ledger.trial(linode)? else {
        return Ok(());
    };
    if let Some(trials) = &host.trials {
        trials.destroy(linode)?;
    }
    host.disks.drop_trial(linode, trial.migration)?;
    Ok(host.ledger.end_trial(linode)?)
}

/// From time to time: what could not be destroyed when it should have been, of Linodes that nobody is at work on.
pub fn destroy_left(host: &Host) {
    for trial in host.ledger.trials() {
        let linode = trial.linode;
        let Some(_locked) = host.locks.try_lock(linode) else {
            continue;
        };
        match clear(host, linode) {
            Ok(()) => tracing::info!(%linode, "what was left of a trial is gone"),
            Err(error) => tracing::error!(%linode, %error, "a trial is still there"),
        }
    }
}

/// For an agent's start, before it takes anything up: whatever an earlier run left of trials is destroyed, and their jobs are
/// dropped without a word, so that the portal learns that nobody is at them.
pub fn sweep(host: &Host) {
    for held in host.ledger.jobs() {
        let at_work = held.outcome.is_none() && matches!(held.order.task, Task::Trial { .. });
        if at_work && let Err(error) = host.ledger.drop_job(held.order.job) {
            tracing::error!(%error, job = %held.order.job, "a trial's job of an earlier run cannot be dropped");
        }
    }
    for trial in left(host) {
        let linode = trial.linode;
        // As if it were written down: a record may have been set aside.
        let noted = host.ledger.begin_trial(&trial);
        match noted
            .map_err(StepError::from)
            .and_then(|()| clear(host, linode))
        {
            Ok(()) => tracing::info!(%linode, "what an earlier run left of a trial is gone"),
            // It is tried again.
            Err(error) => {
                tracing::error!(%linode, %error, "what an earlier run left of a trial is still there")
            }
        }
    }
}

/// What the ledger, the store and the driver know of trials.
fn left(host: &Host) -> Vec<Trial> {
    let mut left = host.ledger.trials();
    match host.disks.list() {
        Ok(listing) => left.extend(
            listing
                .trials
                .into_iter()
                .map(|(linode, migration)| Trial { linode, migration }),
        ),
        Err(error) => tracing::error!(%error, "clones of trials cannot be looked for"),
    }
    match host.trials.as_ref().map_or(Ok(Vec::new()), Trials::guests) {
        Ok(guests) => {
            let known: Vec<LinodeId> = left.iter().map(|trial| trial.linode).collect();
            let others = guests.into_iter().filter(|linode| !known.contains(linode));
            // Without clones, or of which nobody knows: any migration's name will do.
            left.extend(others.map(|linode| Trial {
                linode,
                migration: MigrationId(0),
            }));
        }
        Err(error) => tracing::error!(%error, "guests of trials cannot be looked for"),
    }
    left.sort_unstable_by_key(|trial| (trial.linode, trial.migration));
    left.dedup();
    left
}
