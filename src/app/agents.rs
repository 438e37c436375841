//! What agents ask: to enrol, for work, to renew a lease, to say how a job went.

use super::engine::{self, Given};
use super::orders::{self, Unfit};
use super::secrets::{self, purpose};
use super::{App, AppError, Who, audit};
use crate::domain::ids::{HostId, JobId, MigrationId};
use crate::domain::migration::{Event, Step};
use crate::domain::time::Time;
use crate::domain::words::{HostState, JobKind, JobState, LinodeStatus};
use crate::store::db::Db;
use crate::store::fleet;
use crate::store::hosts::{self, Enrolment, Host, Seen};
use crate::store::jobs::{self, Claim, End, Job, Lease, NewJob};
use crate::store::migrations::{self as rows, Change, Digest, Migration};
use crate::wire::{
    DiskDigest, Enrol, Enrolled, Finish, Inventory, LEASE_S, Order, Outcome, Poll, Progress, Renew,
    Renewed, Report, Rotated, SealedDigests,
};

/// An agent that has proved which host it speaks for.
#[derive(Clone)]
pub struct Agent {
    pub host: HostId,
    pub name: String,
    pub state: HostState,
    pub cap_mb_s: Option<u32>,
}

/// Stale: the lease is not this agent's any more. It drops the job (409).
fn stale() -> AppError {
    AppError::conflict("stale: the lease of this job has ended")
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
            let host = hosts::use_enrolment_token(
                conn,
                &secrets::hash(purpose::ENROLMENT, &ask.token),
                now,
            )?
            .ok_or(AppError::Forbidden)?;
            let host = hosts::host(conn, host)?.ok_or(AppError::NotFound)?;
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
            hosts::set_enrolled(
                conn,
                host.id,
                &Enrolment {
                    credential_hash: &secrets::hash(purpose::AGENT, &credential),
                    fingerprint: &ask.fingerprint,
                    transfer_address: &ask.transfer_address,
                    agent_version: &super::sign_in::clip(&ask.agent_version, 100),
                    now,
                },
            )?;
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
        let Some((host, is_next)) = self.db.read(|conn| hosts::by_credential(conn, &hash))? else {
            return Ok(None);
        };
        if host.state == HostState::Quarantined {
            return Ok(None);
        }
        if is_next {
            self.db
                .write(|conn| hosts::promote_credential(conn, host.id))?;
        }
        Ok(Some(agent_of(host)))
    }

    /// A new credential; the old one works until the new one is first used.
    pub fn rotate_credential(&self, agent: &Agent) -> Result<Rotated, AppError> {
        let now = self.now();
        let credential = secrets::new_token()?;
        self.db.write(|conn| {
            hosts::set_next_credential(
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

    /// Takes in what a poll reports: what the host has, and which jobs its agent holds. One transaction, and none at all
    /// if nothing is new.
    pub fn note_poll(&self, agent: &Agent, poll: &Poll) -> Result<(), AppError> {
        let now = self.now();
        let (lost, host, statuses) = self.db.read(|conn| {
            let lost = jobs::lost(conn, agent.host, &poll.held)?;
            let host = hosts::host(conn, agent.host)?.ok_or(AppError::NotFound)?;
            Ok::<_, AppError>((
                lost,
                host,
                changed_statuses(conn, agent.host, &poll.inventory)?,
            ))
        })?;
        let seen_is_old = host
            .last_seen_at
            .is_none_or(|seen| now.seconds_since(seen) >= 5);
        if lost.is_empty() && statuses.is_empty() && !seen_is_old {
            return Ok(());
        }
        self.db.write(|conn| {
            for job in &lost {
                jobs::release(conn, job, now, "The agent did not get it, or lost it.")?;
            }
            for (linode, status) in &statuses {
                fleet::set_status(conn, *linode, *status, now)?;
            }
            let inventory = &poll.inventory;
            let unknown: Vec<String> = inventory
                .unknown
                .iter()
                .take(100)
                .map(|name| super::sign_in::clip(name, 200))
                .collect();
            let unknown_disks = serde_json::to_string(&unknown).unwrap_or_else(|_| "[]".to_owned());
            hosts::set_seen(
                conn,
                agent.host,
                &Seen {
                    agent_version: &super::sign_in::clip(&inventory.agent_version, 100),
                    disk_free_mb: inventory.disk_free_mb,
                    tells_changes: inventory.tells_changes,
                    unknown_disks: &unknown_disks,
                    now,
                },
            )?;
            Ok(())
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
                    hosts::takes_jobs(conn, agent.host)?
                        && jobs::anything_for(conn, agent.host, now)?,
                )
            })?;
            if !runnable {
                return Ok(None);
            }
            let token = secrets::new_token()?;
            let claimed = self.db.write(|conn| {
                let claim = Claim {
                    host: agent.host,
                    now,
                    until: now.plus_s(i64::from(LEASE_S)),
                    lease_hash: secrets::hash(purpose::LEASE, &token),
                };
                let Some(job) = jobs::claim(conn, claim)? else {
                    return Ok(Claimed::Nothing);
                };
                match orders::task(self, conn, &job)? {
                    Ok(task) => Ok(Claimed::Order(Order {
                        job: job.id,
                        attempt: job.attempt,
                        lease_token: token.clone(),
                        linode: job.linode_id,
                        task,
                    })),
                    Err(unfit) => {
                        drop_unfit(self, conn, now, &job, &unfit)?;
                        Ok::<_, AppError>(Claimed::Dropped)
                    }
                }
            })?;
            match claimed {
                Claimed::Nothing => return Ok(None),
                Claimed::Order(order) => return Ok(Some(order)),
                Claimed::Dropped => {}
            }
        }
        Ok(None)
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
            let cancel = jobs::renew(
                conn,
                lease,
                until,
                progress.as_deref().map(|text| (text, now)),
            )?;
            if progress.is_some()
                && let Some(id) = jobs::job(conn, job)?.and_then(|job| job.migration_id)
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
            let job = jobs::under_lease(conn, lease)?.ok_or_else(stale)?;
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
                } => {
                    if let Some(console) = console {
                        fleet::set_console(conn, job.linode_id, &console_text(console))?;
                    }
                    ending.failed(conn, *retry, public, detail)
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
            let row = rows::migration(conn, id)?
                .filter(|row| row.source_host_id == agent.host)
                .ok_or(AppError::NotFound)?;
            if row.step != Some(Step::FinalCopy) || sealed.epoch != row.epoch {
                return Err(AppError::conflict(
                    "stale: the migration is not at its final copy under this epoch",
                ));
            }
            put_digests(conn, now, &row, "source", sealed.epoch, &sealed.digests)
        })
    }
}

