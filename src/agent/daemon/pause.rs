//! How long to wait before asking an absent portal again: doubling, bounded, and never in step with other agents.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct Pause {
    failures: u32,
}

impl Pause {
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Between half of the doubled time and all of it, at most five seconds.
    pub fn longer(&mut self) -> Duration {
        let full = FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        full / 2 + full.mul_f64(fraction() / 2.0)
    }
}

/// Uniform in 0..=1; without randomness agents merely keep step.
fn fraction() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_are_bounded_and_begin_anew() {
        let mut pause = Pause::default();
        for _ in 0..100 {
            assert!(pause.longer() <= LONGEST);
        }
        assert!(pause.longer() >= LONGEST / 2);
        pause.reset();
        assert!(pause.longer() <= FIRST);
    }
}
