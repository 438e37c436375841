//! Giving a Linode up and taking one over: the two steps that must never be wrong. The order of the lines in here **is**
//! the protocol (see docs/ARCHITECTURE.md, "Ownership"): change it only together with a model.

use std::thread;
use std::time::{Duration, Instant};

use super::look::{generation, is_running};
use super::power::{announce, helpers_skipped, start_guest, stop};
use super::work::{Result, StepError, Work};
use crate::agent::control::Halt;
use crate::agent::driver::{DriverError, GuestState, Stopped};
use crate::agent::ledger::rules::{self, Accept, Seal};
use crate::agent::ledger::{Entry, Stopping, Watch};
use crate::agent::process::now;
use crate::domain::ids::MigrationId;
use crate::wire::{BootSpec, GuestSpec, Report};

/// How often a started guest is looked at: a look goes through all processes of the host.
const LOOK: Duration = Duration::from_secs(1);
/// How long a guest that must not go on may take to end by itself.
const FAILED_STOP_S: u32 = 10;

/// Stops the guest, confirms that it is absent, and only then seals.
pub(super) fn stop_seal(
    work: &Work<'_>,
    migration: MigrationId,
    epoch: i64,
    limit_s: u32,
) -> Result<Report> {
    let taken = Instant::now();
    let mut entry = work.host.ledger.entry(work.locked.linode())?;
    let seal = rules::may_seal(entry.marks, epoch)?;
    let found = is_running(work)?;
    let held = found || entry.stayed_up == Some(epoch) || perhaps_held(work, &entry, epoch);
    let back = entry.brought_by == Some(migration);
    if let Err(refusal) = rules::may_take_back(entry.marks, epoch, back, held) {
        // Its member may end it before this is asked for again.
        if entry.stayed_up != Some(epoch) {
            entry.stayed_up = Some(epoch);
            work.host.ledger.put(&entry)?;
        }
        return Err(refusal.into());
    }
    let mut stopping = match entry.stopping {
        Some(earlier) if earlier.epoch == epoch => Stopping {
            was_running: earlier.was_running || found,
            ..earlier
        },
        _ => Stopping {
            epoch,
            was_running: found,
            forced: false,
        },
    };
    if entry.stopping != Some(stopping) || entry.desired_running {
        entry.stopping = Some(stopping);
        entry.desired_running = false;
        work.host.ledger.put(&entry)?;
    }
    if stop(work, limit_s)? == Stopped::ByForce {
        stopping.forced = true;
        entry.stopping = Some(stopping);
    }
    match seal {
        Seal::Now => seal_here(work, &mut entry, epoch)?,
        Seal::Already => work.host.driver.withdraw(entry.linode)?,
    }
    Ok(Report::Sealed {
        epoch,
        forced: stopping.forced,
        was_running: stopping.was_running,
        // Of a guest that ran until now: what it took to stop one that was gone says nothing.
        stopped_after_s: found.then(|| taken.elapsed().as_secs_f64()),
    })
}

/// The guest is confirmed absent. Disks first, then the mark, then the network; the caller reports only after all three.
fn seal_here(work: &Work<'_>, entry: &mut Entry, epoch: i64) -> Result<()> {
    if let Some(generation) = entry.generation {
        work.host.disks.seal(entry.linode, generation)?;
    }
    entry.marks = entry.marks.seal(epoch);
    entry.watch = None;
    entry.desired_running = false;
    work.host.ledger.put(entry)?;
    work.host.driver.withdraw(entry.linode)?;
    Ok(())
}

pub(super) struct StartOrder<'a> {
    pub epoch: i64,
    pub guest: &'a GuestSpec,
    pub boot: Option<&'a BootSpec>,
    pub migration: Option<MigrationId>,
    pub watch_s: u32,
}

