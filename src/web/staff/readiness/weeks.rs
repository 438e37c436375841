//! The figures of `/staff/readiness` week by week: rows, chart, CSV.

use crate::domain::bug::Severity;
use crate::domain::fairness::judge::Verdict;
use crate::domain::readiness::backlog::{self, BugChange, BugNow, OPEN, OpenBugs};
use crate::domain::readiness::{self, Down, FailedTry, Move, Week};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store::host::silence::SilentWeek;
use crate::web::ui::chart::{Chart, Scale, Values, Words, top_of};
use crate::web::ui::{Tag, Zone, units};

/// The bars' height and the width of a week in it.
const HEIGHT: u32 = 120;
const STEP: u32 = 12;

/// What the weeks are made from.
pub struct Rows<'a> {
    pub since: Time,
    pub now: Time,
    pub moves: &'a [Move],
    pub tries: &'a [FailedTry],
    pub bugs: &'a [BugNow],
    pub changes: &'a [BugChange],
    /// Week (as the database counts), verdict, host.
    pub fairness: Vec<(i64, Verdict, String)>,
    /// Since when hosts are looked after.
    pub silence_began: Option<Time>,
    pub silence: Vec<SilentWeek>,
}

/// One week's figures.
pub struct Figures {
    pub moves: Week,
    /// Open when it ended.
    pub bugs: OpenBugs,
    pub worst: Option<(Verdict, String)>,
    pub unfair: usize,
    /// Hosts that were silent in it, and for how many seconds in all; `None`: nobody looked yet.
    pub silent: Option<(i64, i64)>,
}

impl Rows<'_> {
    fn first(&self) -> Option<Time> {
        let week = |week: i64| readiness::begin(readiness::monday_of(week));
        let starts = [
            self.moves.iter().map(|it| it.started).min(),
            self.tries.iter().map(|it| it.at).min(),
            self.bugs.iter().map(|it| it.opened_at).min(),
            self.fairness.first().map(|it| week(it.0)),
            self.silence_began,
        ];
        let first = starts.into_iter().flatten().min()?;
        Some(first.max(self.since))
    }

    /// From the first with anything in it to now's; oldest first.
    pub fn weeks(&self) -> Vec<Figures> {
        let Some(first) = self.first() else {
            return Vec::new();
        };
        let mondays = readiness::mondays(first, self.now);
        let ends: Vec<Time> = mondays
            .iter()
            .map(|monday| readiness::begin(readiness::next_week(*monday)))
            .collect();
        let bugs = backlog::open_at(&ends, self.bugs, self.changes);
        readiness::weeks(&mondays, self.moves, self.tries)
            .into_iter()
            .zip(bugs)
            .map(|(moves, bugs)| {
                let monday = moves.monday;
                let here = |week: i64| readiness::monday_of(week) == monday;
                let fairness = || self.fairness.iter().filter(|it| here(it.0));
                let looked = self
                    .silence_began
                    .is_some_and(|began| began < readiness::begin(readiness::next_week(monday)));
                let silent = self.silence.iter().find(|it| here(it.week));
                Figures {
                    worst: fairness()
                        .max_by_key(|it| it.1)
                        .map(|(_, verdict, host)| (*verdict, host.clone())),
                    unfair: fairness().filter(|it| it.1 == Verdict::Unfair).count(),
                    silent: looked.then(|| silent.map_or((0, 0), |it| (it.hosts, it.seconds))),
                    moves,
                    bugs,
                }
            })
            .collect()
    }
}

/// A week as the page shows it.
#[derive(Debug)]
pub struct WeekRow {
    pub monday: String,
    pub url: String,
    pub counts: readiness::Counts,
    pub median: String,
    pub p90: String,
    pub worst: String,
    /// Open bugs in the order of the states, then of the severities.
    pub bugs: Vec<u32>,
    pub fairness: Option<(Tag, String)>,
    pub unfair: usize,
    pub silent: String,
}

pub fn span(down: Option<Down>, of: impl Fn(Down) -> i64) -> String {
    down.map_or_else(|| "–".to_owned(), |down| units::span(of(down)))
}

impl WeekRow {
    pub fn new(of: &Figures) -> Self {
        let week = &of.moves;
        let states = OPEN.iter().map(|state| of.bugs.of_state(*state));
        let severities = Severity::ALL.iter().map(|it| of.bugs.of_severity(*it));
        Self {
            monday: week.monday.to_string(),
            url: format!("/staff/migrations?week={}", week.monday),
            counts: week.counts,
            median: span(week.down, |down| down.median_s),
            p90: span(week.down, |down| down.p90_s),
            worst: span(week.down, |down| down.worst_s),
            bugs: states.chain(severities).collect(),
            fairness: of
                .worst
                .as_ref()
                .map(|(verdict, host)| (super::shared::verdict_tag(*verdict), host.clone())),
            unfair: of.unfair,
            silent: match of.silent {
                None => "–".to_owned(),
                Some((0, _)) => "0".to_owned(),
                Some((hosts, seconds)) => format!("{hosts}, {} in all", units::span(seconds)),
            },
        }
    }
}

/// Moves week by week: those that reached their host below, those that failed on top.
#[derive(Debug)]
pub struct Bars {
    pub width: u32,
    pub bars: Vec<Bar>,
    /// Beside the top line and the one in the middle; at the first and the last week.
    pub top: String,
    pub middle: String,
    pub from: String,
    pub to: String,
    pub words: String,
}

