//! The figures from which staff decide to end the beta: what became of the moves, and how long Linodes were down for them.

pub mod backlog;
pub mod verdict;

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime};

use super::ids::MigrationId;
use super::migration::{MigrationKind, MigrationState};
use super::time::Time;

/// What became of a move that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It runs on its new host.
    Moved,
    /// … and its member took it back, or is about to.
    WentBack,
    /// Its last try failed, or it was given up after one had failed.
    Failed,
    /// Its member or staff stopped it before the switch, and no try had failed.
    Cancelled,
    /// Not over yet.
    UnderWay,
}

/// A move that was given up after a try had failed counts as failed, not as cancelled.
pub fn ended(state: MigrationState, tries_failed: u32) -> Ended {
    match state {
        MigrationState::Finished | MigrationState::Confirmed => Ended::Moved,
        MigrationState::Returning | MigrationState::Returned => Ended::WentBack,
        MigrationState::Failed => Ended::Failed,
        MigrationState::Cancelled | MigrationState::Expired if tries_failed > 0 => Ended::Failed,
        MigrationState::Cancelled | MigrationState::Expired => Ended::Cancelled,
        MigrationState::Offered
        | MigrationState::Queued
        | MigrationState::Preparing
        | MigrationState::Copying
        | MigrationState::Holding
        | MigrationState::Switching => Ended::UnderWay,
    }
}

/// A move that was started: not a way back, which counts with the move it takes back.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    pub id: MigrationId,
    pub kind: MigrationKind,
    pub state: MigrationState,
    /// When its last try was.
    pub started: Time,
    pub tries_failed: u32,
    /// Seconds that its member was without it in its last try; `None` if it was not stopped, or off before.
    pub down_s: Option<i64>,
}

/// A try of a move that failed: there may have been others after it.
#[derive(Debug, Clone, Copy)]
pub struct FailedTry {
    pub kind: MigrationKind,
    pub at: Time,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub moved: u32,
    pub went_back: u32,
    pub failed: u32,
    pub cancelled: u32,
    pub under_way: u32,
    /// Every try that failed, however its move ended.
    pub failed_tries: u32,
}

impl Counts {
    fn add(&mut self, ended: Ended) {
        let count = match ended {
            Ended::Moved => &mut self.moved,
            Ended::WentBack => &mut self.went_back,
            Ended::Failed => &mut self.failed,
            Ended::Cancelled => &mut self.cancelled,
            Ended::UnderWay => &mut self.under_way,
        };
        *count += 1;
    }

    pub fn started(&self) -> u32 {
        self.moved + self.went_back + self.failed + self.cancelled + self.under_way
    }

    /// Of the tries that came to an end by themselves, how many per cent reached their new host; `None` for none.
    pub fn reached_percent(&self) -> Option<u32> {
        let reached = self.moved + self.went_back;
        (reached * 100).checked_div(reached + self.failed_tries)
    }
}

/// Seconds down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Down {
    pub median_s: i64,
    /// Nine of ten took so long, or less.
    pub p90_s: i64,
    pub worst_s: i64,
    pub of: usize,
}

/// The median is the lower of the two in the middle.
pub fn down(mut seconds: Vec<i64>) -> Option<Down> {
    seconds.sort_unstable();
    let middle = seconds.len().checked_sub(1)? / 2;
    Some(Down {
        median_s: *seconds.get(middle)?,
        p90_s: *seconds.get((seconds.len() * 9).div_ceil(10).max(1) - 1)?,
        worst_s: *seconds.last()?,
        of: seconds.len(),
    })
}

/// Moves started in one week, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Week {
    /// Its Monday, in UTC.
    pub monday: NaiveDate,
    pub counts: Counts,
    pub down: Option<Down>,
}

/// The Monday of the week this moment is in.
pub fn monday(at: Time) -> NaiveDate {
    let day = at.utc().date_naive();
    let after = u64::from(day.weekday().num_days_from_monday());
    day.checked_sub_days(Days::new(after)).unwrap_or(day)
}

/// When a day begins, in UTC.
pub fn begin(day: NaiveDate) -> Time {
    Time::new(day.and_time(NaiveTime::MIN).and_utc())
}

pub fn next_week(monday: NaiveDate) -> NaiveDate {
    monday.checked_add_days(Days::new(7)).unwrap_or(monday)
}

/// The Mondays of all weeks from `first`'s to `now`'s; oldest first.
pub fn mondays(first: Time, now: Time) -> Vec<NaiveDate> {
    let last = monday(now);
    // Bounded by what a clock that jumps could do.
    std::iter::successors(Some(monday(first)), |week| Some(next_week(*week)))
        .take_while(|week| *week <= last)
        .take(600)
        .collect()
}

