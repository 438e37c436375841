//! The one place that reads the system's time; tests set a clock of their own.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::domain::time::Time;
use crate::domain::time::watch::Own;

#[derive(Debug, Clone, Default)]
pub enum Clock {
    #[default]
    System,
    /// The system's time moved by this many seconds, which a test changes as it likes.
    Shifted(Arc<AtomicI64>),
    /// As `Shifted`, and then set by as many seconds as the second number says, which the monotonic clock does not see.
    Set(Arc<AtomicI64>, Arc<AtomicI64>),
    /// Put right by the database's server, whose clock is one for all portals: by so many milliseconds, as found last.
    OfServer(Arc<Self>, Arc<AtomicI64>),
    /// Stands still at this many milliseconds since 1970 until a simulation moves it.
    Fixed(Arc<AtomicI64>),
}

/// By so many milliseconds a clock may be wrong and is left as it is: the question took time, too.
const NEARLY_MS: i64 = 500;

impl Clock {
    /// This one, to be put right by the database's server.
    #[must_use]
    pub fn of_servers(self) -> Self {
        Self::OfServer(Arc::new(self), Arc::default())
    }

    /// The server said so long ago that it is `at`.
    pub(super) fn put_right(&self, at: Time, ago: Duration) {
        if let Self::OfServer(own, by) = self {
            let since = i64::try_from(ago.as_millis()).unwrap_or(0);
            let wrong = own.of_server(at).plus_millis(since).millis_since(own.now());
            if (wrong - by.load(Ordering::Relaxed)).abs() > NEARLY_MS {
                by.store(wrong, Ordering::Relaxed);
            }
        }
    }

    #[allow(clippy::disallowed_methods, reason = "this is the clock's home")]
    pub fn now(&self) -> Time {
        let now: DateTime<Utc> = Utc::now();
        match self {
            Self::System => Time::new(now),
            Self::OfServer(own, by) => own.now().plus_millis(by.load(Ordering::Relaxed)),
            Self::Shifted(by) => Time::new(now).plus_s(by.load(Ordering::Relaxed)),
            Self::Fixed(at) => {
                Time::new(DateTime::UNIX_EPOCH).plus_millis(at.load(Ordering::Relaxed))
            }
            Self::Set(by, set) => {
                Time::new(now).plus_s(by.load(Ordering::Relaxed) + set.load(Ordering::Relaxed))
            }
        }
    }

    /// The database server's time, as it is now, on this clock: without what this machine's was set by.
    fn of_server(&self, at: Time) -> Time {
        match self {
            Self::System => at,
            Self::OfServer(own, _) => own.of_server(at),
            Self::Shifted(by) | Self::Set(by, _) => at.plus_s(by.load(Ordering::Relaxed)),
            Self::Fixed(_) => self.now(),
        }
    }

    /// Time that nobody can set, from some moment of this process.
    pub fn monotonic(&self) -> Duration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        // What is moved back (the demo's past) stays above zero.
        const BEFORE_S: u64 = 1 << 40;
        let gone = BEGAN.get_or_init(Instant::now).elapsed() + Duration::from_secs(BEFORE_S);
        match self {
            Self::System => gone,
            Self::OfServer(own, _) => own.monotonic(),
            Self::Fixed(at) => Duration::from_millis(at.load(Ordering::Relaxed).unsigned_abs()),
            Self::Shifted(by) | Self::Set(by, _) => {
                let by = by.load(Ordering::Relaxed);
                let size = Duration::from_secs(by.unsigned_abs());
                if by < 0 {
                    gone.saturating_sub(size)
                } else {
                    gone.saturating_add(size)
                }
            }
        }
    }
}

/// When this process looked last, by both clocks.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Option<(Time, Duration)>>>);

impl Watch {
    /// What went by since this process's last look.
    pub(super) fn since(&self, (now, monotonic): (Time, Duration)) -> Option<Own> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|(wall, before)| {
            let gone = monotonic.saturating_sub(before).as_secs();
            Own {
                wall_s: now.seconds_since(wall),
                monotonic_s: i64::try_from(gone).unwrap_or(i64::MAX),
            }
        })
    }

    pub(super) fn set(&self, at: (Time, Duration)) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }
}
