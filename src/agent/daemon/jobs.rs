//! A job in hand: a worker that carries the step out and answers for it, a keeper that renews the lease meanwhile.
//! In the ledger first, and there until the portal has answered the answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::{Daemon, Pause};
use crate::agent::client::ClientError;
use crate::agent::control::JobControl;
use crate::agent::ledger::HeldJob;
use crate::agent::steps;
use crate::wire::{Finish, LEASE_S, Order, Outcome, Renew};

/// A lease is renewed this often without news, so that pages never wait long for a word, and not more often with it.
const RENEW: Duration = Duration::from_secs(3);
const NEWS: Duration = Duration::from_secs(1);
/// How soon a job that waits for the first answer of a run finds it.
const LOOK: Duration = Duration::from_millis(20);
/// Refused for so long, a host is not welcome any more.
const FOR_GOOD: Duration = Duration::from_secs(2 * LEASE_S as u64);
/// How long an answer that the portal refuses to hear of (401) waits before it is offered again.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

impl Daemon {
    /// Takes a new order: written down, then worked on. The same attempt again changes nothing; a newer attempt ends the
    /// older one, which then stops by itself before the newer gets the Linode's lock. `false`: it cannot be written down.
    pub(super) fn take(self: &Arc<Self>, order: Order, life: Option<String>) -> bool {
        let known = self.host.ledger.job(order.job).ok().flatten();
        let same = known.is_some_and(|held| {
            held.order.attempt == order.attempt && held.order.lease_token == order.lease_token
        });
        if same && self.lock_jobs().contains_key(&order.job) {
            return true;
        }
        let held = HeldJob {
            order,
            life,
            outcome: None,
        };
        if let Err(error) = self.host.ledger.hold_job(&held) {
            tracing::error!(%error, "an order cannot be written down and is not taken");
            self.decline(&held.order, &error.to_string());
            return false;
        }
        self.begin(held, Origin::Portal);
        true
    }

    /// Says that an order is not carried out, so that it counts as a try and is not merely given again.
    fn decline(&self, order: &Order, why: &str) {
        let finish = Finish {
            attempt: order.attempt,
            lease_token: order.lease_token.clone(),
            outcome: failed(
                "The host could not write its records",
                format!("the order cannot be written down: {why}"),
            ),
        };
        if let Err(error) = self.client.finish(order.job, &finish) {
            tracing::warn!(job = %order.job, %error, "an order that is not taken could not be declined");
        }
    }

    /// Jobs of an earlier run of the agent, with the same attempt and lease.
    pub(super) fn take_up(self: &Arc<Self>) {
        for held in self.host.ledger.jobs() {
            tracing::info!(job = %held.order.job, "a job of an earlier run is taken up again");
            self.begin(held, Origin::EarlierRun);
        }
    }

