//! Makes the order for a claimed job from the rows as they are now: what the agent is told is never older than the claim,
//! and a job whose time has passed is found out before it is given away.

use super::spec::{boot, boot_spec, guest};
use crate::app::App;
use crate::app::error::AppError;
use crate::app::linode::check::askable;
use crate::app::linode::power;
use crate::app::linode::profile::translation::{self, Untranslated};
use crate::app::migration::guard::{UNASKED, may_still_ask, still_permitted};
use crate::app::ownership::change;
use crate::app::ownership::proof::{self, OldDisks, Purge};
use crate::app::secrets::purpose;
use crate::domain::ids::{ConfigId, HostId};
use crate::domain::job::JobKind;
use crate::domain::linode::LinodeStatus;
use crate::domain::linode::check::CheckState;
use crate::domain::migration::{MigrationKind, MigrationState, Step, can_cancel};
use crate::domain::trial::{LIMIT_S, NotNow};
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::host::Host;
use crate::store::job::Job;
use crate::store::linode::Linode;
use crate::store::migration::Migration;
use crate::store::migration::check::CheckedRow;
use crate::wire::{ASKS_CHECKS, BootSpec, GuestSpec, KNOWS_TRIALS, Peer, SHOWS_LEDGER, Task};

/// How long a clean shutdown may take where nobody chose a limit, in seconds.
const STOP_LIMIT_S: u32 = 60;

/// How often an agent of an older release is looked at again, and a purge that waits for a proof, in seconds. A proof that
/// comes lets the purge go at once.
const AGENT_UPGRADE_S: i64 = 600;
const PROOF_AGAIN_S: i64 = 30;
/// A power job that waits for a switch-over is over with it, unless that is taken back.
const SWITCHED_AGAIN_S: i64 = 10;

/// What the Linode's page shows of the console.
const CONSOLE_LINES: u32 = 100;

/// Why a job is not given out after all.
pub enum NotDispatchable {
    /// It was overtaken by events: end it, nobody needs it.
    Stale(String),
    /// It cannot be carried out: its migration must hear of the failure.
    Impossible(String),
    /// Who asked for it has no access any more: it is not done, and nothing was begun.
    Unasked,
    /// The moment at which its Linode may stop has not come, or is over for now: its migration holds again.
    TooSoon,
    /// Not yet: what it needs is asked for. It is given again after so many seconds.
    NotYet(String, i64),
}

/// Why no task was made.
pub enum NoTask {
    Unfit(NotDispatchable),
    Fault(AppError),
}

impl From<NotDispatchable> for NoTask {
    fn from(unfit: NotDispatchable) -> Self {
        Self::Unfit(unfit)
    }
}

impl From<AppError> for NoTask {
    fn from(error: AppError) -> Self {
        Self::Fault(error)
    }
}