#[allow(
    clippy::large_enum_variant,
    reason = "made once a poll, and taken apart at once"
)]
enum Claimed {
    Nothing,
    Dropped,
    Order(Order),
}

/// Every Linode that an import put on this host is made known to its agent.
pub fn adopt_all(conn: &mut Db, now: Time, host: HostId) -> Result<(), AppError> {
    for linode in fleet::linodes_on(conn, host)? {
        if linode.status == LinodeStatus::Provisioning
            && jobs::open_of_linode(conn, linode.id, &[JobKind::Adopt])?.is_none()
        {
            jobs::enqueue(
                conn,
                &NewJob {
                    host_id: host,
                    linode_id: linode.id,
                    migration_id: None,
                    kind: JobKind::Adopt,
                    state: JobState::Pending,
                    epoch: linode.epoch,
                    run_after: now,
                    requested_by: None,
                    entered_at: now,
                },
            )?;
        }
    }
    Ok(())
}

/// Linodes of the host whose status the report contradicts. Only the owner's word under the present epoch counts, and
/// not while something is being done to the Linode.
fn changed_statuses(
    conn: &mut Db,
    host: HostId,
    inventory: &Inventory,
) -> Result<Vec<(crate::domain::ids::LinodeId, LinodeStatus)>, AppError> {
    if inventory.linodes.is_empty() {
        return Ok(Vec::new());
    }
    let mut changed = Vec::new();
    for linode in fleet::linodes_on(conn, host)? {
        let Some(report) = inventory
            .linodes
            .iter()
            .find(|report| report.linode == linode.id)
        else {
            continue;
        };
        let settled = matches!(linode.status, LinodeStatus::Running | LinodeStatus::Offline);
        if !settled || report.granted != linode.epoch || report.granted <= report.sealed {
            continue;
        }
        let status = if report.running {
            LinodeStatus::Running
        } else {
            LinodeStatus::Offline
        };
        if status != linode.status {
            changed.push((linode.id, status));
        }
    }
    Ok(changed)
}

