//! The cap on copying, in MB/s (10^6 bytes), shared by all connections of a host and changed while they run.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and times: a part in a million does not matter, and all are positive"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What may be sent at once after a pause, as time at the cap.
const BURST: Duration = Duration::from_millis(100);
/// The longest sleep before the cap and the wish to stop are looked at again.
const NAP: Duration = Duration::from_millis(50);

pub struct Cap {
    /// 0 is no cap.
    mb_s: AtomicU32,
    /// When everything taken so far will have been paid for.
    paid: Mutex<Instant>,
}

impl Cap {
    pub fn new(mb_s: Option<u32>) -> Self {
        Self {
            mb_s: AtomicU32::new(mb_s.unwrap_or(0)),
            paid: Mutex::new(Instant::now()),
        }
    }

    /// Applies to copies that run, within 50 ms. `None` (or 0) is no cap.
    pub fn set(&self, mb_s: Option<u32>) {
        let before = self.mb_s.swap(mb_s.unwrap_or(0), Ordering::Relaxed);
        if before != mb_s.unwrap_or(0) {
            // A debt made under the old cap would hold the new one up.
            *self.paid.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    pub fn get(&self) -> Option<u32> {
        Some(self.mb_s.load(Ordering::Relaxed)).filter(|&cap| cap > 0)
    }

    /// Waits until `bytes` may go. `stop` is asked all along and ends the wait.
    pub fn take(&self, bytes: usize, stop: &dyn Fn() -> bool) {
        if self.get().is_none() {
            return;
        }
        while !stop() {
            let now = Instant::now();
            let wait = {
                let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(mb_s) = self.get() else { return };
                // The backlog others have made is waited for first; then our own bytes are added to it.
                let backlog = paid.saturating_duration_since(now);
                if backlog <= BURST {
                    let cost = Duration::from_secs_f64(bytes as f64 / (f64::from(mb_s) * 1e6));
                    *paid = (*paid).max(now) + cost;
                    return;
                }
                backlog.saturating_sub(BURST)
            };
            std::thread::sleep(wait.min(NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_to_the_cap_and_lets_go_when_it_is_lifted() {
        let cap = Cap::new(Some(10));
        let start = Instant::now();
        for _ in 0..50 {
            cap.take(100_000, &|| false);
        }
        // 5 MB at 10 MB/s, less one burst and the last piece.
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(350), "{took:?}");
        cap.set(None);
        let start = Instant::now();
        cap.take(1_000_000_000, &|| false);
        assert!(start.elapsed() < Duration::from_millis(50));
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let cap = Cap::new(Some(1));
        cap.take(100_000_000, &|| false);
        let start = Instant::now();
        cap.take(1, &|| start.elapsed() > Duration::from_millis(20));
        assert!(start.elapsed() < Duration::from_millis(200));
    }
}