impl From<StoreError> for NoTask {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

fn stale(why: impl Into<String>) -> NoTask {
    NotDispatchable::Stale(why.into()).into()
}

fn impossible(why: impl Into<String>) -> NoTask {
    NotDispatchable::Impossible(why.into()).into()
}

/// The task for a job, with the facts of this moment.
pub fn task(app: &App, conn: &mut Db, job: &Job) -> Result<Task, NoTask> {
    let Some(linode) = store::linode::linode(conn, job.linode_id)? else {
        return Err(stale("the Linode is gone"));
    };
    let guest = guest(conn, &linode)?;
    let Some(id) = job.migration_id else {
        return own_task(conn, job, &linode, guest);
    };
    let row = store::migration::migration(conn, id)?.ok_or(AppError::NotFound)?;
    let of = OfMigration {
        app,
        job,
        linode: &linode,
        row: &row,
    };
    of.task(conn, guest)
}

/// Jobs outside of a migration act on the owner's Linode, under its present epoch.
fn own_task(conn: &mut Db, job: &Job, linode: &Linode, guest: GuestSpec) -> Result<Task, NoTask> {
    if linode.host_id != job.host_id || linode.epoch != job.epoch {
        return Err(stale("the Linode has moved since this was asked for"));
    }
    if !may_still_ask(conn, job.requested_by, linode.account_id)? {
        return Err(NotDispatchable::Unasked.into());
    }
    if power::POWER.contains(&job.kind) && power::is_switching(conn, linode.id)? {
        let why = "the Linode is being switched over".to_owned();
        return Err(NotDispatchable::NotYet(why, SWITCHED_AGAIN_S).into());
    }
    let epoch = job.epoch;
    let boot = boot(conn, linode)?;
    match (job.kind, boot) {
        (JobKind::Adopt, boot) => Ok(Task::Adopt { epoch, guest, boot }),
        (JobKind::Boot, Some(boot)) => Ok(Task::Boot { epoch, guest, boot }),
        (JobKind::Reboot, Some(boot)) => Ok(Task::Reboot {
            epoch,
            guest,
            boot,
            stop_limit_s: STOP_LIMIT_S,
        }),
        (JobKind::Shutdown, _) => Ok(Task::Shutdown {
            epoch,
            stop_limit_s: STOP_LIMIT_S,
        }),
        (JobKind::Check, _) => {
            speaks(conn, job, ASKS_CHECKS)?;
            let checks = askable(conn, linode.id)?;
            Ok(Task::Check {
                epoch,
                guest,
                checks,
            })
        }
        (JobKind::Console, _) => Ok(Task::Console {
            epoch,
            lines: CONSOLE_LINES,
        }),
        // Owned again after a boot that failed: it stays off until its member boots it. After hosts were believed it is
        // booted, if it ran.
        (JobKind::Start, boot) => {
            fetched(conn, job)?;
            Ok(Task::Start {
                epoch,
                guest,
                boot: boot.filter(|_| linode.status == LinodeStatus::Booting),
                migration: None,
                watch_s: 0,
            })
        }
        (kind, None) => Err(impossible(format!(
            "{kind}: the Linode has no config profile to boot from"
        ))),
        (kind, Some(_)) => Err(stale(format!("{kind} belongs to a migration"))),
    }
}

/// A job of a migration, with the rows that its order is made of.
struct OfMigration<'a> {
    app: &'a App,
    job: &'a Job,
    linode: &'a Linode,
    row: &'a Migration,
}