fn drop_unfit(
    app: &App,
    conn: &mut Db,
    now: Time,
    job: &Job,
    unfit: &Unfit,
) -> Result<(), AppError> {
    match unfit {
        Unfit::Stale(why) => {
            let end = End {
                state: JobState::Cancelled,
                message: "No longer needed.",
                detail: why,
                now,
            };
            jobs::end_unclaimed(conn, job.id, &end)?;
        }
        Unfit::Impossible(why) => {
            let end = End {
                state: JobState::Failed,
                message: why,
                detail: why,
                now,
            };
            jobs::end_unclaimed(conn, job.id, &end)?;
            if let Some((id, step)) = step_of(conn, job)? {
                let given = Given::failure(why, why);
                let _decided = engine::apply(
                    app,
                    conn,
                    now,
                    super::PORTAL,
                    id,
                    Event::Failed(step),
                    &given,
                )?;
            }
        }
    }
    Ok(())
}

/// The migration whose present step this job is.
fn step_of(conn: &mut Db, job: &Job) -> Result<Option<(MigrationId, Step)>, AppError> {
    let Some(id) = job.migration_id else {
        return Ok(None);
    };
    let Some(row) = rows::locked(conn, id)? else {
        return Ok(None);
    };
    let Some(step) = row.step else {
        return Ok(None);
    };
    let (kind, side) = step.job();
    let host = match side {
        crate::domain::migration::Side::Source => row.source_host_id,
        crate::domain::migration::Side::Destination => row.destination_host_id,
    };
    Ok((kind == job.kind && host == job.host_id).then_some((id, step)))
}

/// Everything the end of one job needs.
struct Ending<'a> {
    app: &'a App,
    now: Time,
    who: Who<'a>,
    job: &'a Job,
    lease: Lease<'a>,
}

