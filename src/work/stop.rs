//! How a loop learns that the program ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Tells loops to end.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sleeps in short pieces; `false` once asked to stop.
    pub fn sleep(&self, time: Duration) -> bool {
        let piece = Duration::from_millis(50);
        let mut left = time;
        while !left.is_zero() && !self.asked() {
            let now = left.min(piece);
            std::thread::sleep(now);
            left = left.saturating_sub(now);
        }
        !self.asked()
    }
}
