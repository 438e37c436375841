//! When a member's Linode may stop for the move: the provider's quiet hours, how many stops a host has at once and in an hour,
//! and the moments at which a member is reminded.

use std::collections::BTreeMap;

use chrono::{Datelike, Timelike};

use crate::domain::ids::HostId;
use crate::domain::time::Time;
use crate::domain::time::zone::Tz;

const HOUR_S: i64 = 3600;
/// Stops are counted by so many seconds: about what one takes, from the order to stop until it runs again.
pub const SLOT_S: i64 = 300;
const DAY_S: i64 = 86_400;
/// A chosen time is reminded of this long before.
pub const REMIND_S: i64 = DAY_S;
/// The end of an offer is reminded of these days before.
const OFFER_DAYS: [i64; 2] = [3, 1];

/// Quiet minutes that begin on one weekday, counted from its midnight; an end that is not after the beginning is on the
/// next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    pub begins: u16,
    /// 1 to 1440.
    pub ends: u16,
}

impl Quiet {
    fn over_midnight(self) -> bool {
        self.ends <= self.begins
    }
}

/// The provider's limits. The default is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The zone the quiet hours are in.
    pub zone: Tz,
    /// Monday first.
    pub quiet: [Option<Quiet>; 7],
    /// Chosen times in one hour on one host, at most.
    pub per_hour: Option<i32>,
    /// Linodes that stop at once on one host, at most.
    pub stops_at_once: i32,
    /// What is copied on one host in quiet hours, at most, in MB/s (10^6 bytes).
    pub quiet_cap_mb_s: Option<i32>,
}

/// Unless staff set it.
const STOPS_AT_ONCE: i32 = 4;

impl Default for Limits {
    fn default() -> Self {
        Self {
            zone: Tz::UTC,
            quiet: [None; 7],
            per_hour: None,
            stops_at_once: STOPS_AT_ONCE,
            quiet_cap_mb_s: None,
        }
    }
}

/// How many stop in each slot (counted from 1970), by host.
#[derive(Debug, Clone, Default)]
pub struct Taken(BTreeMap<(HostId, i64), i32>);

impl Taken {
    pub fn add(&mut self, host: HostId, at: Time) {
        *self.0.entry((host, slot(at))).or_default() += 1;
    }

    fn in_slot(&self, host: HostId, at: Time) -> i32 {
        self.0.get(&(host, slot(at))).copied().unwrap_or(0)
    }

    fn in_hour(&self, host: HostId, at: Time) -> i32 {
        let slots = HOUR_S / SLOT_S;
        let first = slot(at).div_euclid(slots) * slots;
        let hour = (host, first)..(host, first + slots);
        self.0.range(hour).map(|(_, count)| count).sum()
    }
}

fn slot(at: Time) -> i64 {
    at.utc().timestamp().div_euclid(SLOT_S)
}

/// Why none may stop then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum No {
    Quiet,
    Full,
}

impl Limits {
    pub fn has_quiet_hours(&self) -> bool {
        self.quiet.iter().any(Option::is_some)
    }

    pub fn is_quiet(&self, at: Time) -> bool {
        let local = at.utc().with_timezone(&self.zone);
        let today = local.weekday().num_days_from_monday() as usize;
        let minute = u16::try_from(local.hour() * 60 + local.minute()).unwrap_or(0);
        let of = |day: usize| self.quiet.get(day % 7).copied().flatten();
        let since_today = of(today).is_some_and(|quiet| {
            quiet.begins <= minute && (quiet.over_midnight() || minute < quiet.ends)
        });
        let since_yesterday =
            of(today + 6).is_some_and(|quiet| quiet.over_midnight() && minute < quiet.ends);
        since_today || since_yesterday
    }

    /// What a host with this cap of its own may copy at that moment, in MB/s.
    pub fn cap_mb_s(&self, own: Option<u32>, at: Time) -> Option<u32> {
        let quiet = self
            .quiet_cap_mb_s
            .filter(|_| self.is_quiet(at))
            .and_then(|cap| u32::try_from(cap).ok());
        own.into_iter().chain(quiet).min()
    }

