//! What agents ask: to enrol, for work, to renew a lease, to say how a job went.

use crate::app::job::loss;
use crate::app::job::order::{self, Unfit};
use crate::app::job::outcome::{self, Ending, stale};
use crate::app::migration::engine::{self, Given};
use crate::app::ownership::{hold, ledger};
use crate::app::secrets::{self, purpose};
use crate::app::{App, AppError, Who, audit};
use crate::domain::ids::{HostId, JobId, MigrationId};
use crate::domain::migration::{Event, Step};
use crate::domain::time::Time;
use crate::domain::words::{HostState, JobKind, JobState, LinodeStatus};
use crate::store;
use crate::store::db::Db;
use crate::store::host::Host;
use crate::store::host::credential::Enrolment;
use crate::store::job::{Again, Claim, End, Job, Lease, NewJob};
use crate::wire::{
    Enrol, Enrolled, Finish, LEASE_S, Order, Outcome, Progress, Renew, Renewed, Rotated,
    SealedDigests,
};

/// An agent that has proved which host it speaks for.
#[derive(Clone)]
pub struct Agent {
    pub host: HostId,
    pub name: String,
    pub state: HostState,
    pub cap_mb_s: Option<u32>,
}

fn agent_of(host: Host) -> Agent {
    Agent {
        host: host.id,
        state: host.state,
        cap_mb_s: host.cap_mb_s.and_then(|cap| u32::try_from(cap).ok()),
        name: host.name,
    }
}

