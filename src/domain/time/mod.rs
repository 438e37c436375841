//! A moment in UTC, cut to microseconds, which is what both databases keep.

#[cfg(feature = "portal")]
pub mod local;
pub mod watch;
#[cfg(feature = "portal")]
pub mod zone;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(DateTime<Utc>);

impl From<Time> for DateTime<Utc> {
    fn from(at: Time) -> Self {
        at.0
    }
}

impl Time {
    pub fn new(at: DateTime<Utc>) -> Self {
        Self(at.trunc_subsecs(6))
    }

    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// This many seconds later (earlier, if negative).
    #[must_use]
    pub fn plus_s(self, seconds: i64) -> Self {
        TimeDelta::try_seconds(seconds)
            .and_then(|delta| self.0.checked_add_signed(delta))
            .map_or(self, Self)
    }

    /// As [`Time::plus_s`], in thousandths of a second.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        TimeDelta::try_milliseconds(millis)
            .and_then(|delta| self.0.checked_add_signed(delta))
            .map_or(self, Self)
    }

    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        self.plus_s(days.saturating_mul(86_400))
    }

    /// Seconds from `earlier` to this; negative if it is not earlier.
    pub fn seconds_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).num_seconds()
    }

    pub fn millis_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).num_milliseconds()
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d %H:%M:%S UTC"))
    }
}

/// `less than a second`, `12 seconds`, `4 minutes`, `2 hours 5 minutes`, `3 days`.
pub fn span(seconds: i64) -> String {
    let plural = |count: i64, unit: &str| {
        if count == 1 {
            format!("1 {unit}")
        } else {
            format!("{count} {unit}s")
        }
    };
    match seconds {
        ..1 => "less than a second".to_owned(),
        1..120 => plural(seconds, "second"),
        120..7200 => plural(seconds / 60, "minute"),
        7200..172_800 => {
            let minutes = seconds / 60 % 60;
            if minutes == 0 {
                plural(seconds / 3600, "hour")
            } else {
                format!(
                    "{} {}",
                    plural(seconds / 3600, "hour"),
                    plural(minutes, "minute")
                )
            }
        }
        _ => plural(seconds / 86_400, "day"),
    }
}