    /// The first moment from `at` on that is not quiet; `None` if there is none within eight days.
    pub fn open_from(&self, at: Time) -> Option<Time> {
        if !self.is_quiet(at) {
            return Some(at);
        }
        let minute = at.plus_s(60 - at.utc().timestamp().rem_euclid(60));
        (0..8 * 24 * 60)
            .map(|minutes| minute.plus_s(minutes * 60))
            .find(|moment| !self.is_quiet(*moment))
            .map(|moment| moment.plus_s(-moment.utc().timestamp().rem_euclid(60)))
    }

    /// The first moment from `now` on at which a move may stop its Linode. `is_bound`: quiet hours bind it.
    pub fn first_stop(&self, chosen: Option<Time>, is_bound: bool, now: Time) -> Option<Time> {
        let at = chosen.map_or(now, |at| at.max(now));
        if is_bound {
            self.open_from(at)
        } else {
            Some(at)
        }
    }

    /// May a stop between these hosts be set for `at`?
    pub fn allows(&self, at: Time, hosts: [HostId; 2], taken: &Taken) -> Result<(), No> {
        if self.is_quiet(at) {
            return Err(No::Quiet);
        }
        let is_full = |host: &HostId| {
            taken.in_slot(*host, at) >= self.stops_at_once
                || self
                    .per_hour
                    .is_some_and(|most| taken.in_hour(*host, at) >= most)
        };
        if hosts.iter().any(is_full) {
            return Err(No::Full);
        }
        Ok(())
    }

    /// The next times after `now` and not after `until` that may be chosen, each a multiple of `every` seconds: at most
    /// `count`, looked for over fourteen days.
    pub fn free_times(
        &self,
        (now, until, every): (Time, Time, i64),
        hosts: [HostId; 2],
        taken: &Taken,
        count: usize,
    ) -> Vec<Time> {
        let next = now.plus_s(every - now.utc().timestamp().rem_euclid(every));
        let next = Time::new(next.utc().with_nanosecond(0).unwrap_or(next.utc()));
        (0..14 * DAY_S / every)
            .map(|turn| next.plus_s(turn * every))
            .take_while(|at| *at <= until)
            .filter(|at| self.allows(*at, hosts, taken).is_ok())
            .take(count)
            .collect()
    }
}

/// When the member is to be reminded of a chosen time: a day before, if that is still to come.
pub fn time_reminder(at: Time, now: Time) -> Option<Time> {
    Some(at.plus_s(-REMIND_S)).filter(|due| *due > now)
}

/// The next reminder of an offer's end after `now`.
pub fn offer_reminder(expires: Time, now: Time) -> Option<Time> {
    OFFER_DAYS
        .iter()
        .map(|days| expires.plus_days(-days))
        .find(|due| *due > now)
}

