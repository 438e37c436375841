//! The verdicts at the top of the readiness page: each figure beside its limit.

use crate::domain::migration::MigrationKind;
use crate::domain::readiness::verdict::{Bound, Check, Figures, Judged, Unit, Verdict};
use crate::domain::readiness::{self, Counts, Down, Move};
use crate::web::ui::{Tag, Tone, units};

#[derive(Debug)]
pub struct VerdictRow {
    pub of: &'static str,
    pub verdict: Tag,
    pub checks: Vec<CheckRow>,
}

#[derive(Debug)]
pub struct CheckRow {
    pub what: &'static str,
    pub figure: String,
    pub limit: String,
    pub holds: Tag,
}

impl From<&Judged> for VerdictRow {
    fn from(it: &Judged) -> Self {
        Self {
            of: it.of,
            verdict: match it.verdict {
                Verdict::Ready => Tag::new("Ready", Tone::Good),
                Verdict::NotReady => Tag::new("Not ready", Tone::Bad),
                Verdict::TooLittle => Tag::new("Too little to say", Tone::Plain),
            },
            checks: it.checks.iter().map(CheckRow::from).collect(),
        }
    }
}

impl From<&Check> for CheckRow {
    fn from(of: &Check) -> Self {
        let said = |value: i64| match of.unit {
            Unit::Count => value.to_string(),
            Unit::Percent => format!("{value} %"),
            Unit::Seconds => units::span(value),
        };
        let (word, limit) = match of.bound {
            Bound::Least(least) => ("at least", least),
            Bound::Most(most) => ("at most", most),
        };
        Self {
            what: of.what,
            figure: of.figure.map_or_else(|| "–".to_owned(), said),
            limit: format!("{word} {}", said(limit)),
            holds: match of.holds() {
                Some(true) => Tag::new("Kept", Tone::Good),
                Some(false) => Tag::new("Not kept", Tone::Bad),
                None => Tag::new("Unknown", Tone::Plain),
            },
        }
    }
}

/// What else there is, beside the moves.
pub struct Others {
    pub serious_bugs: i64,
    pub unfair_hosts: i64,
    pub failed_jobs: i64,
    pub silent_hosts: i64,
}

/// Of the moves that lead to Xen hosts; `failed_tries`: of these kinds of move.
pub fn figures(moves: &[Move], failed_tries: usize, others: &Others) -> Figures {
    let there = moves.iter().filter(|it| leads_there(it.kind));
    let (counts, down) = readiness::total(there, failed_tries);
    let ended = counts.moved + counts.went_back + counts.failed;
    Figures {
        moves: i64::from(ended),
        reached_percent: counts.reached_percent().map(i64::from),
        serious_bugs: others.serious_bugs,
        down_median_s: down.map(|it: Down| it.median_s),
        down_p90_s: down.map(|it| it.p90_s),
        unfair_hosts: others.unfair_hosts,
        went_back_percent: went_back_percent(&counts),
        failed_jobs: others.failed_jobs,
        silent_hosts: others.silent_hosts,
    }
}

pub fn leads_there(kind: MigrationKind) -> bool {
    match kind {
        MigrationKind::Beta | MigrationKind::Graduation => true,
        MigrationKind::Return | MigrationKind::Evacuation => false,
    }
}

fn went_back_percent(of: &Counts) -> Option<i64> {
    let percent = (of.went_back * 100).checked_div(of.moved + of.went_back);
    percent.map(i64::from)
}
