//! A job in an agent's hands: claimed under a lease, renewed, ended by the agent's word.

use super::fitting::fits;
use super::loss;
use super::order::{self, NoTask, NotDispatchable};
use super::outcome::{self, Digests, Ending, stale};
use super::progress::{self, Seen};
use crate::app::App;
use crate::app::context::{Agent, PORTAL, Tx, Who};
use crate::app::error::{AppError, Result};
use crate::app::linode::power;
use crate::app::migration::check;
use crate::app::migration::event_details::{EventDetails, Words};
use crate::app::migration::guard::UNASKED;
use crate::app::ownership::{guard, ledger};
use crate::app::secrets::{self, purpose};
use crate::app::trial;
use crate::domain::ids::{JobId, MigrationId};
use crate::domain::job::{JobKind, JobState};
use crate::domain::migration::{Event, Side, Step};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::wake_on_commit;
use crate::store::job::{Again, Claim, End, Job, Lease};
use crate::store::wake::Wake;
use crate::wire::{Finish, LEASE_S, Order, Outcome, Renew, Renewed, SealedDigests};

#[allow(
    clippy::large_enum_variant,
    reason = "made once a poll, and taken apart at once"
)]
enum Claimed {
    Nothing,
    /// Its order could not be made: it was put off.
    Broken,
    NotDispatchable(Job, NotDispatchable),
    Order(Order),
}

const TOO_SOON: &str = "Not stopped yet: its time has not come.";

/// Ends a job that is not given out after all, if it is still under the lease it was found unfit under.
fn drop_unfit(tx: &mut Tx<'_>, seen: &Job, unfit: &NotDispatchable) -> Result<()> {
    if let Some(of) = seen.migration_id {
        store::migration::locked(tx.conn, of)?;
    }
    let Some(job) = &store::job::locked(tx.conn, seen.id)?
        .filter(|job| job.state == JobState::Leased && job.attempt == seen.attempt)
    else {
        return Ok(());
    };
    if job.cancel_asked {
        return loss::end_stopped(tx, job, "it was not given out");
    }
    match unfit {
        NotDispatchable::Stale(why) => {
            end(tx, job, JobState::Cancelled, ("No longer needed.", why))?;
            check::lapsed(tx, job)?;
        }
        NotDispatchable::Unasked => {
            end(tx, job, JobState::Cancelled, (UNASKED, ""))?;
            power::not_done(tx, job, UNASKED)?;
        }
        NotDispatchable::TooSoon => {
            end(tx, job, JobState::Cancelled, (TOO_SOON, ""))?;
            if let Some((id, Step::StopSeal)) = outcome::step_of(tx.conn, job)? {
                let _applied = tx.apply(id, Event::Unstop, &EventDetails::saying(TOO_SOON))?;
            }
        }
        NotDispatchable::NotYet(why, after_s) => {
            let again = Again {
                run_after: tx.now.plus_s(*after_s),
                failures: job.failures,
                losses: job.losses,
                detail: why,
            };
            store::job::release(tx.conn, job, &again)?;
        }
        NotDispatchable::Impossible(why) if job.kind == JobKind::Trial => {
            end(tx, job, JobState::Cancelled, (why, why))?;
        }
        NotDispatchable::Impossible(why) => {
            end(tx, job, JobState::Failed, (why, why))?;
            if let Some((id, step)) = outcome::step_of(tx.conn, job)? {
                let given = EventDetails::failure(Words {
                    public: why,
                    detail: why,
                });
                let _applied = tx.apply(id, Event::Failed(step), &given)?;
            }
        }
    }
    Ok(())
}

fn end(tx: &mut Tx<'_>, job: &Job, state: JobState, (message, detail): (&str, &str)) -> Result<()> {
    let end = End {
        state,
        message,
        detail,
        now: tx.now,
    };
    store::job::end_unclaimed(tx.conn, job.id, &end)?;
    let why = Words {
        public: message,
        detail,
    };
    trial::not_tried(tx, job, why)
}

impl App {
    /// The next order for a host, if there is one. What it grants is marked as fetched before this returns.
    pub fn claim(&self, agent: &Agent) -> Result<Option<Order>> {
        // Bounded: each round ends one job that nobody needs any more.
        for _ in 0..100 {
            let now = self.now();
            let runnable = self.db.read(|conn| {
                // Asked anew each time: a poll may have waited since its credential was looked at.
                Ok::<_, AppError>(
                    store::host::takes_jobs(conn, agent.host, ledger::settled(now))?
                        && store::job::anything_for(conn, agent.host, now)?,
                )
            })?;
            if !runnable {
                return Ok(None);
            }
            match self.claim_one(agent, now)? {
                Claimed::Nothing => return Ok(None),
                Claimed::Order(order) => return Ok(Some(order)),
                Claimed::NotDispatchable(job, unfit) => {
                    self.transact_at(now, PORTAL, |tx| drop_unfit(tx, &job, &unfit))?;
                }
                Claimed::Broken => {}
            }
        }
        Ok(None)
    }

