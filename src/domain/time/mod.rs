//! A moment in UTC, cut to microseconds, which is what both databases keep.

#[cfg(feature = "portal")]
pub mod local;
pub mod watch;
#[cfg(feature = "portal")]
pub mod zone;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "DateTime<Utc>")]
pub struct Time(DateTime<Utc>);

/// The years in which somebody may ask for or choose a moment: both databases, every zone and all fields can write them.
pub const YEARS: std::ops::RangeInclusive<i32> = 1970..=9998;

impl From<DateTime<Utc>> for Time {
    fn from(at: DateTime<Utc>) -> Self {
        Self::new(at)
    }
}

impl From<Time> for DateTime<Utc> {
    fn from(at: Time) -> Self {
        at.0
    }
}

impl Time {
    /// A leap second is the second after it: no database has any.
    pub fn new(at: DateTime<Utc>) -> Self {
        Self(DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at))
    }

    /// Microseconds since 1970, as they stand in addresses and forms; `None` for what is none of [`YEARS`].
    pub fn of_micros(micros: i64) -> Option<Self> {
        let at = DateTime::from_timestamp_micros(micros)?;
        YEARS.contains(&at.year()).then_some(Self(at))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_second_is_the_second_after_it() {
        let leap: DateTime<Utc> = "2016-12-31T23:59:60.5Z".parse().unwrap();
        let after: DateTime<Utc> = "2017-01-01T00:00:00.5Z".parse().unwrap();
        assert_eq!(Time::new(leap), Time::new(after));
        let read: Time = serde_json::from_str("\"2016-12-31T23:59:60.5Z\"").unwrap();
        assert_eq!(read, Time::new(after));
        let before = Time::new("1969-12-31T23:59:59.9999999Z".parse().unwrap());
        assert_eq!(before.utc().timestamp_micros(), -1);
    }

    #[test]
    fn moments_that_a_database_cannot_write_are_none() {
        for micros in [
            i64::MIN,
            -8_000_000_000_000_000_000,
            -1,
            253_370_764_800_000_000,
            i64::MAX,
        ] {
            assert_eq!(Time::of_micros(micros), None, "{micros}");
        }
        assert!(Time::of_micros(0).is_some());
    }
}
