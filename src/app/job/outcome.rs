//! What the end of a job does: to the job, to its Linode, and to the migration whose step it was.

use crate::app::context::{Agent, Tx};
use crate::app::error::{AppError, Result};
use crate::app::linode::{self, power};
use crate::app::migration::event_details::{EventDetails, Words};
use crate::app::migration::{self, engine, reported, timing};
use crate::app::ownership::{change, hold, proof};
use crate::app::trial;
use crate::domain::ids::MigrationId;
use crate::domain::job::{JobKind, JobState, pause_s};
use crate::domain::linode::LinodeStatus;
use crate::domain::migration::{Event, Side, Step};
use crate::domain::ownership::{Word, contradiction, handover};
use crate::domain::text::{CONSOLE_BYTES, CONSOLE_LINES, last_lines, line, lines};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::job::{Again, End, Job, Lease, NewJob};
use crate::store::migration::{Digest, Migration};
use crate::wire::{CheckAnswer, DiskDigest, Marked, Report};

/// Stale: the lease is not this agent's any more. It drops the job (409).
pub(in crate::app) fn stale() -> AppError {
    AppError::conflict("stale: the lease of this job has ended")
}

/// The migration whose present step this job is: it itself, and not one of the same kind of an earlier round.
pub(in crate::app) fn step_of(conn: &mut Db, job: &Job) -> Result<Option<(MigrationId, Step)>> {
    let Some(id) = job.migration_id else {
        return Ok(None);
    };
    let Some(row) = store::migration::locked(conn, id)? else {
        return Ok(None);
    };
    let Some(step) = row.step else {
        return Ok(None);
    };
    let Some((kind, side)) = step.job() else {
        return Ok(None);
    };
    let host = match side {
        Side::Source => row.source_host_id,
        Side::Destination => row.destination_host_id,
    };
    let is_it = row.step_job_id == Some(job.id) && kind == job.kind && host == job.host_id;
    Ok(is_it.then_some((id, step)))
}

/// Everything the end of one job needs.
pub(in crate::app) struct Ending<'a> {
    pub job: &'a Job,
    pub lease: Lease<'a>,
    pub agent: &'a Agent,
}

