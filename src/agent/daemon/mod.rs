//! The agent at work: one poll at a time, a worker and a keeper per job. It can be killed at any moment: whatever it
//! must remember is in the ledger first, guests do not depend on it, and a restarted one carries on where it was.

mod jobs;
mod pause;
mod samples;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::client::{Client, ClientError, Credential};
use super::control::JobControl;
use super::host::Host;
use super::{inventory, steps};
use crate::domain::ids::{JobId, LinodeId};
use crate::wire::{Order, POLL_WAIT_S, PROTOCOL, Poll, PollAnswer, PortalMark, Share};
pub use pause::Pause;

/// How often a host with nothing free still reports.
const BUSY_REPORT: Duration = Duration::from_secs(5);
/// An answer that came sooner than it was asked to: the portal may be shutting down; do not spin.
const EARLY: Duration = Duration::from_millis(100);
/// After a start, a poll of an earlier run may still be open at the portal and be given an order that nobody hears:
/// for as long as such a poll can last, ask often enough to be given it again soon.
const YOUNG: Duration = Duration::from_secs(POLL_WAIT_S as u64);
const YOUNG_WAIT_S: u32 = 2;
/// How often it is looked whether guests came or went.
const WATCH: Duration = Duration::from_secs(2);
/// How often what is left of trials is looked for.
const LEFT: Duration = Duration::from_secs(30);
/// After a share that could not be set.
const SHARE_PAUSE: Duration = Duration::from_secs(1);
/// How often a revoked agent asks whether it is welcome again.
const REVOKED_PAUSE: Duration = Duration::from_secs(30);

/// Shared by the poll loop, workers and keepers.
pub struct Daemon {
    pub host: Arc<Host>,
    client: Client,
    slots: u32,
    started: Instant,
    stop: AtomicBool,
    /// The portal's last answer was that it does not know this host's credential.
    refused: AtomicBool,
    /// A poll of this run was answered: the life that the portal is in is known.
    heard: AtomicBool,
    /// Read again when the portal refuses the credential: it may have been rotated.
    credential: Option<PathBuf>,
    in_hand: Mutex<HashMap<JobId, Arc<JobControl>>>,
    freed: Condvar,
}

impl Daemon {
    pub fn new(
        host: Arc<Host>,
        client: Client,
        slots: u32,
        credential: Option<PathBuf>,
    ) -> Arc<Self> {
        Arc::new(Self {
            host,
            client,
            slots,
            started: Instant::now(),
            stop: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            credential,
            in_hand: Mutex::default(),
            freed: Condvar::new(),
        })
    }

    /// Takes up the jobs of an earlier run, then polls until [`Daemon::stop`]. Guests are left as they are.
    pub fn run(self: &Arc<Self>) {
        steps::sweep(&self.host);
        self.take_up();
        let (mut pause, mut untaken) = (Pause::default(), Pause::default());
        while !self.stopping() {
            let begun = Instant::now();
            let polled = self.poll();
            let refused = matches!(polled, Err(ClientError::Revoked(_)));
            self.refused.store(refused, Ordering::Release);
            match polled {
                Ok(answer) => {
                    pause.reset();
                    let idle = answer.order.is_none();
                    if !self.answered(answer) {
                        // It would be given again at once, and again.
                        self.sleep(untaken.longer());
                        continue;
                    }
                    if !idle {
                        untaken.reset();
                    }
                    if self.free_slots() == 0 {
                        self.wait_for_slot();
                    } else if idle && begun.elapsed() < EARLY {
                        self.sleep(EARLY);
                    }
                }
                Err(ClientError::Revoked(_)) if self.rotated() => {}
                Err(error @ ClientError::Revoked(_)) => {
                    tracing::error!(%error, "this host takes no more orders; its guests run on");
                    self.sleep(REVOKED_PAUSE);
                }
                Err(error) => {
                    let wait = pause.longer();
                    tracing::warn!(%error, ?wait, "polling failed; guests run on");
                    self.sleep(wait);
                }
            }
        }
    }

    /// Tells the portal at once when a guest comes or goes: a poll that is open was asked before. While the portal will not
    /// hear of this host there is nobody to tell, and nothing is looked at.
    pub fn watch(&self) {
        let mut told = inventory::running(&self.host);
        let mut looked = Instant::now();
        while !self.stopping() {
            self.sleep(WATCH);
            if looked.elapsed() >= LEFT {
                steps::destroy_left(&self.host);
                looked = Instant::now();
            }
            if self.refused.load(Ordering::Acquire) {
                continue;
            }
            let now = inventory::running(&self.host);
            if now == told {
                continue;
            }
            match self.client.report(&inventory::collect(&self.host)) {
                Ok(answer) => {
                    if !answer.again {
                        told = now;
                    }
                    self.set_shares(answer.shares);
                }
                // It is tried again at the next look, and the next poll reports anyway.
                Err(error) => tracing::warn!(%error, "a guest's coming or going was not reported"),
            }
        }
    }