impl Ending<'_> {
    fn end(
        &self,
        conn: &mut Db,
        state: JobState,
        message: &str,
        detail: &str,
    ) -> Result<(), AppError> {
        let message = super::sign_in::clip(message, 500);
        let detail: String = detail.chars().take(4000).collect();
        let end = End {
            state,
            message: &message,
            detail: &detail,
            now: self.now,
        };
        if jobs::finish(conn, self.lease, &end)? {
            Ok(())
        } else {
            Err(stale())
        }
    }

    fn tell(
        &self,
        conn: &mut Db,
        id: MigrationId,
        event: Event,
        given: &Given,
    ) -> Result<(), AppError> {
        // A late event changes nothing; `apply` has logged it.
        let _decided = engine::apply(self.app, conn, self.now, self.who, id, event, given)?;
        Ok(())
    }

    fn cancelled(&self, conn: &mut Db) -> Result<(), AppError> {
        self.end(conn, JobState::Cancelled, "Stopped as asked.", "")?;
        self.settle_power(conn)?;
        match step_of(conn, self.job)? {
            Some((id, step)) => self.tell(conn, id, Event::Stopped(step), &Given::default()),
            None => Ok(()),
        }
    }

    fn failed(
        &self,
        conn: &mut Db,
        retry: bool,
        public: &str,
        detail: &str,
    ) -> Result<(), AppError> {
        if self.job.cancel_asked {
            // It was to stop, and it has.
            return self.cancelled(conn);
        }
        if retry && self.job.attempt < jobs::MAX_ATTEMPTS {
            // 1, 2, 4, 8 seconds.
            let delay = 1_i64 << self.job.attempt.clamp(1, 10).saturating_sub(1);
            let detail: String = detail.chars().take(4000).collect();
            return if jobs::release(conn, self.job, self.now.plus_s(delay), &detail)? {
                Ok(())
            } else {
                Err(stale())
            };
        }
        self.end(conn, JobState::Failed, public, detail)?;
        self.settle_power(conn)?;
        match step_of(conn, self.job)? {
            Some((id, step)) => self.tell(
                conn,
                id,
                Event::Failed(step),
                &Given::failure(public, detail),
            ),
            None => Ok(()),
        }
    }

    /// After a power job or an adoption that did not work, the next poll's inventory says what is true.
    fn settle_power(&self, conn: &mut Db) -> Result<(), AppError> {
        let power = matches!(
            self.job.kind,
            JobKind::Boot | JobKind::Reboot | JobKind::Shutdown
        );
        if power && orders::is_current(conn, self.job.linode_id, self.job)? {
            fleet::set_status(conn, self.job.linode_id, LinodeStatus::Offline, self.now)?;
        }
        Ok(())
    }

    fn succeeded(&self, conn: &mut Db, report: &Report) -> Result<(), AppError> {
        if let Report::StartFailedSealed {
            epoch,
            public,
            console,
        } = report
        {
            return self.start_failed(conn, *epoch, public, console);
        }
        self.end(conn, JobState::Succeeded, summary(report), "")?;
        if let Some(running) = runs_after(self.job.kind, report)
            && orders::is_current(conn, self.job.linode_id, self.job)?
        {
            let status = if running {
                LinodeStatus::Running
            } else {
                LinodeStatus::Offline
            };
            fleet::set_status(conn, self.job.linode_id, status, self.now)?;
        }
        let Some((id, step)) = step_of(conn, self.job)? else {
            return Ok(());
        };
        let row = rows::migration(conn, id)?.ok_or(AppError::NotFound)?;
        if row.cancel_asked && crate::domain::migration::can_cancel(row.state) {
            return self.tell(conn, id, Event::Stopped(step), &Given::default());
        }
        let mut given = Given {
            change: facts(&row, report),
            message: String::new(),
        };
        if let Report::Copied { epoch, digests, .. } = report {
            put_digests(conn, self.now, &row, "destination", *epoch, digests)?;
            if !engine::digests_agree(conn, &row)? {
                let public =
                    "The copy on the new host is not equal to the original. It was not used.";
                return self.tell(
                    conn,
                    id,
                    Event::Failed(step),
                    &Given::failure(public, "digests differ"),
                );
            }
            "Every piece was read back and compared: the copy is equal."
                .clone_into(&mut given.message);
        }
        self.tell(conn, id, Event::Succeeded(step), &given)
    }

    fn start_failed(
        &self,
        conn: &mut Db,
        epoch: i64,
        public: &str,
        console: &str,
    ) -> Result<(), AppError> {
        fleet::set_console(conn, self.job.linode_id, &console_text(console))?;
        let current =
            orders::is_current(conn, self.job.linode_id, self.job)? && epoch == self.job.epoch;
        self.end(
            conn,
            JobState::Failed,
            public,
            "sealed after a failed start",
        )?;
        if !current {
            return Ok(());
        }
        match step_of(conn, self.job)? {
            Some((id, Step::Start)) => self.tell(
                conn,
                id,
                Event::StartFailedSealed,
                &Given::failure(public, "the guest did not stay up"),
            ),
            // It does not come up at its old host either: owned there again, off, for its member to look at.
            Some((id, Step::Restore)) => {
                self.own_again(conn, epoch)?;
                self.tell(conn, id, Event::Succeeded(Step::Restore), &Given::default())
            }
            _ => self.own_again(conn, epoch),
        }
    }

    /// A new epoch for the same host, without a boot.
    fn own_again(&self, conn: &mut Db, epoch: i64) -> Result<(), AppError> {
        let here = self.job.host_id;
        let handover = fleet::Handover {
            from: (here, epoch),
            to: (here, epoch + 1),
            only_unfetched: false,
        };
        if !fleet::hand_over(conn, self.job.linode_id, handover)? {
            return Ok(());
        }
        fleet::set_status(conn, self.job.linode_id, LinodeStatus::Offline, self.now)?;
        jobs::enqueue(
            conn,
            &NewJob {
                host_id: here,
                linode_id: self.job.linode_id,
                migration_id: None,
                kind: JobKind::Start,
                state: JobState::Pending,
                epoch: epoch + 1,
                run_after: self.now,
                requested_by: None,
                entered_at: self.now,
            },
        )?;
        Ok(())
    }
}

