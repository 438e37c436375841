//! Does the database take writes? Asked by a load balancer every second, and by anybody: one answer is good for a moment,
//! and one question is on its way at most, however many ask and however long the database stands still.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An answer is good for so long.
const FRESH: Duration = Duration::from_millis(500);

const FORGOTTEN: Duration = Duration::from_secs(30);

/// What is wrong, in few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwell {
    #[error("no connection to the database")]
    Away,
    #[error("the database is read-only")]
    ReadOnly,
    #[error("the database is full")]
    Full,
    #[error("the database refuses writes")]
    Refuses,
    #[error("the database is slow to answer")]
    Slow,
}

impl Unwell {
    /// By what the client library says; `otherwise` if that is nothing known.
    pub(super) fn from_words(words: &str, otherwise: Self) -> Self {
        let words = words.to_lowercase();
        if words.contains("read-only") || words.contains("readonly") {
            return Self::ReadOnly;
        }
        if words.contains("disk is full") || words.contains("no space left") {
            return Self::Full;
        }
        if words.contains("locked") {
            return Self::Slow;
        }
        otherwise
    }
}

type Answer = Result<(), Unwell>;

#[derive(Default)]
pub struct Pulse(Mutex<State>);

#[derive(Default)]
struct State {
    asked: Option<Instant>,
    last: Option<(Instant, Answer)>,
}

/// What whoever wants to know is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Known(Answer),
    /// Ask the database, and [`Pulse::note`] what it says.
    Ask,
    /// Somebody asks, for so long already.
    Asked(Duration),
}

impl Pulse {
    pub fn next(&self) -> Next {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, answer)) = state.last
            && at.elapsed() < FRESH
        {
            return Next::Known(answer);
        }
        // One that never came back, as it panicked or as the server stands still for good, does not hinder the next.
        if let Some(since) = state.asked
            && since.elapsed() < FORGOTTEN
        {
            return Next::Asked(since.elapsed());
        }
        state.asked = Some(Instant::now());
        Next::Ask
    }

    pub fn note(&self, answer: Answer) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked = None;
        state.last = Some((Instant::now(), answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asks_and_all_are_told() {
        let pulse = Pulse::default();
        assert_eq!(pulse.next(), Next::Ask);
        assert!(matches!(pulse.next(), Next::Asked(_)));
        pulse.note(Err(Unwell::ReadOnly));
        assert_eq!(pulse.next(), Next::Known(Err(Unwell::ReadOnly)));
    }

    #[test]
    fn what_is_wrong_is_read_from_what_is_said() {
        for (words, found) in [
            (
                "timed out waiting for connection: session is read-only",
                Unwell::ReadOnly,
            ),
            ("attempt to write a readonly database", Unwell::ReadOnly),
            ("database or disk is full", Unwell::Full),
            ("database is locked", Unwell::Slow),
            ("connection refused", Unwell::Away),
        ] {
            assert_eq!(Unwell::from_words(words, Unwell::Away), found, "{words}");
        }
    }
}