impl App {
    /// Gives a host's agent its credential for a one-use token.
    pub fn enrol(&self, ask: &Enrol, address: &str) -> Result<Enrolled, AppError> {
        let bad = |field: &'static str, message: &str| AppError::Invalid {
            field,
            message: message.to_owned(),
        };
        if ask.fingerprint.len() != 64
            || !ask
                .fingerprint
                .bytes()
                .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
        {
            return Err(bad("fingerprint", "64 lower-case hex digits are wanted"));
        }
        if ask
            .transfer_address
            .parse::<std::net::SocketAddr>()
            .is_err()
        {
            return Err(bad(
                "transfer_address",
                "an address with a port is wanted, like 192.0.2.1:7443",
            ));
        }
        let now = self.now();
        let credential = secrets::new_token()?;
        self.db.write(|conn| {
            let host = store::host::credential::use_enrolment_token(
                conn,
                &secrets::hash(purpose::ENROLMENT, &ask.token),
                now,
            )?
            .ok_or(AppError::Forbidden)?;
            let host = store::host::host(conn, host)?.ok_or(AppError::NotFound)?;
            if host.platform != ask.platform {
                let message = format!(
                    "this host is entered as {}, and the agent's driver is {}",
                    host.platform, ask.platform
                );
                return Err(AppError::Invalid {
                    field: "platform",
                    message,
                });
            }
            ledger::may_enrol(conn, &host, (ask.ledger.as_ref(), &ask.fingerprint))?;
            store::host::credential::set_enrolled(
                conn,
                host.id,
                &Enrolment {
                    credential_hash: &secrets::hash(purpose::AGENT, &credential),
                    fingerprint: &ask.fingerprint,
                    transfer_address: &ask.transfer_address,
                    agent_version: &crate::app::account::sign_in::clip(&ask.agent_version, 100),
                    now,
                },
            )?;
            // Whatever was wrong with the ledger of before: this one it is from now on.
            store::host::unpin_ledger(conn, host.id)?;
            if let Some(ledger) = &ask.ledger {
                store::host::pin_ledger(conn, host.id, ledger, None)?;
            }
            adopt_all(conn, now, host.id)?;
            let who = Who {
                name: &host.name,
                address,
                user: None,
            };
            audit(
                conn,
                now,
                who,
                "agent.enrol",
                &format!("host {}", host.id),
                ("", &ask.fingerprint),
            )?;
            Ok(Enrolled {
                host: host.id,
                name: host.name,
                credential: credential.clone(),
            })
        })
    }

    /// The agent behind a credential; `None` if it was revoked or never given, or the host is quarantined.
    pub fn agent(&self, credential: &str) -> Result<Option<Agent>, AppError> {
        let hash = secrets::hash(purpose::AGENT, credential);
        let Some((host, is_next)) = self
            .db
            .read(|conn| store::host::credential::by_credential(conn, &hash))?
        else {
            return Ok(None);
        };
        if host.state == HostState::Quarantined {
            return Ok(None);
        }
        if is_next {
            self.db
                .write(|conn| store::host::credential::promote_credential(conn, host.id))?;
        }
        Ok(Some(agent_of(host)))
    }

    /// A new credential; the old one works until the new one is first used.
    pub fn rotate_credential(&self, agent: &Agent) -> Result<Rotated, AppError> {
        let now = self.now();
        let credential = secrets::new_token()?;
        self.db.write(|conn| {
            store::host::credential::set_next_credential(
                conn,
                agent.host,
                &secrets::hash(purpose::AGENT, &credential),
            )?;
            let who = Who {
                name: &agent.name,
                address: "",
                user: None,
            };
            audit(
                conn,
                now,
                who,
                "agent.rotate",
                &format!("host {}", agent.host),
                ("", ""),
            )?;
            Ok(Rotated {
                credential: credential.clone(),
            })
        })
    }

    /// The next order for a host, if there is one. What it grants is marked as fetched before this returns.
    pub fn claim(&self, agent: &Agent) -> Result<Option<Order>, AppError> {
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
                Claimed::Unfit(job, unfit) => {
                    self.db
                        .write(|conn| drop_unfit(self, conn, now, &job, &unfit))?;
                }
                Claimed::Broken => {}
            }
        }
        Ok(None)
    }

    fn claim_one(&self, agent: &Agent, now: Time) -> Result<Claimed, AppError> {
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
            Ok::<_, AppError>(match order::task(self, conn, &job)? {
                Ok(task) => Claimed::Order(Order {
                    job: job.id,
                    attempt: job.attempt,
                    lease_token: token.clone(),
                    linode: job.linode_id,
                    task,
                }),
                // In another transaction, which takes the migration before the job, as who cancels it does.
                Err(unfit) => Claimed::Unfit(job, unfit),
            })
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
                    self.db
                        .write(|conn| loss::lose(self, conn, &seen, now, &detail))?;
                }
                Ok(Claimed::Broken)
            }
            (claimed, _) => claimed,
        }
    }

    pub fn renew(&self, agent: &Agent, job: JobId, renew: &Renew) -> Result<Renewed, AppError> {
        let now = self.now();
        let hash = secrets::hash(purpose::LEASE, &renew.lease_token);
        let lease = Lease {
            job,
            host: agent.host,
            attempt: renew.attempt,
            hash: &hash,
        };
        let progress = renew
            .progress
            .map(|progress| serde_json::to_string(&progress))
            .transpose()
            .map_err(|error| AppError::Fault(error.to_string()))?;
        let until = now.plus_s(i64::from(LEASE_S));
        let cancel = self.db.write(|conn| {
            let cancel = store::job::renew(
                conn,
                lease,
                until,
                progress.as_deref().map(|text| (text, now)),
            )?;
            if progress.is_some()
                && let Some(id) = store::job::job(conn, job)?.and_then(|job| job.migration_id)
            {
                crate::store::db::wake_on_commit(conn, crate::store::wake::Wake::Migration(id))?;
            }
            Ok::<_, AppError>(cancel)
        })?;
        let cancel = cancel.ok_or_else(stale)?;
        Ok(Renewed {
            cancel,
            cap_mb_s: agent.cap_mb_s,
        })
    }

    /// Ends a job under its lease and lets its migration go on.
    pub fn finish(&self, agent: &Agent, id: JobId, finish: &Finish) -> Result<(), AppError> {
        let now = self.now();
        let hash = secrets::hash(purpose::LEASE, &finish.lease_token);
        let lease = Lease {
            job: id,
            host: agent.host,
            attempt: finish.attempt,
            hash: &hash,
        };
        let who = Who {
            name: &agent.name,
            address: "",
            user: None,
        };
        self.db.write(|conn| {
            let seen = store::job::under_lease(conn, lease)?.ok_or_else(stale)?;
            if let Some(of) = seen.migration_id {
                // The migration before its jobs: who cancels it takes them so, too, and neither waits for the other.
                store::migration::locked(conn, of)?;
            }
            let job = store::job::under_lease(conn, lease)?.ok_or_else(stale)?;
            let owns = match &finish.outcome {
                Outcome::Failed { owns, .. } => *owns,
                Outcome::Succeeded { .. } | Outcome::Cancelled => None,
            };
            if owns.is_none() {
                // The agent keeps its word until it can be heard.
                hold::guard(conn, job.linode_id)?;
            }
            let ending = Ending {
                app: self,
                now,
                who,
                job: &job,
                lease,
            };
            match &finish.outcome {
                Outcome::Succeeded { report } => ending.succeeded(conn, report),
                Outcome::Cancelled => ending.cancelled(conn),
                Outcome::Failed {
                    retry,
                    public,
                    detail,
                    console,
                    owns,
                } => {
                    if let Some(console) = console {
                        store::linode::set_console(
                            conn,
                            job.linode_id,
                            &outcome::console_text(console),
                            now,
                        )?;
                    }
                    match owns {
                        Some(marks) => ending.contradicted(conn, agent, marks, detail),
                        None => ending.failed(conn, *retry, public, detail),
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
    ) -> Result<(), AppError> {
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
            outcome::put_digests(conn, now, &row, "source", sealed.epoch, &sealed.digests)
        })
    }
}

#[allow(
    clippy::large_enum_variant,
    reason = "made once a poll, and taken apart at once"
)]
enum Claimed {
    Nothing,
    /// Its order could not be made: it was put off.
    Broken,
    Unfit(Job, Unfit),
    Order(Order),
}