impl Ending<'_> {
    fn end(&self, tx: &mut Tx<'_>, state: JobState, said: Words<'_>) -> Result<()> {
        let message = line(said.public, 500);
        let detail = lines(said.detail, 4000);
        let end = End {
            state,
            message: &message,
            detail: &detail,
            now: tx.now,
        };
        if store::job::finish(tx.conn, self.lease, &end)? {
            Ok(())
        } else {
            Err(stale())
        }
    }

    fn tell(tx: &mut Tx<'_>, id: MigrationId, event: Event, given: &EventDetails) -> Result<()> {
        // A late event changes nothing; `apply` has logged it.
        let _applied = tx.apply(id, event, given)?;
        Ok(())
    }

    pub(in crate::app) fn cancelled(&self, tx: &mut Tx<'_>) -> Result<()> {
        self.end(tx, JobState::Cancelled, Words::of("Stopped as asked."))?;
        trial::broken_off(tx, self.job)?;
        settle_power(tx.conn, tx.now, self.job)?;
        match step_of(tx.conn, self.job)? {
            Some((id, step)) => Self::tell(tx, id, Event::Stopped(step), &EventDetails::default()),
            None => Ok(()),
        }
    }

    /// The host holds itself for the Linode's owner: no failure of the step, but two memories that differ.
    pub(in crate::app) fn contradicted(
        &self,
        tx: &mut Tx<'_>,
        marks: &Marked,
        detail: &str,
    ) -> Result<()> {
        let linode =
            store::linode::linode(tx.conn, self.job.linode_id)?.ok_or(AppError::NotFound)?;
        let word = Word {
            host: self.agent.host,
            granted: marks.granted,
            sealed: marks.sealed,
            generation: marks.generation,
            running: None,
        };
        let found = contradiction(linode.row(), &word, false);
        // One that failed can be tried again by staff.
        let state = match found {
            Some(_) => JobState::Cancelled,
            None => JobState::Failed,
        };
        let public = "The host says that it owns the Linode already.";
        self.end(tx, state, Words { public, detail })?;
        migration::check::lapsed(tx, self.job)?;
        match found {
            Some(found) => hold::hold(tx, self.agent, linode.id, (&word, found)),
            // It has been put right since: the step is done anew.
            None => match step_of(tx.conn, self.job)? {
                // It is the owner as it should be, and will not seal what holds there.
                Some((id, Step::SealDestination))
                    if linode.epoch == marks.granted && linode.epoch > marks.sealed =>
                {
                    store::linode::set_status(tx.conn, linode.id, LinodeStatus::Running, tx.now)?;
                    Self::tell(tx, id, Event::HeldAtDestination, &EventDetails::default())
                }
                Some((id, step)) => {
                    let public = "The order no longer fitted the host's state.";
                    let given = EventDetails::failure(Words { public, detail });
                    Self::tell(tx, id, Event::Failed(step), &given)
                }
                None => Ok(()),
            },
        }
    }

    pub(in crate::app) fn failed(
        &self,
        tx: &mut Tx<'_>,
        retry: bool,
        why: Words<'_>,
    ) -> Result<()> {
        if self.job.cancel_asked {
            // It was to stop, and it has.
            return self.cancelled(tx);
        }
        if self.job.kind == JobKind::Trial {
            // Whoever asked for it asks again, if they like.
            self.end(tx, JobState::Cancelled, why)?;
            return trial::not_tried(tx, self.job, why);
        }
        let failures = self.job.failures.saturating_add(1);
        if retry && failures < store::job::MOST_TRIES {
            let detail = lines(why.detail, 4000);
            let again = Again {
                run_after: tx.now.plus_s(pause_s(failures)),
                failures,
                losses: 0,
                detail: &detail,
            };
            return if store::job::release(tx.conn, self.job, &again)? {
                Ok(())
            } else {
                Err(stale())
            };
        }
        self.end(tx, JobState::Failed, why)?;
        store::job::set_tries(tx.conn, self.job.id, (failures, 0))?;
        settle_power(tx.conn, tx.now, self.job)?;
        migration::check::lapsed(tx, self.job)?;
        match step_of(tx.conn, self.job)? {
            Some((id, step)) => {
                Self::tell(tx, id, Event::Failed(step), &EventDetails::failure(why))
            }
            None => Ok(()),
        }
    }

    pub(in crate::app) fn succeeded(&self, tx: &mut Tx<'_>, report: &Report) -> Result<()> {
        if let Report::StartFailedSealed {
            epoch,
            public,
            detail,
            console,
        } = report
        {
            self.note_console(tx, console)?;
            return self.start_failed(tx, *epoch, Words { public, detail });
        }
        if let Report::Checked {
            answers, console, ..
        } = report
        {
            return self.checked(tx, (answers, console));
        }
        self.end(tx, JobState::Succeeded, Words::of(summary(report)))?;
        self.note_linode(tx, report)?;
        if let Report::Tried {
            end,
            console,
            seconds,
        } = report
        {
            return trial::tried(tx, self.job, *end, (console, *seconds));
        }
        timing::note(tx, self.job, report)?;
        if let (JobKind::Purge, Report::Done) = (self.job.kind, report) {
            proof::purged(tx, self.job)?;
        }
        let Some((id, step)) = step_of(tx.conn, self.job)? else {
            return Ok(());
        };
        let row = store::migration::migration(tx.conn, id)?.ok_or(AppError::NotFound)?;
        if row.cancel_asked && crate::domain::migration::can_cancel(row.state) {
            return Self::tell(tx, id, Event::Stopped(step), &EventDetails::default());
        }
        if let Report::Warm {
            moving_passes: 1.., ..
        } = report
        {
            tx.log(&row, summary(report))?;
        }
        let mut given = EventDetails::with(reported::facts(&row, self.job, tx.now, report));
        if step == Step::StopSeal {
            let wish = power::wish(tx.conn, row.linode_id)?;
            if let Some(runs) = wish.or(migration::check::comes_up(tx, &row)?) {
                given.change.was_running = Some(runs);
            }
        }
        if let Report::Source { checks, .. } = report {
            migration::check::found_at_home(tx, &row, checks)?;
        }
        if let Report::Copied { epoch, digests, .. } = report {
            let copied = Digests {
                side: Side::Destination,
                epoch: *epoch,
                of: digests,
            };
            put_digests(tx.conn, tx.now, &row, &copied)?;
            if !engine::digests_agree(tx.conn, &row)? {
                let public =
                    "The copy on the new host is not equal to the original. It was not used.";
                let detail = "digests differ";
                let given = EventDetails::failure(Words { public, detail });
                return Self::tell(tx, id, Event::Failed(step), &given);
            }
            "Every piece was read back and compared: the copy is equal."
                .clone_into(&mut given.message);
        }
        Self::tell(tx, id, Event::Succeeded(step), &given)
    }

    /// Asked by its member, or by its move, which may want to hear more.
    fn checked(&self, tx: &mut Tx<'_>, said @ (answers, _): (&[CheckAnswer], &str)) -> Result<()> {
        let asked = Words::of("Asked.");
        if self.job.migration_id.is_none() {
            self.end(tx, JobState::Succeeded, asked)?;
            return linode::check::answered(tx, self.job, answers);
        }
        let Some(heard) = migration::check::hear(tx, self.job, answers)? else {
            self.end(tx, JobState::Succeeded, asked)?;
            return migration::check::lapsed(tx, self.job);
        };
        match &heard.again {
            Some(again) if store::job::release(tx.conn, self.job, again)? => {}
            Some(_) => return Err(stale()),
            None => self.end(tx, JobState::Succeeded, asked)?,
        }
        migration::check::follow(tx, &heard, said)
    }

    /// What the report says of the Linode itself.
    fn note_linode(&self, tx: &mut Tx<'_>, report: &Report) -> Result<()> {
        if let Some(running) = runs_after(self.job.kind, report)
            && change::is_current(tx.conn, self.job.linode_id, self.job)?
        {
            let status = if running {
                LinodeStatus::Running
            } else {
                LinodeStatus::Offline
            };
            store::linode::set_status(tx.conn, self.job.linode_id, status, tx.now)?;
        }
        if let Report::Console { text } = report
            && change::is_current(tx.conn, self.job.linode_id, self.job)?
        {
            self.note_console(tx, text)?;
        }
        if let Report::Proof {
            epoch,
            running,
            disks,
        } = report
            && self.job.kind == JobKind::Prove
        {
            proof::shown(tx, self.job, (*epoch, *running), disks)?;
        }
        Ok(())
    }

    pub(in crate::app) fn note_console(&self, tx: &mut Tx<'_>, text: &str) -> Result<()> {
        let text = last_lines(text, CONSOLE_LINES, CONSOLE_BYTES);
        Ok(store::linode::set_console(
            tx.conn,
            self.job.linode_id,
            &text,
            tx.now,
        )?)
    }

    fn start_failed(&self, tx: &mut Tx<'_>, epoch: i64, why: Words<'_>) -> Result<()> {
        let why = Words {
            detail: if why.detail.is_empty() {
                "the guest did not stay up"
            } else {
                why.detail
            },
            ..why
        };
        let current =
            change::is_current(tx.conn, self.job.linode_id, self.job)? && epoch == self.job.epoch;
        let sealed = format!("sealed after a failed start: {}", why.detail);
        let said = Words {
            detail: &sealed,
            ..why
        };
        self.end(tx, JobState::Failed, said)?;
        if !current {
            return Ok(());
        }
        match step_of(tx.conn, self.job)? {
            Some((id, Step::Start)) => {
                let given = EventDetails::failure(why);
                Self::tell(tx, id, Event::StartFailedSealed, &given)
            }
            // It does not come up at its old host either: owned there again, off, for its member to look at.
            Some((id, Step::Restore)) => {
                self.own_again(tx, epoch)?;
                Self::tell(
                    tx,
                    id,
                    Event::Succeeded(Step::Restore),
                    &EventDetails::default(),
                )
            }
            _ => self.own_again(tx, epoch),
        }
    }

    /// A new epoch for the same host, without a boot.
    fn own_again(&self, tx: &mut Tx<'_>, epoch: i64) -> Result<()> {
        let linode = self.job.linode_id;
        let from = store::linode::linode(tx.conn, linode)?
            .ok_or(AppError::NotFound)?
            .row();
        let Some(to) = handover::own_again(from, (self.job.host_id, epoch)) else {
            return Ok(());
        };
        if !change::hand_over(tx, linode, (from, to))? {
            return Ok(());
        }
        store::linode::set_status(tx.conn, self.job.linode_id, LinodeStatus::Offline, tx.now)?;
        let linode = store::linode::linode(tx.conn, linode)?.ok_or(AppError::NotFound)?;
        store::job::enqueue(tx.conn, &NewJob::own(&linode, JobKind::Start, tx.now, None))?;
        Ok(())
    }
}