impl OfMigration<'_> {
    fn task(&self, conn: &mut Db, guest: GuestSpec) -> Result<Task, NoTask> {
        self.is_wanted(conn)?;
        let (job, row) = (self.job, self.row);
        let (migration, epoch) = (row.id, job.epoch);
        let stop_limit_s = u32::try_from(row.stop_limit_s).unwrap_or(STOP_LIMIT_S);
        Ok(match job.kind {
            JobKind::PreflightSource => Task::PreflightSource {
                epoch,
                guest,
                // Home again, none is asked.
                checks: match row.kind {
                    MigrationKind::Return => Vec::new(),
                    _ => askable(conn, row.linode_id)?,
                },
            },
            JobKind::Check => self.check(conn, guest)?,
            JobKind::PreflightDestination => Task::PreflightDestination {
                migration,
                guest,
                boots: self.boots_there(conn)?.into_iter().map(|it| it.1).collect(),
            },
            JobKind::Reserve => Task::Reserve {
                migration,
                guest,
                base_epoch: row.base_epoch,
            },
            JobKind::OpenTransfer => Task::OpenTransfer {
                migration,
                epoch,
                guest,
                peer_fingerprint: enrolled(conn, row.destination_host_id)?.1,
                token: self.token(),
            },
            JobKind::WarmCopy => Task::WarmCopy {
                migration,
                guest,
                source: self.peer(conn)?,
                max_passes: self.warm_passes(conn),
            },
            JobKind::StopSeal => Task::StopSeal {
                migration,
                epoch,
                stop_limit_s,
            },
            JobKind::FinalCopy => Task::FinalCopy {
                migration,
                epoch,
                guest,
                source: self.peer(conn)?,
            },
            JobKind::Start => self.start(conn, guest)?,
            JobKind::CloseTransfer => Task::CloseTransfer { migration },
            JobKind::Release => Task::Release { migration, epoch },
            JobKind::Purge => self.purge(conn)?,
            JobKind::Prove => self.prove(conn, guest)?,
            JobKind::Trial => self.trial(conn, guest)?,
            JobKind::Adopt
            | JobKind::Boot
            | JobKind::Reboot
            | JobKind::Shutdown
            | JobKind::Console => return Err(stale("not a step of a migration")),
        })
    }

    /// Is it the migration's present step, or tidies up after it?
    fn is_wanted(&self, conn: &mut Db) -> Result<(), NoTask> {
        let (job, row) = (self.job, self.row);
        if job.kind == JobKind::Trial {
            return self.is_to_be_tried(conn);
        }
        if JobKind::NO_STEPS.contains(&job.kind) {
            return Ok(());
        }
        let of_step = row.step.and_then(Step::job);
        let of_kind = of_step.is_some_and(|(kind, _)| kind == job.kind);
        if !of_kind || row.step_job_id != Some(job.id) {
            return Err(stale("the migration has moved on"));
        }
        if matches!(
            job.kind,
            JobKind::PreflightSource | JobKind::Reserve | JobKind::WarmCopy
        ) && let Err(AppError::Conflict(why)) = still_permitted(conn, row)
        {
            return Err(impossible(why));
        }
        // Up to the step that stops the Linode; what is stopped goes on to its end.
        let stops_or_comes_before = |step: Step| step == Step::StopSeal || can_cancel(step.state());
        if row.step.is_some_and(stops_or_comes_before)
            && !may_still_ask(conn, row.queued_by, row.account_id)?
        {
            return Err(impossible(UNASKED));
        }
        // Between the portal's word and the agent's question quiet hours may have begun, or its member's time have moved.
        if row.step == Some(Step::StopSeal) && job.attempt <= 1 && !self.may_stop(conn)? {
            return Err(NotDispatchable::TooSoon.into());
        }
        Ok(())
    }

    /// It is no step, and wanted for as long as its move stays in step.
    fn is_to_be_tried(&self, conn: &mut Db) -> Result<(), NoTask> {
        let (job, row) = (self.job, self.row);
        if row.step != Some(Step::Hold) || row.cancel_asked {
            return Err(stale("the migration has moved on"));
        }
        if !may_still_ask(conn, job.requested_by, row.account_id)? {
            return Err(NotDispatchable::Unasked.into());
        }
        if !store::host::speaks(conn, job.host_id, KNOWS_TRIALS)? {
            return Err(impossible(NotNow::OlderAgent.to_string()));
        }
        Ok(())
    }

    fn trial(&self, conn: &mut Db, guest: GuestSpec) -> Result<Task, NoTask> {
        let chosen = self.linode.boot_config_id;
        let mut boots = self.boots_there(conn)?;
        let at = boots.iter().position(|(id, _)| Some(*id) == chosen);
        if boots.is_empty() {
            return Err(impossible("the Linode has no config profile to boot from"));
        }
        let (_, boot) = boots.swap_remove(at.unwrap_or(0));
        if !store::trial::begin(conn, self.job.id, self.app.now())? {
            return Err(stale("nobody waits for it any more"));
        }
        Ok(Task::Trial {
            migration: self.row.id,
            guest,
            boot,
            limit_s: LIMIT_S,
        })
    }

    fn may_stop(&self, conn: &mut Db) -> Result<bool, NoTask> {
        let now = self.app.now();
        let (limits, _) = store::programme::move_times::limits(conn)?;
        let of = (self.row, now);
        let first = store::programme::move_times::first_stop(conn, &limits, of)?;
        Ok(first.is_some_and(|at| at <= now))
    }

    /// Those of the move that have not answered yet.
    fn check(&self, conn: &mut Db, guest: GuestSpec) -> Result<Task, NoTask> {
        let (job, row) = (self.job, self.row);
        let run = store::migration::check::run(conn, row.id)?;
        let is_asking = run.is_some_and(|run| run.state == CheckState::Asking);
        if row.state != MigrationState::Finished
            || !is_asking
            || !change::is_current(conn, row.linode_id, job)?
            // It did when the move ended, and does no more: nobody waits for its upgrade.
            || !store::host::speaks(conn, job.host_id, ASKS_CHECKS)?
        {
            return Err(stale("nobody waits for these checks any more"));
        }
        let mut rows = store::migration::check::answers(conn, row.id)?;
        rows.retain(|it| it.asked().is_open());
        Ok(Task::Check {
            epoch: job.epoch,
            guest,
            checks: rows.iter().map(CheckedRow::check).collect(),
        })
    }

    fn prove(&self, conn: &mut Db, guest: GuestSpec) -> Result<Task, NoTask> {
        let (job, linode) = (self.job, self.linode);
        speaks(conn, job, SHOWS_LEDGER)?;
        if (linode.host_id, linode.epoch) != (job.host_id, job.epoch) {
            return Err(stale("the Linode has moved since this was asked for"));
        }
        let epoch = job.epoch;
        Ok(Task::Prove { epoch, guest })
    }

    fn purge(&self, conn: &mut Db) -> Result<Task, NoTask> {
        let old = OldDisks {
            host: self.job.host_id,
            epoch: self.job.epoch,
            migration: self.job.migration_id,
            since: None,
        };
        match proof::may_purge(conn, self.app.now(), self.linode, &old)? {
            Purge::Now => Ok(Task::Purge { epoch: old.epoch }),
            Purge::InUse => Err(stale("the Linode lives on these disks")),
            Purge::Asked(why) => {
                let why = format!("The old disks stay as they are: {why}.");
                Err(NotDispatchable::NotYet(why, PROOF_AGAIN_S).into())
            }
        }
    }

    fn warm_passes(&self, conn: &mut Db) -> u32 {
        // A Linode that is off cannot change, and one that holds is in step: one pass is all they need.
        if self.linode.status == LinodeStatus::Offline || self.row.step == Some(Step::TopUp) {
            return 1;
        }
        store::programme::get(conn, self.app.now())
            .ok()
            .and_then(|it| u32::try_from(it.max_warm_passes).ok())
            .unwrap_or(6)
    }

    /// The grant. `fetched` is set in the same transaction, before the answer leaves.
    fn start(&self, conn: &mut Db, guest: GuestSpec) -> Result<Task, NoTask> {
        let (job, row) = (self.job, self.row);
        fetched(conn, job)?;
        let at_destination = job.host_id == row.destination_host_id;
        let boot = if row.was_running {
            boot(conn, self.linode)?
        } else {
            None
        };
        let programme = store::programme::get(conn, self.app.now())?;
        Ok(Task::Start {
            epoch: job.epoch,
            guest,
            boot,
            migration: at_destination.then_some(row.id),
            watch_s: u32::try_from(programme.watch_s).unwrap_or(10),
        })
    }

    fn token(&self) -> String {
        let (id, round) = (self.row.id.to_string(), self.row.round.to_string());
        self.app.secret.derive(purpose::TRANSFER, &[&id, &round])
    }

    fn peer(&self, conn: &mut Db) -> Result<Peer, NoTask> {
        let (address, fingerprint) = enrolled(conn, self.row.source_host_id)?;
        Ok(Peer {
            address,
            fingerprint,
            token: self.token(),
        })
    }

    /// The Linode's config profiles as they will be at the destination.
    fn boots_there(&self, conn: &mut Db) -> Result<Vec<(ConfigId, BootSpec)>, NoTask> {
        let (linode, row) = (self.linode, self.row);
        let plan = store::catalogue::plan(conn, linode.plan_id)?;
        let there = store::host::host(conn, row.destination_host_id)?.ok_or(AppError::NotFound)?;
        match translation::after_move(conn, linode, row, there.platform) {
            Ok(pairs) => Ok(pairs
                .into_iter()
                .map(|pair| {
                    let boot = boot_spec(&pair.row, pair.after.profile, &plan);
                    (pair.row.id, boot)
                })
                .collect()),
            Err(Untranslated::Not(why)) => Err(impossible(why.to_string())),
            Err(Untranslated::Fault(error)) => Err(error.into()),
        }
    }
}

fn fetched(conn: &mut Db, job: &Job) -> Result<(), NoTask> {
    if change::fetch(conn, job.host_id, &[(job.linode_id, job.epoch)])? == 1 {
        Ok(())
    } else {
        Err(stale("another host owns the Linode now"))
    }
}

/// An agent of an older release does not know what is asked: it waits for the upgrade.
fn speaks(conn: &mut Db, job: &Job, protocol: u32) -> Result<(), NoTask> {
    if store::host::speaks(conn, job.host_id, protocol)? {
        return Ok(());
    }
    let why =
        "The agent of this host is of an older release, and does not know this work: upgrade it.";
    Err(NotDispatchable::NotYet(why.to_owned(), AGENT_UPGRADE_S).into())
}

/// Where a host's agent listens and how it is known, if one is enrolled.
fn enrolled(conn: &mut Db, id: HostId) -> Result<(String, String), NoTask> {
    let host: Host = store::host::host(conn, id)?.ok_or(AppError::NotFound)?;
    match (host.transfer_address, host.fingerprint) {
        (Some(address), Some(fingerprint)) => Ok((address, fingerprint)),
        _ => Err(impossible(format!("no agent is enrolled on {}", host.name))),
    }
}