#[derive(Debug)]
pub struct Bar {
    pub x: u32,
    pub reached: (u32, u32),
    pub failed: (u32, u32),
}

pub fn bars(weeks: &[Figures]) -> Option<Bars> {
    let counts = || weeks.iter().map(|week| week.moves.counts);
    let most = counts().map(|it| it.started()).max()?.max(1);
    // Even, so that the line in the middle is a whole number of moves.
    let top = most.next_multiple_of(2);
    let scaled = |count: u32| count * HEIGHT / top;
    let bars = counts()
        .zip(0_u32..)
        .map(|(week, index)| {
            let reached = scaled(week.moved + week.went_back);
            let failed = scaled(week.failed);
            Bar {
                x: index * STEP + 1,
                reached: (HEIGHT.saturating_sub(reached), reached),
                failed: (HEIGHT.saturating_sub(reached + failed), failed),
            }
        })
        .collect();
    let (all, failed) = counts().fold((0, 0), |(all, failed), week| {
        (all + week.started(), failed + week.failed)
    });
    let monday = |week: Option<&Figures>| week.map(|it| it.moves.monday.to_string());
    Some(Bars {
        width: u32::try_from(weeks.len()).unwrap_or(1) * STEP,
        bars,
        top: top.to_string(),
        middle: (top / 2).to_string(),
        from: monday(weeks.first())?,
        to: monday(weeks.last())?,
        words: format!(
            "{all} moves in {} weeks, at most {most} in one; {failed} failed. The table below has each week.",
            weeks.len()
        ),
    })
}

const DOWNTIMES: Words = Words {
    id: "down",
    title: "Downtime by week",
    desc: "The downtime of the moves of each week: the median, and what nine of ten took at most. The table below has each week.",
};
const WEEK_S: i64 = 7 * 86_400;

/// Downtimes week by week, if there were any.
pub fn downtimes(weeks: &[Figures], zone: Zone) -> Option<Chart> {
    let at = |week: &Figures| readiness::begin(week.moves.monday).utc().timestamp();
    let values = |of: fn(Down) -> i64| -> Values {
        let value = |week: &Figures| (at(week), week.moves.down.map(|down| of(down) as f64));
        weeks.iter().map(value).collect()
    };
    let (median, p90) = (values(|it| it.median_s), values(|it| it.p90_s));
    let top = top_of(p90.iter().filter_map(|it| it.1));
    p90.iter().any(|it| it.1.is_some()).then_some(())?;
    let scale = Scale {
        from: at(weeks.first()?),
        until: at(weeks.last()?),
        top,
        gap: WEEK_S,
    };
    let lines = [("the median", median), ("nine of ten at most", p90)];
    Some(Chart::new(DOWNTIMES, scale, lines, (seconds, zone)))
}

fn seconds(value: f64) -> String {
    format!("{value} s")
}

pub fn csv_names() -> Vec<String> {
    let moves = [
        "week_from_utc",
        "started",
        "moved",
        "went_back",
        "failed",
        "cancelled",
        "under_way",
        "tries_failed",
        "down_median_s",
        "down_worst_s",
    ];
    let bugs = OPEN.iter().flat_map(|state| {
        let severities = Severity::ALL.iter();
        severities.map(move |severity| format!("bugs_{state}_{severity}"))
    });
    let hosts = [
        "fairness_worst",
        "fairness_worst_host",
        "hosts_unfair",
        "hosts_silent",
        "hosts_silent_s",
        "down_p90_s",
    ];
    let owned = |name: &str| name.to_owned();
    (moves.into_iter().map(owned).chain(bugs))
        .chain(hosts.into_iter().map(owned))
        .collect()
}

impl Figures {
    /// In the order of [`csv_names`].
    pub fn csv(&self) -> Vec<String> {
        let (week, it) = (&self.moves, self.moves.counts);
        let number = |down: Option<Down>, of: fn(Down) -> i64| {
            down.map(|down| of(down).to_string()).unwrap_or_default()
        };
        let moves = [
            week.monday.to_string(),
            it.started().to_string(),
            it.moved.to_string(),
            it.went_back.to_string(),
            it.failed.to_string(),
            it.cancelled.to_string(),
            it.under_way.to_string(),
            it.failed_tries.to_string(),
            number(week.down, |down| down.median_s),
            number(week.down, |down| down.worst_s),
        ];
        let bugs = OPEN.iter().flat_map(|state| {
            let severities = Severity::ALL.iter();
            severities.map(move |severity| self.bugs.of(*state, *severity).to_string())
        });
        let (verdict, host) = match &self.worst {
            Some((verdict, host)) => (verdict.word().to_owned(), host.clone()),
            None => (String::new(), String::new()),
        };
        let silent = |of: fn((i64, i64)) -> i64| {
            self.silent
                .map(|silent| of(silent).to_string())
                .unwrap_or_default()
        };
        let hosts = [
            verdict,
            host,
            self.unfair.to_string(),
            silent(|(hosts, _)| hosts),
            silent(|(_, seconds)| seconds),
            number(week.down, |down| down.p90_s),
        ];
        moves.into_iter().chain(bugs).chain(hosts).collect()
    }
}