/// Accepts the epoch, durably, and only then starts the guest.
pub(super) fn start(work: &Work<'_>, order: &StartOrder<'_>) -> Result<Report> {
    let taken = Instant::now();
    let mut entry = work.host.ledger.entry(work.locked.linode())?;
    if entry.gave_up == Some(order.epoch) && entry.marks.sealed >= order.epoch {
        return gave_up_before(work, order.epoch);
    }
    if rules::accept_grant(entry.marks, order.epoch)? == Accept::New {
        whole_before_accepting(work, &entry, order)?;
        // From here on the old lease may be lost without harm: the epoch is this host's.
        if work.control.lost() {
            return Err(Halt::Lost.into());
        }
        entry.marks = entry.marks.grant(order.epoch);
        entry.stopping = None;
        entry.brought_by = order.migration;
        entry.guest = Some(order.guest.clone());
        // The portal's memory may have gone back since the order was taken: then it is void.
        if !work.host.ledger.accept(&entry, work.control.life())? {
            return Err(Halt::Lost.into());
        }
    }
    if entry.stayed_up == Some(order.epoch) || held_before(work, &entry, order) {
        return stayed_up_before(work, &mut entry, order);
    }
    let unseen = perhaps_held(work, &entry, order.epoch);
    take_disks(work, &mut entry, order)?;
    let Some(boot) = order.boot else {
        return Ok(Report::Started {
            epoch: order.epoch,
            running: false,
            helpers_skipped: false,
            started_after_s: None,
            stopped_after_s: None,
        });
    };
    match bring_up(work, &mut entry, order, boot) {
        Ok(started) => {
            entry.stayed_up = Some(order.epoch);
            work.host.ledger.put(&entry)?;
            Ok(Report::Started {
                epoch: order.epoch,
                running: true,
                helpers_skipped: helpers_skipped(work, boot),
                started_after_s: Some(started.duration_since(taken).as_secs_f64()),
                stopped_after_s: None,
            })
        }
        Err(StepError::Driver(error)) if unseen => Err(StepError::Impossible {
            public:
                "The Linode did not come up again; it may have run before, so what it wrote is kept"
                    .into(),
            detail: format!(
                "the agent was away for the whole watch of an earlier start; then: {error}"
            ),
        }),
        Err(StepError::Driver(error)) => give_up(work, &mut entry, order.epoch, &error),
        Err(other) => Err(other),
    }
}

/// An earlier run of this step started it and could not write down that it held; it has been up for longer than it would be
/// watched now.
fn held_before(work: &Work<'_>, entry: &Entry, order: &StartOrder<'_>) -> bool {
    let ours = entry.generation == Some(order.epoch) && order.boot.is_some();
    let watch = Duration::from_secs(u64::from(order.watch_s));
    match work.host.driver.state(entry.linode) {
        Ok(GuestState::Running { since, .. }) if ours => {
            (now() - since).to_std().is_ok_and(|up| up > watch)
        }
        _ => false,
    }
}

/// Was the agent away for the whole watch of a start under this epoch? Then the guest may have run for as long, and what it
/// wrote is nobody's to give up. An agent that comes back earlier watches anew.
fn perhaps_held(work: &Work<'_>, entry: &Entry, epoch: i64) -> bool {
    entry
        .watch
        .is_some_and(|watch| watch.epoch == epoch && watch.until < work.host.began)
}

/// The same step again, after its word was lost: it held, whatever became of the guest since. It has written, so its disks
/// are not given up any more.
fn stayed_up_before(work: &Work<'_>, entry: &mut Entry, order: &StartOrder<'_>) -> Result<Report> {
    if entry.stayed_up != Some(order.epoch) {
        entry.stayed_up = Some(order.epoch);
        work.host.ledger.put(entry)?;
        announce(work, order.guest);
    }
    let running = is_running(work)?;
    let skipped = |boot| running && helpers_skipped(work, boot);
    Ok(Report::Started {
        epoch: order.epoch,
        running,
        helpers_skipped: order.boot.is_some_and(skipped),
        started_after_s: None,
        stopped_after_s: None,
    })
}

/// Nothing is accepted for disks that are not here, whole, and the ones meant.
fn whole_before_accepting(work: &Work<'_>, entry: &Entry, order: &StartOrder<'_>) -> Result<()> {
    let disks = &work.host.disks;
    let Some(migration) = order.migration else {
        disks.check(entry.linode, generation(entry)?, &order.guest.disks)?;
        return Ok(());
    };
    let missing = |detail: String| StepError::Impossible {
        public: "The copied disks are not complete on this host".into(),
        detail,
    };
    match disks.published(entry.linode, migration)? {
        Some((epoch, _)) if epoch == order.epoch => {
            disks.check(entry.linode, epoch, &order.guest.disks)?;
            Ok(())
        }
        Some((epoch, _)) => Err(missing(format!(
            "migration {migration} was published for epoch {epoch}, not {}",
            order.epoch
        ))),
        None => Err(missing(format!(
            "migration {migration} has no published copy here"
        ))),
    }
}

