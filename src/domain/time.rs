//! A moment in UTC, cut to microseconds, which is what both databases keep.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(DateTime<Utc>);

impl Time {
    #[must_use]
    pub fn new(at: DateTime<Utc>) -> Self {
        Self(at.trunc_subsecs(6))
    }

    #[must_use]
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
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).num_seconds()
    }

    #[must_use]
    pub fn millis_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).num_milliseconds()
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d %H:%M:%S UTC"))
    }
}