/// What a report adds to the migration's row.
fn facts(row: &Migration, report: &Report) -> Change {
    let more = |sent: u64| {
        Some(
            row.sent_bytes
                .saturating_add(i64::try_from(sent).unwrap_or(i64::MAX)),
        )
    };
    let mut change = Change::default();
    match report {
        Report::Source {
            running,
            total_bytes,
            ..
        } => {
            change.was_running = Some(*running);
            change.total_bytes = i64::try_from(*total_bytes).ok();
        }
        Report::Warm {
            passes, sent_bytes, ..
        } => {
            change.warm_passes = i32::try_from(*passes).ok();
            change.sent_bytes = more(*sent_bytes);
        }
        // The agent keeps across its own crashes what it found at the first try.
        Report::Sealed { was_running, .. } if row.step == Some(Step::StopSeal) => {
            change.was_running = Some(*was_running);
        }
        Report::Copied { sent_bytes, .. } => change.sent_bytes = more(*sent_bytes),
        Report::Done
        | Report::Adopted { .. }
        | Report::Sealed { .. }
        | Report::Started { .. }
        | Report::StartFailedSealed { .. }
        | Report::Stopped { .. } => {}
    }
    change
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
        | Report::StartFailedSealed { .. } => None,
    }
}

fn summary(report: &Report) -> &'static str {
    match report {
        Report::Done => "Done.",
        Report::Adopted { .. } => "Found with all its disks.",
        Report::Source { .. } => "All disks are whole.",
        Report::Warm { .. } => "Copied while it ran.",
        Report::Sealed { forced: true, .. } => {
            "Shut down by force after its time limit, and sealed."
        }
        Report::Sealed { .. } => "Shut down and sealed.",
        Report::Copied { .. } => "Copied and compared.",
        Report::Started { running: true, .. } => "Started.",
        Report::Started { .. } => "Taken over; it stays off, as it was.",
        Report::StartFailedSealed { .. } => "It did not stay up.",
        Report::Stopped { forced: true } => "Shut down by force after its time limit.",
        Report::Stopped { .. } => "Shut down.",
    }
}

fn put_digests(
    conn: &mut Db,
    now: Time,
    row: &Migration,
    side: &str,
    epoch: i64,
    digests: &[DiskDigest],
) -> Result<(), AppError> {
    let disks = fleet::disks_of(conn, row.linode_id)?;
    for digest in digests {
        let well_formed =
            digest.root.len() == 64 && digest.root.bytes().all(|b| b.is_ascii_hexdigit());
        if !well_formed || !disks.iter().any(|disk| disk.id == digest.disk) {
            return Err(AppError::Invalid {
                field: "digests",
                message: "not a disk of this Linode, or no digest".to_owned(),
            });
        }
        rows::put_digest(
            conn,
            &Digest {
                migration_id: row.id,
                disk_id: digest.disk,
                side: side.to_owned(),
                epoch,
                size_bytes: i64::try_from(digest.size_bytes).unwrap_or(i64::MAX),
                root: digest.root.to_lowercase(),
                at: now,
            },
        )?;
    }
    Ok(())
}

/// At most the last 16 KiB or so of a console, printable.
fn console_text(text: &str) -> String {
    let all: Vec<char> = text
        .chars()
        .filter(|c| *c == '\n' || *c == '\t' || !c.is_control())
        .collect();
    all.iter().skip(all.len().saturating_sub(16_384)).collect()
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
