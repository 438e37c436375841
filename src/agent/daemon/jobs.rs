//! A job in hand: a worker that carries the step out and answers for it, a keeper that renews the lease meanwhile.
//! In the ledger first, and there until the portal has answered the answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{Daemon, Pause};
use crate::agent::client::ClientError;
use crate::agent::control::JobControl;
use crate::agent::ledger::HeldJob;
use crate::agent::steps;
use crate::wire::{Finish, LEASE_S, Order, Outcome, Renew};

/// A lease is renewed this often without news, and not more often with it.
const RENEW: Duration = Duration::from_secs(LEASE_S as u64 / 3);
const NEWS: Duration = Duration::from_secs(1);
/// How long an answer that the portal refuses to hear of (401) waits before it is offered again.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

impl Daemon {
    /// Takes a new order: written down, then worked on. The same attempt again changes nothing; a newer attempt ends the
    /// older one, which then stops by itself before the newer gets the Linode's lock.
    pub(super) fn take(self: &Arc<Self>, order: Order) {
        let known = self.host.ledger.job(order.job).ok().flatten();
        let same = known.is_some_and(|held| {
            held.order.attempt == order.attempt && held.order.lease_token == order.lease_token
        });
        if same && self.lock_jobs().contains_key(&order.job) {
            return;
        }
        let held = HeldJob {
            order,
            outcome: None,
        };
        if let Err(error) = self.host.ledger.hold_job(&held) {
            // Not held: the portal gives it again when the lease is over.
            tracing::error!(%error, "an order cannot be written down and is not taken");
            return;
        }
        self.begin(held);
    }

    /// Jobs of an earlier run of the agent, with the same attempt and lease.
    pub(super) fn take_up(self: &Arc<Self>) {
        for held in self.host.ledger.jobs() {
            tracing::info!(job = %held.order.job, "a job of an earlier run is taken up again");
            self.begin(held);
        }
    }

    fn begin(self: &Arc<Self>, held: HeldJob) {
        let control = Arc::new(JobControl::default());
        let job = held.order.job;
        if let Some(older) = self.lock_jobs().insert(job, Arc::clone(&control)) {
            older.lose();
        }
        let daemon = Arc::clone(self);
        let worker = thread::Builder::new().name(format!("job-{job}"));
        let spawned = worker.spawn(move || {
            let order = held.order.clone();
            // A bug in one step must not cost the host a slot, nor keep its lease alive: it is given again.
            if catch_unwind(AssertUnwindSafe(|| daemon.work(held, &control))).is_err() {
                tracing::error!(job = %order.job, "a step panicked; the job is dropped");
                daemon.forget(&order);
            }
            control.done();
            let mut jobs = daemon.lock_jobs();
            if jobs
                .get(&job)
                .is_some_and(|current| Arc::ptr_eq(current, &control))
            {
                jobs.remove(&job);
            }
            daemon.freed.notify_all();
        });
        if let Err(error) = spawned {
            tracing::error!(%error, %job, "no thread for a job; it is given again later");
            self.lock_jobs().remove(&job);
        }
    }

    fn work(self: &Arc<Self>, held: HeldJob, control: &Arc<JobControl>) {
        let order = held.order;
        let outcome = match held.outcome {
            Some(outcome) => Some(outcome),
            None => self.carry_out(&order, control),
        };
        let Some(outcome) = outcome.filter(|_| !control.lost()) else {
            tracing::warn!(job = %order.job, attempt = order.attempt, "the lease was lost; the job is dropped");
            return self.forget(&order);
        };
        self.deliver(&order, outcome, control);
    }

    fn carry_out(self: &Arc<Self>, order: &Order, control: &Arc<JobControl>) -> Option<Outcome> {
        tracing::info!(job = %order.job, attempt = order.attempt, linode = %order.linode, kind = kind(order), "begun");
        let keeper = {
            let (daemon, control, order) = (Arc::clone(self), Arc::clone(control), order.clone());
            thread::Builder::new()
                .name(format!("keep-{}", order.job))
                .spawn(move || daemon.keep(&order, &control))
        };
        if let Err(error) = keeper {
            tracing::error!(%error, "no thread for a keeper; the lease may run out");
        }
        let outcome = steps::run(&self.host, control, order);
        control.done();
        outcome
    }

    /// Renews the lease until the step is done, and hands on what the portal says to it. An absent portal is no reason
    /// to stop: leases do not move ownership.
    fn keep(&self, order: &Order, control: &JobControl) {
        while control.wait(NEWS, RENEW) {
            let renew = Renew {
                attempt: order.attempt,
                lease_token: order.lease_token.clone(),
                progress: control.latest(),
            };
            match self.client.renew(order.job, &renew) {
                Ok(renewed) => {
                    self.host.cap.set(renewed.cap_mb_s);
                    if renewed.cancel {
                        control.cancel();
                    }
                }
                Err(ClientError::Stale(_) | ClientError::Revoked(_)) => control.lose(),
                Err(error) => {
                    tracing::warn!(job = %order.job, %error, "a lease could not be renewed");
                }
            }
        }
    }

    /// Until the portal has heard the outcome, or says that it no longer wants to. The outcome is written down only when
    /// it has to wait: a restarted agent without it repeats the step, which is as right and only slower.
    fn deliver(&self, order: &Order, outcome: Outcome, control: &JobControl) {
        let finish = Finish {
            attempt: order.attempt,
            lease_token: order.lease_token.clone(),
            outcome,
        };
        let mut pause = Pause::default();
        let mut noted = false;
        while !self.stopping() && !control.lost() {
            let wait = match self.client.finish(order.job, &finish) {
                Ok(_) => {
                    tracing::info!(job = %order.job, attempt = order.attempt, "answered for");
                    return self.forget(order);
                }
                Err(error @ (ClientError::Stale(_) | ClientError::Refused { .. })) => {
                    tracing::warn!(job = %order.job, %error, "the outcome is not wanted; the job is dropped");
                    return self.forget(order);
                }
                Err(error @ ClientError::Revoked(_)) => {
                    tracing::error!(job = %order.job, %error, "the outcome waits");
                    REFUSED_PAUSE
                }
                Err(error) => {
                    tracing::warn!(job = %order.job, %error, "the outcome waits");
                    pause.longer()
                }
            };
            if !noted {
                noted = self.note(order, &finish.outcome);
            }
            self.sleep(wait);
        }
        if control.lost() {
            self.forget(order);
        }
    }

    fn note(&self, order: &Order, outcome: &Outcome) -> bool {
        let held = HeldJob {
            order: order.clone(),
            outcome: Some(outcome.clone()),
        };
        let noted = self.host.ledger.hold_job(&held);
        if let Err(error) = &noted {
            tracing::error!(%error, "an outcome cannot be written down");
        }
        noted.is_ok()
    }

    /// Takes a job out of the ledger, unless a newer attempt is in its place by now.
    fn forget(&self, order: &Order) {
        let kept = self.host.ledger.job(order.job).ok().flatten();
        if kept.is_some_and(|held| held.order.attempt == order.attempt)
            && let Err(error) = self.host.ledger.drop_job(order.job)
        {
            tracing::error!(%error, "a job that is over cannot be taken out of the ledger");
        }
    }
}

/// The task's word, for the log; the order itself holds secrets.
fn kind(order: &Order) -> String {
    let value = serde_json::to_value(&order.task).unwrap_or_default();
    value
        .get("kind")
        .and_then(|kind| kind.as_str())
        .unwrap_or("?")
        .to_owned()
}
