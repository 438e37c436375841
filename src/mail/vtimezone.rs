//! A zone as calendar files name it (RFC 5545, VTIMEZONE): its rules around a date, each change of the clocks by itself, as
//! they are known now. And whether a local time in it says which moment is meant.

use std::fmt::Write;

use chrono::{DateTime, Days, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};

use crate::domain::time::local::{Moments, moments};
use crate::domain::time::zone::{Standing, Tz};

/// Changes this many days before and after the date are told.
const AROUND: Days = Days::new(400);
const LOCAL: &str = "%Y%m%dT%H%M%S";

/// The moment as its local time, if that time says just this moment: of one that the clocks show twice a calendar takes the
/// first. `None` in UTC, which needs no zone.
pub(super) fn local(zone: Tz, at: DateTime<Utc>) -> Option<NaiveDateTime> {
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

/// The larger of two offsets is the daylight time, whatever the list calls it: Ireland's winter is one in the list, an hour back,
/// and programs that read calendars turn that around.
fn observance(out: &mut String, from: i32, to: (DateTime<Utc>, Standing), is_summer: bool) {
    let kind = if is_summer { "DAYLIGHT" } else { "STANDARD" };
    let (at, standing) = to;
    let local = at.naive_utc() + TimeDelta::seconds(i64::from(from));
    let lines = [
        format!("BEGIN:{kind}"),
        format!("DTSTART:{}", local.format(LOCAL)),
        format!("TZOFFSETFROM:{}", shown(from)),
        format!("TZOFFSETTO:{}", shown(offset(standing))),
        format!("TZNAME:{standing}"),
        format!("END:{kind}"),
    ];
    for line in lines {
        out.push_str(&line);
        out.push_str("\r\n");
    }
}

fn offset(standing: Standing) -> i32 {
    standing.fix().local_minus_utc()
}

/// The component's lines. Nothing of them is anyone's text, and none is longer than a line may be.
pub(super) fn component(zone: Tz, around: DateTime<Utc>) -> String {
    let start = around.checked_sub_days(AROUND).unwrap_or(around);
    let end = around.checked_add_days(AROUND).unwrap_or(around);
    let mut out = format!("BEGIN:VTIMEZONE\r\nTZID:{}\r\n", zone.name());
    let first = zone.offset_from_utc_datetime(&start.naive_utc());
    let changes = zone.changes(start).take_while(|(at, _)| *at <= end);
    let changes: Vec<(DateTime<Utc>, Standing)> = changes.collect();
    let mut now = offset(first);
    let falls = changes.first().is_some_and(|(_, next)| offset(*next) < now);
    observance(&mut out, now, (start, first), falls);
    for (at, standing) in changes {
        let then = offset(standing);
        observance(&mut out, now, (at, standing), then > now);
        now = then;
    }
    out.push_str("END:VTIMEZONE\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> Tz {
        name.parse().unwrap()
    }

    #[test]
    fn irelands_winter_is_its_standard_time() {
        for (name, summer, winter) in [
            (
                "Europe/Dublin",
                "BEGIN:DAYLIGHT\r\nDTSTART:20260329T010000\r\nTZOFFSETFROM:+0000\r\nTZOFFSETTO:+0100\r\nTZNAME:IST\r\n",
                "BEGIN:STANDARD\r\nDTSTART:20261025T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0000\r\nTZNAME:GMT\r\n",
            ),
            // Morocco went back for the last time in September of 2026.
            (
                "Africa/Casablanca",
                "BEGIN:DAYLIGHT\r\nDTSTART:20260322T020000\r\nTZOFFSETFROM:+0000\r\nTZOFFSETTO:+0100\r\n",
                "BEGIN:STANDARD\r\nDTSTART:20260920T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0000\r\n",
            ),
        ] {
            let text = component(zone(name), at("2026-12-10T18:00:00Z"));
            assert!(text.contains(summer) && text.contains(winter), "{text}");
        }
    }

    #[test]
    fn viennas_clocks() {
        let text = component(zone("Europe/Vienna"), at("2026-07-01T12:00:00Z"));
        for lines in [
            "BEGIN:DAYLIGHT\r\nDTSTART:20260329T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nTZNAME:CEST\r\nEND:DAYLIGHT",
            "BEGIN:STANDARD\r\nDTSTART:20261025T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nTZNAME:CET\r\nEND:STANDARD",
        ] {
            assert!(text.contains(lines), "{text}");
        }
        assert!(text.starts_with("BEGIN:VTIMEZONE\r\nTZID:Europe/Vienna\r\n"));
        assert!(text.lines().all(|line| line.len() <= 75));
        // A zone that never changes has one.
        let text = component(zone("Asia/Kolkata"), at("2026-07-01T12:00:00Z"));
        assert_eq!(text.matches("BEGIN:STANDARD").count(), 1, "{text}");
        assert!(text.contains("TZOFFSETTO:+0530"));
        assert_eq!(shown(-12_645), "-033045");
    }

    #[test]
    fn the_second_of_two_has_no_local_time_of_its_own() {
        let vienna = zone("Europe/Vienna");
        let first = local(vienna, at("2026-10-25T00:30:00.5Z"));
        assert_eq!(first.unwrap().to_string(), "2026-10-25 02:30:00");
        assert_eq!(local(vienna, at("2026-10-25T01:30:00Z")), None);
        assert!(local(vienna, at("2026-10-25T02:30:00Z")).is_some());
        assert_eq!(local(Tz::UTC, at("2026-10-25T02:30:00Z")), None);
    }
}