    fn set_shares(&self, shares: Vec<(LinodeId, Share)>) {
        let mut failed = false;
        for (linode, share) in shares {
            // The next poll reports what is true; if it failed, it is asked for again.
            match self.host.driver.set_share(linode, share) {
                Ok(()) => tracing::info!(%linode, ?share, "share set"),
                Err(error) => {
                    tracing::warn!(%linode, ?share, %error, "share not set");
                    failed = true;
                }
            }
        }
        if failed {
            // It is asked for again at once.
            self.sleep(SHARE_PAUSE);
        }
    }

    /// Asks the poll loop to end; an open poll is not waited for by anyone who exits the process.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.freed.notify_all();
    }

    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn poll(&self) -> Result<PollAnswer, ClientError> {
        let free_slots = self.free_slots();
        self.client.poll(&Poll {
            protocol: PROTOCOL,
            ledger: self.host.ledger.mark(),
            seen: self.host.ledger.seen(),
            wait_s: match free_slots {
                0 => 0,
                // Jobs of an earlier run wait for it.
                _ if !self.heard.load(Ordering::Acquire) => 0,
                _ if self.started.elapsed() < YOUNG => YOUNG_WAIT_S,
                _ => POLL_WAIT_S,
            },
            held: self.held(),
            free_slots,
            inventory: inventory::collect(&self.host),
        })
    }

    /// Is there another credential in the state folder than the one refused?
    fn rotated(&self) -> bool {
        let read = |path: &PathBuf| std::fs::read_to_string(path).ok();
        let text = self.credential.as_ref().and_then(read);
        text.is_some_and(|text| self.client.change(Credential::new(&text)))
    }

    /// `false`: there was an order, and it was not taken.
    fn answered(self: &Arc<Self>, answer: PollAnswer) -> bool {
        self.host.cap.set(answer.cap_mb_s);
        let shown = answer.portal.as_ref();
        // An agent that stops does not hold it, so it is given again to the next run.
        let order = answer.order.filter(|_| !self.stopping());
        // By what was seen before this answer: its own mark says nothing against it.
        let may = order
            .as_ref()
            .is_none_or(|order| self.may_take(order, shown));
        if let Some(Err(error)) = shown.map(|shown| self.host.ledger.saw(shown)) {
            tracing::warn!(%error, "the portal's mark was not written down; it is known until the agent ends");
        }
        self.heard.store(true, Ordering::Release);
        let life = shown.map(|shown| shown.incarnation.clone());
        let taken = may && order.is_none_or(|order| self.take(order, life));
        self.set_shares(answer.shares);
        taken
    }

    /// A portal whose memory went back is not followed where ownership changes: it may have forgotten who owns what. The
    /// next poll shows it what was seen.
    fn may_take(&self, order: &Order, shown: Option<&PortalMark>) -> bool {
        let ledger = &self.host.ledger;
        if !order.task.changes_ownership() || ledger.follows(shown) {
            return true;
        }
        tracing::error!(
            job = %order.job, linode = %order.linode, seen = ?ledger.seen(), ?shown,
            "the portal's memory went back: an order that changes ownership is not taken"
        );
        false
    }

    fn held(&self) -> Vec<JobId> {
        let jobs = self.host.ledger.jobs();
        jobs.iter().map(|held| held.order.job).collect()
    }

    fn free_slots(&self) -> u32 {
        let used = u32::try_from(self.lock_jobs().len()).unwrap_or(u32::MAX);
        self.slots.saturating_sub(used)
    }

    fn wait_for_slot(&self) {
        let jobs = self.lock_jobs();
        let full = |jobs: &mut HashMap<JobId, Arc<JobControl>>| {
            jobs.len() >= self.slots as usize && !self.stopping()
        };
        let _ = self.freed.wait_timeout_while(jobs, BUSY_REPORT, full);
    }

    /// Sleeps, but not past a stop.
    fn sleep(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while !self.stopping() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20).min(deadline - Instant::now()));
        }
    }

    fn lock_jobs(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Arc<JobControl>>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
