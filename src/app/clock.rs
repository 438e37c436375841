//! The one place that reads the system's time; tests set a clock of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

use crate::domain::time::Time;

#[derive(Debug, Clone, Default)]
pub enum Clock {
    #[default]
    System,
    /// The system's time moved by this many seconds, which a test changes as it likes.
    Shifted(Arc<AtomicI64>),
    /// Stands still at this many milliseconds since 1970 until a simulation moves it.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the clock's home")]
    pub fn now(&self) -> Time {
        let now: DateTime<Utc> = Utc::now();
        match self {
            Self::System => Time::new(now),
            Self::Shifted(by) => Time::new(now).plus_s(by.load(Ordering::Relaxed)),
            Self::Fixed(at) => {
                Time::new(DateTime::UNIX_EPOCH).plus_millis(at.load(Ordering::Relaxed))
            }
        }
    }
}
