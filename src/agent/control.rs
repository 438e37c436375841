//! What a step and the keeper of its lease tell each other: progress one way, cancel and loss of the lease the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::transfer::Watch;
use crate::wire::Progress;

/// One job in hand.
#[derive(Debug, Default)]
pub struct JobControl {
    cancel: AtomicBool,
    lost: AtomicBool,
    inner: Mutex<Inner>,
    changed: Condvar,
    /// The life of the portal that gave the order.
    life: Option<String>,
}

#[derive(Debug, Default)]
struct Inner {
    progress: Option<Progress>,
    /// Of a trial.
    console: Option<String>,
    fresh: bool,
    done: bool,
}

/// Why a step should end before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The member or staff asked; the portal wants to hear of it.
    #[error("cancelled")]
    Cancelled,
    /// The lease is another's: nothing may be done or said for this job any more.
    #[error("the lease was lost")]
    Lost,
}

impl JobControl {
    /// Of an order that the portal gave in this life of its memory.
    pub fn of_life(life: Option<String>) -> Self {
        Self {
            life,
            ..Self::default()
        }
    }

    pub fn life(&self) -> Option<&str> {
        self.life.as_deref()
    }

    pub fn cancel(&self) {
        self.cancel.store(true, Ordering::Release);
    }

    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    pub fn lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// For steps that can be broken off at any point.
    pub fn check(&self) -> Result<(), Halt> {
        if self.lost() {
            Err(Halt::Lost)
        } else if self.cancel.load(Ordering::Acquire) {
            Err(Halt::Cancelled)
        } else {
            Ok(())
        }
    }

    pub fn say(&self, progress: Progress) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.progress != Some(progress) {
            inner.progress = Some(progress);
            inner.fresh = true;
            self.changed.notify_all();
        }
    }

    /// What a trial's clone says, for its page. Said again and again, so that a cancel is heard of soon.
    pub fn say_console(&self, text: String) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.console = Some(text);
        inner.fresh = true;
        self.changed.notify_all();
    }

    pub fn latest(&self) -> (Option<Progress>, Option<String>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.fresh = false;
        (inner.progress, inner.console.take())
    }

    /// The step ended: the keeper can go.
    pub fn done(&self) {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .done = true;
        self.changed.notify_all();
    }

    /// Waits at least `least` and, without news, at most `most`; `false` when the job is over.
    pub fn wait(&self, least: Duration, most: Duration) -> bool {
        let over = |inner: &Inner| inner.done || self.lost();
        let wait = |limit: Duration, until: &dyn Fn(&Inner) -> bool| {
            let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self
                .changed
                .wait_timeout_while(inner, limit, |inner| !until(inner));
            over(&waited.unwrap_or_else(PoisonError::into_inner).0)
        };
        if wait(least, &over) {
            return false;
        }
        !wait(most.saturating_sub(least), &|inner| {
            over(inner) || inner.fresh
        })
    }
}

impl Watch for JobControl {
    fn progress(&self, progress: Progress) {
        self.say(progress);
    }

    fn cancelled(&self) -> bool {
        self.check().is_err()
    }
}