/// Every Linode that an import put on this host is made known to its agent.
pub fn adopt_all(conn: &mut Db, now: Time, host: HostId) -> Result<(), AppError> {
    for linode in store::linode::linodes_on(conn, host)? {
        if linode.status == LinodeStatus::Provisioning
            && store::job::open_of_linode(conn, linode.id, &[JobKind::Adopt])?.is_none()
        {
            store::job::enqueue(conn, &NewJob::own(&linode, JobKind::Adopt, now, None))?;
        }
    }
    Ok(())
}

/// Ends a job that is not given out after all, if it is still under the lease it was found unfit under.
fn drop_unfit(
    app: &App,
    conn: &mut Db,
    now: Time,
    seen: &Job,
    unfit: &Unfit,
) -> Result<(), AppError> {
    if let Some(of) = seen.migration_id {
        store::migration::locked(conn, of)?;
    }
    let Some(job) = &store::job::locked(conn, seen.id)?
        .filter(|job| job.state == JobState::Leased && job.attempt == seen.attempt)
    else {
        return Ok(());
    };
    if job.cancel_asked {
        return loss::end_stopped(app, conn, job, now, "it was not given out");
    }
    match unfit {
        Unfit::Stale(why) => {
            let end = End {
                state: JobState::Cancelled,
                message: "No longer needed.",
                detail: why,
                now,
            };
            store::job::end_unclaimed(conn, job.id, &end)?;
        }
        Unfit::NotYet(why, after_s) => {
            let again = Again {
                run_after: now.plus_s(*after_s),
                failures: job.failures,
                losses: job.losses,
                detail: why,
            };
            store::job::release(conn, job, &again)?;
        }
        Unfit::Impossible(why) => {
            let end = End {
                state: JobState::Failed,
                message: why,
                detail: why,
                now,
            };
            store::job::end_unclaimed(conn, job.id, &end)?;
            if let Some((id, step)) = outcome::step_of(conn, job)? {
                let given = Given::failure(why, why);
                let _decided = engine::apply(
                    app,
                    conn,
                    now,
                    crate::app::PORTAL,
                    id,
                    Event::Failed(step),
                    &given,
                )?;
            }
        }
    }
    Ok(())
}

/// The last progress a job reported, for pages.
#[must_use]
pub fn progress(job: &Job) -> Option<Progress> {
    job.progress
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
}

/// Silence after which a host counts as silent on staff pages, in seconds: two polls and a half.
pub const SILENT_S: i64 = 75;

/// Should it speak (it takes part), and does it not? `silence` asks the database the same.
#[must_use]
pub fn is_silent(host: &store::host::Host, now: Time) -> bool {
    let since = now.plus_s(-SILENT_S);
    HostState::TAKING_PART.contains(&host.state) && host.last_seen_at.is_some_and(|at| at < since)
}