/// After a power job or an adoption that did not work, the next poll's inventory says what is true.
pub(in crate::app) fn settle_power(conn: &mut Db, now: Time, job: &Job) -> Result<()> {
    if power::POWER.contains(&job.kind) && change::is_current(conn, job.linode_id, job)? {
        store::linode::set_status(conn, job.linode_id, LinodeStatus::Offline, now)?;
    }
    Ok(())
}

/// Whether the Linode runs after this, where the report says so.
fn runs_after(kind: JobKind, report: &Report) -> Option<bool> {
    match report {
        Report::Adopted { running } | Report::Started { running, .. } => Some(*running),
        Report::Sealed { .. } | Report::Stopped { .. } => Some(false),
        Report::Done => match kind {
            JobKind::Boot | JobKind::Reboot => Some(true),
            JobKind::Shutdown => Some(false),
            _ => None,
        },
        Report::Source { .. }
        | Report::Warm { .. }
        | Report::Copied { .. }
        | Report::StartFailedSealed { .. }
        | Report::Proof { .. }
        | Report::Checked { .. }
        | Report::Tried { .. }
        | Report::Console { .. } => None,
    }
}

fn summary(report: &Report) -> &'static str {
    match report {
        Report::Done => "Done.",
        Report::Adopted { .. } => "Found with all its disks.",
        Report::Source { .. } => "All disks are whole.",
        Report::Warm {
            moving_passes: 1.., ..
        } => {
            "Copied while it ran. The old host had too little free room for a snapshot of its disks beside what the Linode can overwrite, so they were read as they changed; the last copy reads all of them."
        }
        Report::Warm { .. } => "Copied while it ran.",
        Report::Sealed { forced: true, .. } => {
            "Shut down by force after its time limit, and sealed."
        }
        Report::Sealed { .. } => "Shut down and sealed.",
        Report::Copied { .. } => "Copied and compared.",
        Report::Started {
            running: true,
            helpers_skipped: true,
            ..
        } => {
            "Started, but without the boot helpers of its config profile: the host has no initramfs for this kernel. Staff can add one."
        }
        Report::Started { running: true, .. } => "Started.",
        Report::Started { .. } => "Taken over; it stays off, as it was.",
        Report::StartFailedSealed { .. } => "It did not stay up.",
        Report::Console { .. } => "Read.",
        Report::Checked { .. } => "Asked.",
        Report::Tried { .. } => "Tried; the clone is gone.",
        Report::Proof { .. } => "Its disks are there, whole and readable.",
        Report::Stopped { forced: true, .. } => "Shut down by force after its time limit.",
        Report::Stopped { .. } => "Shut down.",
    }
}

/// What one side says of its disks under an epoch.
pub(in crate::app) struct Digests<'a> {
    pub side: Side,
    pub epoch: i64,
    pub of: &'a [DiskDigest],
}

pub(in crate::app) fn put_digests(
    conn: &mut Db,
    now: Time,
    row: &Migration,
    digests: &Digests<'_>,
) -> Result<()> {
    let disks = store::linode::disk::disks_of(conn, row.linode_id)?;
    for digest in digests.of {
        let well_formed =
            digest.root.len() == 64 && digest.root.bytes().all(|b| b.is_ascii_hexdigit());
        if !well_formed || !disks.iter().any(|disk| disk.id == digest.disk) {
            return Err(AppError::invalid(
                "digests",
                "not a disk of this Linode, or no digest",
            ));
        }
        store::migration::put_digest(
            conn,
            &Digest {
                migration_id: row.id,
                disk_id: digest.disk,
                side: digests.side,
                epoch: digests.epoch,
                size_bytes: i64::try_from(digest.size_bytes).unwrap_or(i64::MAX),
                root: digest.root.to_lowercase(),
                at: now,
            },
        )?;
    }
    Ok(())
}