    fn claim_one(&self, agent: &Agent, now: Time) -> Result<Claimed> {
        let token = secrets::new_token()?;
        let mut taken = None;
        let claimed = self.db.write(|conn| {
            let claim = Claim {
                host: agent.host,
                now,
                until: now.plus_s(i64::from(LEASE_S)),
                lease_hash: secrets::hash(purpose::LEASE, &token),
            };
            let Some(job) = store::job::claim(conn, claim)? else {
                return Ok(Claimed::Nothing);
            };
            taken = Some((job.id, job.attempt));
            match order::task(self, conn, &job) {
                Ok(task) => Ok(Claimed::Order(Order {
                    job: job.id,
                    attempt: job.attempt,
                    lease_token: token.clone(),
                    linode: job.linode_id,
                    task,
                })),
                // In another transaction, which takes the migration before the job, as who cancels it does.
                Err(NoTask::Unfit(unfit)) => Ok(Claimed::NotDispatchable(job, unfit)),
                Err(NoTask::Fault(error)) => Err(error),
            }
        });
        match (claimed, taken) {
            // Its order cannot be made, and the claim was rolled back: it must not hold up the host's other jobs.
            (Err(error), Some((id, attempt))) => {
                tracing::error!(job = %id, %error, "its order could not be made");
                let seen = self
                    .db
                    .read(|conn| store::job::job(conn, id))?
                    .filter(|job| {
                        job.state == JobState::Pending && job.attempt.saturating_add(1) == attempt
                    });
                let detail = format!("its order could not be made: {error}");
                if let Some(seen) = seen {
                    self.transact_at(now, PORTAL, |tx| loss::lose(tx, &seen, &detail))?;
                }
                Ok(Claimed::Broken)
            }
            (claimed, _) => claimed,
        }
    }

    pub fn renew(&self, agent: &Agent, job: JobId, renew: &Renew) -> Result<Renewed> {
        let now = self.now();
        let hash = secrets::hash(purpose::LEASE, &renew.lease_token);
        let lease = Lease {
            job,
            host: agent.host,
            attempt: renew.attempt,
            hash: &hash,
        };
        let until = now.plus_s(i64::from(LEASE_S));
        let cancel = self.db.write(|conn| {
            let says = renew.progress.is_some() || renew.console.is_some();
            let before = if says {
                store::job::job(conn, job)?
            } else {
                None
            };
            let seen = renew.progress.map(|said| {
                let seen = Seen::after(before.as_ref().and_then(progress::seen), said);
                serde_json::to_string(&seen)
            });
            let seen = seen
                .transpose()
                .map_err(|error| AppError::Fault(error.to_string()))?;
            let told = seen.as_deref().map(|text| (text, now));
            let cancel = store::job::renew(conn, lease, until, told)?;
            if let Some(job) = before.filter(|_| cancel.is_some()) {
                if let Some(text) = renew.console.as_deref() {
                    store::trial::note_console(conn, job.id, &trial::kept(text))?;
                }
                if let Some(id) = job.migration_id {
                    wake_on_commit(conn, Wake::Migration(id))?;
                }
            }
            Ok::<_, AppError>(cancel)
        })?;
        let cancel = cancel.ok_or_else(stale)?;
        Ok(Renewed {
            cancel,
            cap_mb_s: self.cap_mb_s(agent)?,
        })
    }

    /// Ends a job under its lease and lets its migration go on.
    pub fn finish(&self, agent: &Agent, id: JobId, finish: &Finish) -> Result<()> {
        let hash = secrets::hash(purpose::LEASE, &finish.lease_token);
        let lease = Lease {
            job: id,
            host: agent.host,
            attempt: finish.attempt,
            hash: &hash,
        };
        let who = Who::named(&agent.name, "");
        self.transact(who, |tx| {
            let seen = store::job::under_lease(tx.conn, lease)?.ok_or_else(stale)?;
            if let Some(of) = seen.migration_id {
                // The migration before its jobs: who cancels it takes them so, too, and neither waits for the other.
                store::migration::locked(tx.conn, of)?;
            }
            let job = store::job::under_lease(tx.conn, lease)?.ok_or_else(stale)?;
            let owns = match &finish.outcome {
                Outcome::Failed { owns, .. } => *owns,
                Outcome::Succeeded { .. } | Outcome::Cancelled => None,
            };
            if owns.is_none() {
                // The agent keeps its word until it can be heard.
                guard::not_held(tx.conn, job.linode_id)?;
            }
            let ending = Ending {
                job: &job,
                lease,
                agent,
            };
            match &finish.outcome {
                Outcome::Succeeded { report } if fits(&job, report) => ending.succeeded(tx, report),
                Outcome::Succeeded { report } => {
                    let public = "The host answered something else than it was asked.";
                    let detail = format!("to {} under epoch {}: {report:?}", job.kind, job.epoch);
                    ending.failed(
                        tx,
                        true,
                        Words {
                            public,
                            detail: &detail,
                        },
                    )
                }
                Outcome::Cancelled => ending.cancelled(tx),
                Outcome::Failed {
                    retry,
                    public,
                    detail,
                    console,
                    owns,
                } => {
                    // A clone's console is not the Linode's.
                    if let Some(console) = console.as_ref().filter(|_| job.kind != JobKind::Trial) {
                        ending.note_console(tx, console)?;
                    }
                    match owns {
                        Some(marks) => ending.contradicted(tx, marks, detail),
                        None => ending.failed(tx, *retry, Words { public, detail }),
                    }
                }
            }
        })
    }

    /// The source's own account of its sealed disks.
    pub fn note_digests(
        &self,
        agent: &Agent,
        id: MigrationId,
        sealed: &SealedDigests,
    ) -> Result<()> {
        let now = self.now();
        self.db.write(|conn| {
            let row = store::migration::migration(conn, id)?
                .filter(|row| row.source_host_id == agent.host)
                .ok_or(AppError::NotFound)?;
            if row.step != Some(Step::FinalCopy) || sealed.epoch != row.epoch {
                return Err(AppError::conflict(
                    "stale: the migration is not at its final copy under this epoch",
                ));
            }
            let digests = Digests {
                side: Side::Source,
                epoch: sealed.epoch,
                of: &sealed.digests,
            };
            outcome::put_digests(conn, now, &row, &digests)
        })
    }
}