/// Is `due` one of the moments at which the end of an offer is reminded of?
pub fn is_offer_reminder(expires: Time, due: Time) -> bool {
    OFFER_DAYS
        .iter()
        .any(|days| expires.plus_days(-days) == due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDateTime;

    const A: HostId = HostId(1);
    const B: HostId = HostId(2);

    fn at(text: &str) -> Time {
        let parsed = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
        Time::new(parsed.and_utc())
    }

    /// Working days from eight to six, the night from Saturday ten to Sunday six; in Berlin.
    fn limits() -> Limits {
        let day = Quiet {
            begins: 8 * 60,
            ends: 18 * 60,
        };
        let mut quiet = [Some(day); 7];
        quiet[5] = Some(Quiet {
            begins: 22 * 60,
            ends: 6 * 60,
        });
        quiet[6] = None;
        Limits {
            zone: "Europe/Berlin".parse().unwrap(),
            quiet,
            per_hour: Some(1),
            ..Limits::default()
        }
    }

    #[test]
    fn quiet_hours_are_in_the_providers_zone() {
        let limits = limits();
        // 23 Nov 2026 is a Monday; Berlin is an hour ahead of UTC.
        for (when, quiet) in [
            ("2026-11-23 06:59", false),
            ("2026-11-23 07:00", true),
            ("2026-11-23 16:59", true),
            ("2026-11-23 17:00", false),
            ("2026-11-28 12:00", false),
            ("2026-11-28 21:00", true),
            ("2026-11-28 23:30", true),
            ("2026-11-29 04:59", true),
            ("2026-11-29 05:00", false),
            // In summer two hours ahead.
            ("2027-06-07 06:00", true),
            ("2027-06-07 05:59", false),
        ] {
            assert_eq!(limits.is_quiet(at(when)), quiet, "{when}");
        }
        assert_eq!(
            limits.open_from(at("2026-11-23 12:34")),
            Some(at("2026-11-23 17:00"))
        );
        assert_eq!(
            limits.open_from(at("2026-11-28 22:00")),
            Some(at("2026-11-29 05:00"))
        );
        assert_eq!(
            limits.open_from(at("2026-11-29 12:34")),
            Some(at("2026-11-29 12:34"))
        );
        let always = Limits {
            quiet: [Some(Quiet {
                begins: 0,
                ends: 1440,
            }); 7],
            ..Limits::default()
        };
        assert_eq!(always.open_from(at("2026-11-23 12:34")), None);
    }

    #[test]
    fn free_hours_are_neither_quiet_nor_full() {
        let limits = limits();
        let mut taken = Taken::default();
        taken.add(B, at("2026-11-23 18:20"));
        let (now, until) = (at("2026-11-23 05:30"), at("2026-11-23 20:00"));
        let free = limits.free_times((now, until, HOUR_S), [A, B], &taken, 10);
        let expected: Vec<Time> = [
            "2026-11-23 06:00",
            "2026-11-23 17:00",
            "2026-11-23 19:00",
            "2026-11-23 20:00",
        ]
        .map(at)
        .to_vec();
        assert_eq!(free, expected);
        assert_eq!(
            limits.allows(at("2026-11-23 18:59"), [A, B], &taken),
            Err(No::Full)
        );
        assert_eq!(
            limits.allows(at("2026-11-23 18:59"), [A, HostId(3)], &taken),
            Ok(())
        );
        assert_eq!(
            limits.allows(at("2026-11-23 08:00"), [A, B], &taken),
            Err(No::Quiet)
        );
    }

    #[test]
    fn a_host_stops_a_few_at_once() {
        let limits = Limits {
            stops_at_once: 2,
            ..Limits::default()
        };
        let mut taken = Taken::default();
        let two = at("2026-11-23 02:00");
        taken.add(A, two);
        assert_eq!(limits.allows(two, [A, B], &taken), Ok(()));
        taken.add(A, two.plus_s(299));
        assert_eq!(limits.allows(two, [A, B], &taken), Err(No::Full));
        assert_eq!(limits.allows(two, [B, HostId(3)], &taken), Ok(()));
        let until = two.plus_days(1);
        let free = limits.free_times((two.plus_s(-1), until, SLOT_S), [A, B], &taken, 1);
        assert_eq!(free, [two.plus_s(SLOT_S)]);
    }

    #[test]
    fn reminders_come_before_and_never_late() {
        let now = at("2026-11-22 12:00");
        assert_eq!(
            time_reminder(at("2026-11-23 12:01"), now),
            Some(at("2026-11-22 12:01"))
        );
        assert_eq!(time_reminder(at("2026-11-23 12:00"), now), None);
        let expires = at("2026-11-26 12:00");
        assert_eq!(offer_reminder(expires, now), Some(at("2026-11-23 12:00")));
        assert_eq!(
            offer_reminder(expires, at("2026-11-23 12:00")),
            Some(at("2026-11-25 12:00"))
        );
        assert_eq!(offer_reminder(expires, at("2026-11-25 12:00")), None);
        assert!(is_offer_reminder(expires, at("2026-11-25 12:00")));
        assert!(!is_offer_reminder(expires, now));
    }
}