    fn begin(self: &Arc<Self>, held: HeldJob, origin: Origin) {
        let control = Arc::new(JobControl::of_life(held.life.clone()));
        let job = held.order.job;
        if let Some(older) = self.lock_jobs().insert(job, Arc::clone(&control)) {
            older.lose();
        }
        let daemon = Arc::clone(self);
        let worker = thread::Builder::new().name(format!("job-{job}"));
        let spawned = worker.spawn(move || {
            let order = held.order.clone();
            // A bug in answering must not cost the host a slot, nor keep a lease alive: the job is given again.
            if catch_unwind(AssertUnwindSafe(|| daemon.work(held, origin, &control))).is_err() {
                tracing::error!(job = %order.job, "a worker panicked; the job is dropped");
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

    fn work(self: &Arc<Self>, held: HeldJob, origin: Origin, control: &Arc<JobControl>) {
        let order = held.order;
        // Until the answer is heard, not only until the step is done: a lease that runs out makes the portal give the
        // job anew, and the answer is lost.
        self.keep_lease(&order, control);
        let outcome = match held.outcome {
            Some(outcome) => Some(outcome),
            None => {
                if origin == Origin::EarlierRun
                    && !order.task.goes_on_unasked()
                    && !self.is_wanted(&order, control)
                {
                    return;
                }
                self.carry_out(&order, control)
            }
        };
        let Some(outcome) = outcome.filter(|_| !control.lost()) else {
            tracing::warn!(job = %order.job, attempt = order.attempt, "the lease was lost; the job is dropped");
            return self.forget(&order);
        };
        self.deliver(&order, outcome, control);
    }

    fn carry_out(&self, order: &Order, control: &JobControl) -> Option<Outcome> {
        tracing::info!(job = %order.job, attempt = order.attempt, linode = %order.linode, kind = kind(order), "begun");
        let step = AssertUnwindSafe(|| steps::run(&self.host, control, order));
        catch_unwind(step).unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<&str>().map(ToString::to_string);
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
            let detail = format!("panicked: {}", said.as_deref().unwrap_or("without a word"));
            tracing::error!(job = %order.job, detail, "a step panicked");
            Some(failed("The host's agent failed at this step", detail))
        })
    }

    /// Does the portal still want a job of an earlier run? The folder may be an old one that was put back, and what it orders
    /// long over: then the job is dropped. First the portal's life must be known, by which the order may be void. Waits for
    /// an answer; `false` also when the agent ends, or a newer attempt came.
    fn is_wanted(&self, order: &Order, control: &JobControl) -> bool {
        let renew = Renew {
            attempt: order.attempt,
            lease_token: order.lease_token.clone(),
            progress: None,
            console: None,
        };
        let mut pause = Pause::default();
        while !self.stopping() && !control.lost() {
            if !self.heard.load(Ordering::Acquire) {
                self.sleep(LOOK);
                continue;
            }
            match self.client.renew(order.job, &renew) {
                Ok(renewed) => {
                    if renewed.cancel {
                        control.cancel();
                    }
                    return true;
                }
                Err(error @ (ClientError::Stale(_) | ClientError::Refused { status: 404, .. })) => {
                    tracing::warn!(job = %order.job, %error, "a job of an earlier run is not wanted any more");
                    self.forget(order);
                    return false;
                }
                Err(error) => {
                    tracing::warn!(job = %order.job, %error, "a job of an earlier run waits for the portal");
                    self.sleep(pause.longer());
                }
            }
        }
        if control.lost() {
            self.forget(order);
        }
        false
    }

    fn keep_lease(self: &Arc<Self>, order: &Order, control: &Arc<JobControl>) {
        let keeper = {
            let (daemon, control, order) = (Arc::clone(self), Arc::clone(control), order.clone());
            thread::Builder::new()
                .name(format!("keep-{}", order.job))
                .spawn(move || daemon.keep(&order, &control))
        };
        if let Err(error) = keeper {
            tracing::error!(%error, "no thread for a keeper; the lease may run out");
        }
    }

    /// Renews the lease until the job is over, and hands on what the portal says to it. An absent portal is no reason
    /// to stop: leases do not move ownership.
    fn keep(&self, order: &Order, control: &JobControl) {
        let mut unwelcome = Unwelcome::default();
        while control.wait(NEWS, RENEW) {
            let (progress, console) = control.latest();
            let renew = Renew {
                attempt: order.attempt,
                lease_token: order.lease_token.clone(),
                progress,
                console,
            };
            let mut renewed = self.client.renew(order.job, &renew);
            if matches!(renewed, Err(ClientError::Revoked(_))) && self.rotated() {
                renewed = self.client.renew(order.job, &renew);
            }
            match renewed {
                Ok(renewed) => {
                    unwelcome = Unwelcome::default();
                    self.host.cap.set(renewed.cap_mb_s);
                    if renewed.cancel {
                        control.cancel();
                    }
                }
                Err(ClientError::Stale(_)) => control.lose(),
                Err(ClientError::Revoked(_)) if unwelcome.for_good(Instant::now()) => {
                    tracing::error!(job = %order.job, "the portal will not hear of this host any more: its job ends");
                    control.lose();
                }
                Err(error) => {
                    tracing::warn!(job = %order.job, %error, "a lease could not be renewed");
                }
            }
        }
    }

    /// Until the portal has heard the outcome, or says that it no longer wants to. The outcome is written down only when
    /// it has to wait: a restarted agent without it repeats the step, which is as right and only slower.
    fn deliver(&self, order: &Order, outcome: Outcome, control: &JobControl) {
        let mut finish = Finish {
            attempt: order.attempt,
            lease_token: order.lease_token.clone(),
            outcome,
        };
        let mut pause = Pause::default();
        let (mut noted, mut plain) = (false, false);
        while !self.stopping() && !control.lost() {
            let wait = match self.client.finish(order.job, &finish) {
                Ok(_) => {
                    tracing::info!(job = %order.job, attempt = order.attempt, "answered for");
                    return self.forget(order);
                }
                Err(error @ (ClientError::Stale(_) | ClientError::Refused { status: 404, .. })) => {
                    tracing::warn!(job = %order.job, %error, "the outcome is not wanted; the job is dropped");
                    return self.forget(order);
                }
                // Too early, or too much at once: later.
                Err(
                    error @ ClientError::Refused {
                        status: 408 | 425 | 429,
                        ..
                    },
                ) => {
                    tracing::warn!(job = %order.job, %error, "the outcome waits");
                    pause.longer()
                }
                // What was found cannot be said to this portal. In plain words it counts as a try; dropped, the job would
                // be given again at once, for ever.
                Err(error @ ClientError::Refused { .. }) if !plain => {
                    tracing::error!(job = %order.job, %error, "the outcome is refused and given in plain words");
                    plain = true;
                    let detail = format!("the portal refused what the step found: {error}");
                    finish.outcome = failed("The portal did not understand the host", detail);
                    continue;
                }
                Err(error @ ClientError::Refused { .. }) => {
                    tracing::error!(job = %order.job, %error, "no outcome is wanted; the job is dropped");
                    // Held and leased meanwhile, so that it is not given again at once.
                    self.sleep(REFUSED_PAUSE);
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
                noted = self.note(order, &finish.outcome, control);
            }
            self.sleep(wait);
        }
        if control.lost() {
            self.forget(order);
        }
    }

    fn note(&self, order: &Order, outcome: &Outcome, control: &JobControl) -> bool {
        let held = HeldJob {
            order: order.clone(),
            life: control.life().map(ToOwned::to_owned),
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

/// Where a job came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Portal,
    /// It was in the folder when the agent started.
    EarlierRun,
}

/// Since when the portal refuses this host's credential. That is no loss of a lease yet: the credential may have been rotated
/// and not be written down yet. When the lease would have run out twice over, it is meant.
#[derive(Default)]
struct Unwelcome(Option<Instant>);

impl Unwelcome {
    fn for_good(&mut self, now: Instant) -> bool {
        let since = *self.0.get_or_insert(now);
        now.duration_since(since) >= FOR_GOOD
    }
}

/// A failure that may pass.
fn failed(public: &str, detail: String) -> Outcome {
    Outcome::Failed {
        retry: true,
        public: public.into(),
        detail,
        console: None,
        owns: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_for_good_only_when_it_lasts() {
        let begun = Instant::now();
        let mut unwelcome = Unwelcome::default();
        assert!(!unwelcome.for_good(begun));
        assert!(!unwelcome.for_good(begun + FOR_GOOD / 2));
        assert!(unwelcome.for_good(begun + FOR_GOOD));
        // Welcome in between: it begins anew.
        unwelcome = Unwelcome::default();
        assert!(!unwelcome.for_good(begun + FOR_GOOD));
    }
}