/// The first Monday of a week as the database counts them: from the first Monday of 1970 on.
pub fn monday_of(week: i64) -> NaiveDate {
    let days = week.saturating_mul(7).saturating_add(4);
    monday(Time::new(DateTime::UNIX_EPOCH).plus_days(days))
}

/// These weeks, also those without any move.
pub fn weeks(mondays: &[NaiveDate], moves: &[Move], failed: &[FailedTry]) -> Vec<Week> {
    let mut by_week: BTreeMap<NaiveDate, (Counts, Vec<i64>)> = BTreeMap::new();
    for it in moves {
        let (counts, seconds) = by_week.entry(monday(it.started)).or_default();
        counts.add(ended(it.state, it.tries_failed));
        seconds.extend(it.down_s);
    }
    for it in failed {
        by_week.entry(monday(it.at)).or_default().0.failed_tries += 1;
    }
    mondays
        .iter()
        .map(|week| {
            let (counts, seconds) = by_week.remove(week).unwrap_or_default();
            Week {
                monday: *week,
                counts,
                down: down(seconds),
            }
        })
        .collect()
}

/// All of these together.
pub fn total<'a>(
    moves: impl IntoIterator<Item = &'a Move>,
    failed_tries: usize,
) -> (Counts, Option<Down>) {
    let (mut counts, mut seconds) = (Counts::default(), Vec::new());
    counts.failed_tries = u32::try_from(failed_tries).unwrap_or(u32::MAX);
    for it in moves {
        counts.add(ended(it.state, it.tries_failed));
        seconds.extend(it.down_s);
    }
    (counts, down(seconds))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};

    fn at(day: u32) -> Time {
        Time::new(Utc.with_ymd_and_hms(2026, 11, day, 23, 59, 59).unwrap())
    }

    fn moved(day: u32, state: MigrationState, down_s: Option<i64>) -> Move {
        Move {
            id: MigrationId(1),
            kind: MigrationKind::Beta,
            state,
            started: at(day),
            tries_failed: u32::from(state == MigrationState::Failed),
            down_s,
        }
    }

    #[test]
    fn weeks_begin_on_mondays_and_none_is_left_out() {
        // 1 November 2026 is a Sunday.
        let moves = [
            moved(1, MigrationState::Confirmed, Some(20)),
            moved(2, MigrationState::Failed, None),
            moved(16, MigrationState::Returned, Some(50)),
            moved(17, MigrationState::Finished, Some(10)),
            moved(18, MigrationState::Cancelled, None),
            moved(19, MigrationState::Copying, None),
        ];
        // The move of the 17th reached its host in its second try.
        let failed = [2, 16].map(|day| FailedTry {
            kind: MigrationKind::Beta,
            at: at(day),
        });
        let mondays = mondays(at(1), at(24));
        let weeks = weeks(&mondays, &moves, &failed);
        let names: Vec<String> = weeks.iter().map(|week| week.monday.to_string()).collect();
        assert_eq!(
            names,
            [
                "2026-10-26",
                "2026-11-02",
                "2026-11-09",
                "2026-11-16",
                "2026-11-23"
            ]
        );
        let counts: Vec<u32> = weeks.iter().map(|week| week.counts.started()).collect();
        assert_eq!(counts, [1, 1, 0, 4, 0]);
        let tries: Vec<u32> = weeks.iter().map(|week| week.counts.failed_tries).collect();
        assert_eq!(tries, [0, 1, 0, 1, 0]);
        let (all, down) = total(&moves, failed.len());
        assert_eq!(all.reached_percent(), Some(60), "3 of 5 tries");
        assert_eq!(
            (all.moved, all.went_back, all.failed, all.cancelled),
            (2, 1, 1, 1)
        );
        let down = down.unwrap();
        assert_eq!((down.median_s, down.worst_s, down.of), (20, 50, 3));
        let many = super::down((1..=20).collect()).unwrap();
        assert_eq!((many.median_s, many.p90_s, many.worst_s), (10, 18, 20));
        assert_eq!(Counts::default().reached_percent(), None);
        assert!(super::down(Vec::new()).is_none());
    }

    #[test]
    fn giving_up_after_a_failed_try_is_no_cancel() {
        assert_eq!(ended(MigrationState::Cancelled, 0), Ended::Cancelled);
        assert_eq!(ended(MigrationState::Cancelled, 1), Ended::Failed);
        assert_eq!(ended(MigrationState::Finished, 2), Ended::Moved);
        assert_eq!(ended(MigrationState::Queued, 1), Ended::UnderWay);
    }

    #[test]
    fn weeks_of_the_database_begin_on_mondays() {
        assert_eq!(monday_of(0).to_string(), "1970-01-05");
        // 9 November 2026, 16:00 UTC, in days since 1970.
        let day = at(9).utc().timestamp() / 86_400;
        assert_eq!(monday_of((day - 4) / 7).to_string(), "2026-11-09");
    }
}
