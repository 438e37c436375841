//! The calendar file (iCalendar, RFC 5545 and 5546) that goes with a mail about a chosen time. Later files about the same
//! time replace earlier ones in their reader's calendar: the same UID, a higher SEQUENCE.

use chrono::{DateTime, TimeDelta, Utc};
use icalendar::{Calendar, CalendarDateTime, Component, Event, EventLike, EventStatus, Property};

use super::clean::one_line;
use super::vtimezone;
use crate::domain::time::zone::Tz;

/// How long the calendar shows it: the copying takes longer or not, but a day need not be blocked for it.
const SHOWN: TimeDelta = TimeDelta::minutes(30);

/// A chosen time.
#[derive(Debug, Clone)]
pub struct Appointment<'a> {
    /// The same in every file about it.
    pub uid: String,
    /// Higher than in every file before.
    pub sequence: i32,
    /// When this file was made.
    pub stamp: DateTime<Utc>,
    pub starts: DateTime<Utc>,
    /// The zone its reader lives in, by its IANA name.
    pub zone: &'a str,
    pub summary: String,
    pub description: String,
    pub url: String,
    /// Bare mail addresses.
    pub organizer: &'a str,
    pub attendee: &'a str,
    pub cancelled: bool,
}

/// Its beginning and end as the reader's zone has them; `None` where that would not say which moments are meant, or the zone
/// is UTC.
fn local(of: &Appointment<'_>) -> Option<(Tz, CalendarDateTime, CalendarDateTime)> {
    let zone: Tz = of.zone.parse().ok()?;
    let tzid = || zone.name().to_owned();
    let in_zone = |at| {
        let date_time = vtimezone::local(zone, at)?;
        Some(CalendarDateTime::WithTimezone {
            date_time,
            tzid: tzid(),
        })
    };
    let (starts, ends) = (in_zone(of.starts)?, in_zone(of.starts + SHOWN)?);
    Some((zone, starts, ends))
}

/// The file's text: lines of at most 75 octets that end in CR LF. The time is in its reader's zone, whose rules go with it;
/// else in UTC, which every program shows as its reader's time.
pub fn file(of: &Appointment<'_>) -> String {
    let (method, status) = if of.cancelled {
        ("CANCEL", EventStatus::Cancelled)
    } else {
        ("REQUEST", EventStatus::Confirmed)
    };
    let mut attendee = Property::new("ATTENDEE", format!("mailto:{}", of.attendee));
    attendee
        .add_parameter("PARTSTAT", "ACCEPTED")
        .add_parameter("RSVP", "FALSE");
    let mut event = Event::with_uid(&of.uid);
    event
        .sequence(u32::try_from(of.sequence).unwrap_or(0))
        .timestamp(of.stamp)
        .summary(&one_line(&of.summary))
        .description(&of.description)
        .url(&of.url)
        .status(status)
        .add_property("TRANSP", "TRANSPARENT")
        .add_property("ORGANIZER", format!("mailto:{}", of.organizer))
        .append_property(attendee);
    let zone = match local(of) {
        Some((zone, starts, ends)) => {
            event.starts(starts).ends(ends);
            Some(zone)
        }
        None => {
            event.starts(of.starts).ends(of.starts + SHOWN);
            None
        }
    };
    let mut calendar = Calendar::empty();
    for (key, value) in [
        ("VERSION", "2.0"),
        ("PRODID", "-//xenbeta//portal//EN"),
        ("CALSCALE", "GREGORIAN"),
        ("METHOD", method),
        ("X-WR-TIMEZONE", of.zone),
    ] {
        calendar.append_property(Property::new(key, value));
    }
    calendar.push(event.done());
    let text = calendar.to_string();
    let Some(zone) = zone else { return text };
    // The crate would give a zone a UID and a stamp, which it must not have; so it comes in as text, before the one event.
    // The first such line is that event's: the ones before it are this function's own.
    let rules = vtimezone::component(zone, of.starts);
    text.replacen("BEGIN:VEVENT\r\n", &format!("{rules}BEGIN:VEVENT\r\n"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    fn appointment() -> Appointment<'static> {
        Appointment {
            uid: "migration-7@lpm.example.net".to_owned(),
            sequence: 0,
            stamp: Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap(),
            starts: Utc.with_ymd_and_hms(2026, 12, 24, 17, 30, 0).unwrap(),
            zone: "UTC",
            summary: String::new(),
            description: String::new(),
            url: String::new(),
            organizer: "beta@lpm.example.net",
            attendee: "mia@example.com",
            cancelled: false,
        }
    }

    #[test]
    fn a_letter_of_several_octets_is_never_cut_where_a_line_is_folded() {
        for before in 0..80 {
            let summary = format!("{}\u{1f4bb}\u{1f1e6}\u{1f1f9} moves", "x".repeat(before));
            let text = file(&Appointment {
                summary: summary.clone(),
                ..appointment()
            });
            for line in text.split("\r\n") {
                assert!(line.len() <= 75, "{line:?}");
            }
            let unfolded = text.replace("\r\n ", "");
            assert!(
                unfolded.contains(&format!("SUMMARY:{summary}\r\n")),
                "{before}: {text}"
            );
        }
    }

    #[test]
    fn a_file_has_one_event_and_short_lines() {
        let text = file(&Appointment {
            sequence: 2,
            zone: "Europe/Vienna",
            summary: "web\r\nMETHOD:PUBLISH moves".to_owned(),
            description: "Ünïcode; with, a long description that goes on and on, past the seventy-five octets\nof a line"
                .to_owned(),
            url: "https://lpm.example.net/members/migrations/7".to_owned(),
            cancelled: true,
            ..appointment()
        });
        assert!(text.ends_with("END:VCALENDAR\r\n"));
        for line in text.split("\r\n") {
            assert!(line.len() <= 75 && !line.contains(['\r', '\n']), "{line:?}");
        }
        let lines: Vec<&str> = text.split("\r\n").collect();
        for expected in [
            "METHOD:CANCEL",
            "SEQUENCE:2",
            "STATUS:CANCELLED",
            "UID:migration-7@lpm.example.net",
            "DTSTART;TZID=Europe/Vienna:20261224T183000",
            "DTEND;TZID=Europe/Vienna:20261224T190000",
            "TZID:Europe/Vienna",
            "DTSTAMP:20261122T120000Z",
            "SUMMARY:web METHOD:PUBLISH moves",
        ] {
            assert!(lines.contains(&expected), "{expected}: {text}");
        }
        assert_eq!(
            text.matches("METHOD:").count(),
            2,
            "one of them in a summary"
        );
    }
}
