//! What a clock on the wall says, and the moments it can mean: on most days one, when the clocks go back two, when they
//! go forward none.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};

use super::zone::Tz;

/// The moments that a local date and time can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moments {
    One(DateTime<Utc>),
    /// The clocks skip it; the last whole minute before and the first after.
    None {
        before: DateTime<Utc>,
        after: DateTime<Utc>,
    },
    /// The clocks show it twice.
    Two {
        first: DateTime<Utc>,
        second: DateTime<Utc>,
    },
}

pub fn moments(zone: Tz, local: NaiveDateTime) -> Moments {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => Moments::One(at.to_utc()),
        LocalResult::Ambiguous(one, other) => {
            let (one, other) = (one.to_utc(), other.to_utc());
            Moments::Two {
                first: one.min(other),
                second: one.max(other),
            }
        }
        LocalResult::None => {
            let after = leap(zone, local);
            Moments::None {
                before: after - TimeDelta::minutes(1),
                after,
            }
        }
    }
}

/// The moment at which the clocks skip `local`, which they do.
fn leap(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    // Offsets are within a day of UTC, and the largest leap was a day: three days either side hold it.
    let is_before = |seconds: i64| {
        let at = local.and_utc() + TimeDelta::seconds(seconds);
        zone.from_utc_datetime(&at.naive_utc()).naive_local() < local
    };
    let (mut low, mut high) = (-3 * 86_400_i64, 3 * 86_400_i64);
    while high - low > 1 {
        let middle = i64::midpoint(low, high);
        if is_before(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    local.and_utc() + TimeDelta::seconds(high)
}

/// `UTC+2`, `UTC−3:30`: what tells two equal local times apart.
pub fn offset_name(zone: Tz, at: DateTime<Utc>) -> String {
    let seconds = zone
        .offset_from_utc_datetime(&at.naive_utc())
        .fix()
        .local_minus_utc();
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    let sign = if seconds < 0 { '\u{2212}' } else { '+' };
    match (hours, minutes) {
        (0, 0) => "UTC".to_owned(),
        (_, 0) => format!("UTC{sign}{hours}"),
        _ => format!("UTC{sign}{hours}:{minutes:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M")
            .unwrap()
            .and_utc()
    }

    /// Zone, what is typed, and the moments in UTC: none is a pair of the nearest that exist.
    #[test]
    fn the_clocks_of_the_world() {
        let one = |a: &str| Moments::One(at(a));
        let two = |a: &str, b: &str| Moments::Two {
            first: at(a),
            second: at(b),
        };
        let none = |a: &str, b: &str| Moments::None {
            before: at(a),
            after: at(b),
        };
        let table = [
            ("Europe/Berlin", "2027-03-28 01:59", one("2027-03-28 00:59")),
            (
                "Europe/Berlin",
                "2027-03-28 02:00",
                none("2027-03-28 00:59", "2027-03-28 01:00"),
            ),
            (
                "Europe/Berlin",
                "2027-03-28 02:59",
                none("2027-03-28 00:59", "2027-03-28 01:00"),
            ),
            ("Europe/Berlin", "2027-03-28 03:00", one("2027-03-28 01:00")),
            ("Europe/Berlin", "2026-10-25 01:59", one("2026-10-24 23:59")),
            (
                "Europe/Berlin",
                "2026-10-25 02:30",
                two("2026-10-25 00:30", "2026-10-25 01:30"),
            ),
            ("Europe/Berlin", "2026-10-25 03:00", one("2026-10-25 02:00")),
            (
                "America/New_York",
                "2027-03-14 02:30",
                none("2027-03-14 06:59", "2027-03-14 07:00"),
            ),
            (
                "America/New_York",
                "2026-11-01 01:30",
                two("2026-11-01 05:30", "2026-11-01 06:30"),
            ),
            (
                "America/New_York",
                "2026-11-01 02:00",
                one("2026-11-01 07:00"),
            ),
            // Half an hour either way.
            (
                "Australia/Lord_Howe",
                "2026-10-04 02:15",
                none("2026-10-03 15:29", "2026-10-03 15:30"),
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-04 02:30",
                one("2026-10-03 15:30"),
            ),
            (
                "Australia/Lord_Howe",
                "2027-04-04 01:45",
                two("2027-04-03 14:45", "2027-04-03 15:15"),
            ),
            // Midnight is skipped.
            (
                "Africa/Cairo",
                "2027-04-30 00:30",
                none("2027-04-29 21:59", "2027-04-29 22:00"),
            ),
            // A whole day was.
            (
                "Pacific/Apia",
                "2011-12-30 12:00",
                none("2011-12-30 09:59", "2011-12-30 10:00"),
            ),
            ("UTC", "2027-03-28 02:30", one("2027-03-28 02:30")),
            ("Asia/Kolkata", "2027-03-28 02:30", one("2027-03-27 21:00")),
        ];
        for (zone, typed, expected) in table {
            let got = moments(zone.parse().unwrap(), at(typed).naive_utc());
            assert_eq!(got, expected, "{zone} {typed}");
        }
    }

    #[test]
    fn offsets_have_names() {
        let name = |zone: &str, when: &str| offset_name(zone.parse().unwrap(), at(when));
        assert_eq!(name("Europe/Berlin", "2026-10-25 00:30"), "UTC+2");
        assert_eq!(name("Europe/Berlin", "2026-10-25 01:30"), "UTC+1");
        assert_eq!(
            name("America/St_Johns", "2026-12-01 00:00"),
            "UTC\u{2212}3:30"
        );
        assert_eq!(name("Europe/London", "2026-12-01 00:00"), "UTC");
    }
}
