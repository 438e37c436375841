//! A zone as calendar files name it (RFC 5545, VTIMEZONE): its rules around a date, each change of the clocks by itself, as
//! they are known now. And whether a local time in it says which moment is meant.

use std::fmt::Write;

use chrono::{DateTime, Days, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{OffsetComponents, Tz};

use crate::domain::time::local::{Moments, moments};

/// Changes this many days before and after the date are told.
const AROUND: Days = Days::new(400);
/// Between two looks at the clocks; no zone changes them twice within.
const LOOK: TimeDelta = TimeDelta::hours(6);

const LOCAL: &str = "%Y%m%dT%H%M%S";

/// The moment as its local time, if that time says just this moment: of one that the clocks show twice a calendar takes the
/// first. `None` in UTC, which needs no zone.
pub fn local(zone: Tz, at: DateTime<Utc>) -> Option<NaiveDateTime> {
    // Calendars know no parts of a second.
    let at = at - TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos()));
    let local = zone.from_utc_datetime(&at.naive_utc()).naive_local();
    let first = match moments(zone, local) {
        Moments::One(one) => one,
        Moments::Two { first, .. } => first,
        Moments::None { .. } => return None,
    };
    (zone != Tz::UTC && first == at).then_some(local)
}

/// How the clocks stand from a moment on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Rule {
    offset_s: i32,
    is_summer: bool,
}

fn rule(zone: Tz, at: DateTime<Utc>) -> Rule {
    let offset = zone.offset_from_utc_datetime(&at.naive_utc());
    Rule {
        offset_s: offset.fix().local_minus_utc(),
        is_summer: !offset.dst_offset().is_zero(),
    }
}

/// `+0100`, and seconds where there are any.
fn shown(offset_s: i32) -> String {
    let sign = if offset_s < 0 { '-' } else { '+' };
    let (all, seconds) = (offset_s.unsigned_abs() / 60, offset_s.unsigned_abs() % 60);
    let mut text = format!("{sign}{:02}{:02}", all / 60, all % 60);
    if seconds > 0 {
        let _written = write!(text, "{seconds:02}");
    }
    text
}

/// The first moment, to the second, of a change that comes after `from` and not after `to`.
fn change(zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> DateTime<Utc> {
    let before = rule(zone, from);
    let (mut low, mut high) = (0, (to - from).num_seconds());
    while high - low > 1 {
        let middle = i64::midpoint(low, high);
        if rule(zone, from + TimeDelta::seconds(middle)) == before {
            low = middle;
        } else {
            high = middle;
        }
    }
    from + TimeDelta::seconds(high)
}

fn observance(out: &mut String, zone: Tz, at: DateTime<Utc>, from: Rule, to: Rule) {
    let kind = if to.is_summer { "DAYLIGHT" } else { "STANDARD" };
    let local = at.naive_utc() + TimeDelta::seconds(i64::from(from.offset_s));
    let name = zone.from_utc_datetime(&at.naive_utc()).format("%Z");
    let lines = [
        format!("BEGIN:{kind}"),
        format!("DTSTART:{}", local.format(LOCAL)),
        format!("TZOFFSETFROM:{}", shown(from.offset_s)),
        format!("TZOFFSETTO:{}", shown(to.offset_s)),
        format!("TZNAME:{name}"),
        format!("END:{kind}"),
    ];
    for line in lines {
        out.push_str(&line);
        out.push_str("\r\n");
    }
}

/// The component's lines. Nothing of them is anyone's text, and none is longer than a line may be.
pub fn component(zone: Tz, around: DateTime<Utc>) -> String {
    let start = around.checked_sub_days(AROUND).unwrap_or(around);
    let end = around.checked_add_days(AROUND).unwrap_or(around);
    let mut out = format!("BEGIN:VTIMEZONE\r\nTZID:{}\r\n", zone.name());
    let mut now = rule(zone, start);
    observance(&mut out, zone, start, now, now);
    let mut at = start;
    while at < end {
        let next = at + LOOK;
        let then = rule(zone, next);
        if then != now {
            observance(&mut out, zone, change(zone, at, next), now, then);
            now = then;
        }
        at = next;
    }
    out.push_str("END:VTIMEZONE\r\n");
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn viennas_clocks() {
        let text = component(chrono_tz::Europe::Vienna, at("2026-07-01T12:00:00Z"));
        for lines in [
            "BEGIN:DAYLIGHT\r\nDTSTART:20260329T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nTZNAME:CEST\r\nEND:DAYLIGHT",
            "BEGIN:STANDARD\r\nDTSTART:20261025T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nTZNAME:CET\r\nEND:STANDARD",
        ] {
            assert!(text.contains(lines), "{text}");
        }
        assert!(text.starts_with("BEGIN:VTIMEZONE\r\nTZID:Europe/Vienna\r\n"));
        assert!(text.lines().all(|line| line.len() <= 75));
        // A zone that never changes has one.
        let text = component(chrono_tz::Asia::Kolkata, at("2026-07-01T12:00:00Z"));
        assert_eq!(text.matches("BEGIN:STANDARD").count(), 1, "{text}");
        assert!(text.contains("TZOFFSETTO:+0530"));
        assert_eq!(shown(-12_645), "-033045");
    }

    #[test]
    fn the_second_of_two_has_no_local_time_of_its_own() {
        let vienna = chrono_tz::Europe::Vienna;
        let first = local(vienna, at("2026-10-25T00:30:00.5Z"));
        assert_eq!(first.unwrap().to_string(), "2026-10-25 02:30:00");
        assert_eq!(local(vienna, at("2026-10-25T01:30:00Z")), None);
        assert!(local(vienna, at("2026-10-25T02:30:00Z")).is_some());
        assert_eq!(local(Tz::UTC, at("2026-10-25T02:30:00Z")), None);
    }
}
