//! How long guests could have run and were not let. The hypervisor tells this to the guest alone (as steal), so it is
//! estimated from looks: a vCPU found runnable and not running is taken to wait until the next look.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::xl::VcpuState;

/// A longer time between two looks is not counted: too much may have happened in it.
const MOST: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct Waits(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    at: Option<Instant>,
    /// By domain, in ms since it was first seen.
    sums: BTreeMap<u32, u64>,
}

impl Waits {
    pub fn note(&self, states: &[(u32, VcpuState)], at: Instant) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = noted
            .at
            .map_or(Duration::ZERO, |last| at.saturating_duration_since(last));
        let ms = if since > MOST {
            0
        } else {
            u64::try_from(since.as_millis()).unwrap_or(0)
        };
        noted
            .sums
            .retain(|domain, _| states.iter().any(|(of, _)| of == domain));
        for (domain, state) in states {
            let sum = noted.sums.entry(*domain).or_default();
            if *state == VcpuState::Waiting {
                *sum += ms;
            }
        }
        noted.at = Some(at);
    }

    /// `None` before the first look at it.
    #[must_use]
    pub fn of(&self, domain: u32) -> Option<u64> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.sums.get(&domain).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VcpuState::{Idle, Running, Waiting};

    #[test]
    fn waiting_adds_up_between_looks() {
        let (waits, start) = (Waits::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        assert_eq!(waits.of(4), None);
        waits.note(&[(4, Waiting), (4, Waiting)], at(0));
        assert_eq!(waits.of(4), Some(0), "nothing is known of the time before");
        waits.note(&[(4, Waiting), (4, Waiting), (5, Running)], at(1));
        waits.note(&[(4, Waiting), (4, Idle), (5, Waiting)], at(2));
        assert_eq!((waits.of(4), waits.of(5)), (Some(3000), Some(1000)));
        waits.note(&[(4, Waiting)], at(60));
        assert_eq!((waits.of(4), waits.of(5)), (Some(3000), None));
    }
}