/// Brings the disks under the epoch's name, if an earlier run of this step did not, and lets the guest write to them.
fn take_disks(work: &Work<'_>, entry: &mut Entry, order: &StartOrder<'_>) -> Result<()> {
    let (disks, linode, epoch) = (&work.host.disks, entry.linode, order.epoch);
    if entry.generation != Some(epoch) {
        match order.migration {
            Some(migration) => disks.activate(linode, migration, epoch)?,
            None => disks.regrant(linode, generation(entry)?, epoch)?,
        }
        entry.generation = Some(epoch);
        work.host.ledger.put(entry)?;
    }
    disks.unseal(linode, epoch)?;
    Ok(())
}

/// Starts the guest, announces it and watches that it stays up; says when it had been started. A driver's error means that
/// it did not stay up.
fn bring_up(
    work: &Work<'_>,
    entry: &mut Entry,
    order: &StartOrder<'_>,
    boot: &BootSpec,
) -> Result<Instant> {
    let linode = entry.linode;
    let watch = Duration::from_secs(u64::from(order.watch_s));
    if entry.watch.is_none_or(|watch| watch.epoch != order.epoch) {
        // The guest's start writes it down.
        entry.watch = Some(Watch {
            epoch: order.epoch,
            until: now() + watch,
        });
    }
    start_guest(work, entry, order.guest, boot)?;
    announce(work, order.guest);
    let started = Instant::now();
    let deadline = started + watch;
    let watching = work.host.looks.watch(linode);
    let (mut runs, mut last): (Vec<String>, Instant) = (Vec::new(), started);
    loop {
        let begun = Instant::now();
        // The look that counts is made when the time is over.
        let after = if begun < deadline { last } else { deadline };
        let unknown = match watching.state(&*work.host.driver, after) {
            Ok(GuestState::Running { id, .. }) => {
                if runs.last() != Some(&id) {
                    runs.push(id);
                }
                if runs.len() > RUNS {
                    return Err(ended("it starts again and again"));
                }
                None
            }
            Ok(GuestState::Absent) => return Err(ended("it ended while it was watched")),
            // Not known is not "gone": a guest that runs is not taken down because its host could not look.
            Err(error) => {
                tracing::warn!(%linode, error, "a started guest could not be looked at");
                Some(error)
            }
        };
        if begun >= deadline {
            return unknown.map_or(Ok(started), |detail| Err(StepError::Unsure { detail }));
        }
        thread::sleep(LOOK.min(deadline.saturating_duration_since(Instant::now())));
        last = begun;
    }
}

/// What a driver may say a guest runs as within one watch: one restart of its own (after a repair of its file system, say)
/// is its own affair, and on Xen that is the run before, the moment between, and the run after.
const RUNS: usize = 3;

fn ended(detail: &str) -> StepError {
    DriverError::Refused {
        public: "The Linode did not stay up after its start".into(),
        detail: detail.into(),
    }
    .into()
}

/// The guest did not come up or did not stay: make sure that it is gone, and seal, so that it may run elsewhere.
fn give_up(work: &Work<'_>, entry: &mut Entry, epoch: i64, error: &DriverError) -> Result<Report> {
    tracing::warn!(linode = %entry.linode, epoch, %error, "a started guest did not stay up");
    let console = work.console();
    stop(work, FAILED_STOP_S)?;
    entry.gave_up = Some(epoch);
    seal_here(work, entry, epoch)?;
    let public = match error {
        DriverError::Refused { public, .. } => public.clone(),
        DriverError::Host(_) => "The host could not start the Linode".into(),
    };
    Ok(Report::StartFailedSealed {
        epoch,
        public,
        detail: error.to_string(),
        console,
    })
}

/// The same step again, after its word was lost: the same answer. What it still had to do is done once more.
fn gave_up_before(work: &Work<'_>, epoch: i64) -> Result<Report> {
    let console = work.console();
    stop(work, FAILED_STOP_S)?;
    work.host.driver.withdraw(work.locked.linode())?;
    Ok(Report::StartFailedSealed {
        epoch,
        public: "The Linode did not stay up after its start".into(),
        detail: String::new(),
        console,
    })
}
