//! `/staff/readiness`: functionality, performance, reliability, in figures; each leads to what it counts.

use actix_web::HttpResponse;
use askama::Template;

use super::{Counted, csv_file};
use crate::app::AppError;
use crate::app::agents::SILENT_S;
use crate::domain::bug::{BugState, Severity};
use crate::domain::fairness::{Verdict, verdict};
use crate::domain::readiness::{self, Counts, Down, Move, Week};
use crate::domain::text::Word;
use crate::domain::words::{JobState, MigrationKind};
use crate::store::fairness::{self, Summary};
use crate::store::readiness as rows;
use crate::store::usage_pack::DAY_STEP;
use crate::store::{graduation, jobs, pages_members};
use crate::web::error::Fault;
use crate::web::extract::Staff;
use crate::web::members::Link;
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Tag, Tone, When, units};

/// How far back the figures go.
const WEEKS: i64 = 52;
/// Fairness is told for so many days, and for so many hosts, the worst first; the fairness page has them all.
const FAIR_DAYS: i64 = 7;
const FAIR_HOSTS: usize = 20;
/// The chart's height and the width of a week in it.
const HEIGHT: u32 = 120;
const STEP: u32 = 12;

#[derive(Debug, Template)]
#[template(path = "staff/readiness.html")]
pub struct ReadinessPage {
    pub page: Page,
    pub kinds: Vec<KindRow>,
    pub reliability: Vec<Counted>,
    pub severities: Vec<String>,
    pub bugs: Vec<BugRow>,
    pub fairness: Vec<FairRow>,
    pub weeks: Vec<WeekRow>,
    pub chart: Option<Chart>,
    pub as_of: When,
}

/// Open bugs of one state, by severity.
#[derive(Debug)]
pub struct BugRow {
    pub state: String,
    /// How many, with the list of them; in the order of the severities.
    pub counts: Vec<(i64, String)>,
}

/// How a host divided its CPU lately.
#[derive(Debug)]
pub struct FairRow {
    pub link: Link,
    pub verdict: Tag,
    pub contended: String,
    pub jain: String,
    pub least: String,
}

/// What became of the moves of one kind.
#[derive(Debug)]
pub struct KindRow {
    pub name: &'static str,
    pub kind: MigrationKind,
    pub counts: Counts,
    pub reached: String,
    pub median: String,
    pub worst: String,
}

#[derive(Debug)]
pub struct WeekRow {
    pub monday: String,
    pub url: String,
    pub counts: Counts,
    pub median: String,
    pub worst: String,
}

/// Moves week by week: those that reached their host below, those that failed on top.
#[derive(Debug)]
pub struct Chart {
    pub width: u32,
    pub height: u32,
    pub bars: Vec<Bar>,
    pub words: String,
}

#[derive(Debug)]
pub struct Bar {
    pub x: u32,
    pub reached: (u32, u32),
    pub failed: (u32, u32),
}

struct Facts {
    moves: Vec<Move>,
    failed_jobs: i64,
    silent: i64,
    ready: i64,
    fairness: Vec<(Summary, String)>,
    bugs: Vec<(BugState, Severity, i64)>,
}

async fn facts(portal: &Portal) -> Result<Facts, Fault> {
    portal::run(portal, |app| {
        let now = app.now();
        let since = readiness::begin(readiness::monday(now.plus_days(-7 * WEEKS)));
        app.db.read(|conn| {
            let until = now.utc().timestamp();
            let lately = (until - FAIR_DAYS * 86_400, until);
            let summaries = fairness::summaries(conn, DAY_STEP, lately)?;
            let hosts = summaries.iter().map(|of| of.host_id).collect();
            let names = pages_members::host_names(conn, hosts)?;
            let name = |of: &Summary| names.get(&of.host_id).cloned().unwrap_or_default();
            let failed = |(state, count)| (state == JobState::Failed).then_some(count);
            Ok::<_, AppError>(Facts {
                moves: rows::moves(conn, since)?,
                failed_jobs: jobs::counts(conn)?
                    .into_iter()
                    .find_map(failed)
                    .unwrap_or(0),
                silent: rows::silent_hosts(conn, now.plus_s(-SILENT_S))?,
                ready: graduation::count_ready(conn)?,
                bugs: rows::open_bugs(conn)?,
                fairness: summaries
                    .into_iter()
                    .map(|of| (of.clone(), name(&of)))
                    .collect(),
            })
        })
    })
    .await
}

fn seconds(down: Option<Down>, of: impl Fn(Down) -> i64) -> String {
    down.map_or_else(|| "–".to_owned(), |down| units::span(of(down)))
}

fn kind_row(name: &'static str, kind: MigrationKind, moves: &[Move]) -> KindRow {
    let (counts, down) = readiness::total(moves.iter().filter(|it| it.kind == kind));
    KindRow {
        name,
        kind,
        reached: counts
            .reached_percent()
            .map_or_else(|| "–".to_owned(), |percent| format!("{percent} %")),
        median: seconds(down, |down| down.median_s),
        worst: seconds(down, |down| down.worst_s),
        counts,
    }
}

fn bug_rows(of: &[(BugState, Severity, i64)]) -> Vec<BugRow> {
    [BugState::New, BugState::Confirmed, BugState::InProgress]
        .into_iter()
        .map(|state| BugRow {
            state: state.to_string().replace('_', " "),
            counts: Severity::ALL
                .iter()
                .map(|severity| {
                    let found = of.iter().find(|it| it.0 == state && it.1 == *severity);
                    let url = format!("/staff/bugs?state={state}&severity={severity}");
                    (found.map_or(0, |it| it.2), url)
                })
                .collect(),
        })
        .collect()
}

/// The worst first.
fn fair_rows(of: &[(Summary, String)]) -> Vec<FairRow> {
    let judged = |of: &Summary| verdict(&of.figures());
    let mut rows: Vec<(Verdict, &Summary, &String)> = of
        .iter()
        .map(|(summary, name)| (judged(summary), summary, name))
        .collect();
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.2.cmp(b.2)));
    rows.into_iter()
        .take(FAIR_HOSTS)
        .map(|(verdict, of, name)| {
            let tone = match verdict {
                Verdict::Unknown | Verdict::TooLittle | Verdict::NotCompared => Tone::Plain,
                Verdict::Fair => Tone::Good,
                Verdict::Uneven => Tone::Warn,
                Verdict::Unfair => Tone::Bad,
            };
            FairRow {
                link: Link::new(
                    format!("/staff/hosts/{}/fairness", of.host_id),
                    name.clone(),
                ),
                verdict: Tag::new(verdict.word(), tone),
                contended: units::span(of.contended_ms / 1000),
                jain: format!("{:.2}", of.jain()),
                least: format!("{:.0} %", of.least() * 100.0),
            }
        })
        .collect()
}

fn week_row(week: &Week) -> WeekRow {
    WeekRow {
        monday: week.monday.to_string(),
        url: format!("/staff/migrations?week={}", week.monday),
        counts: week.counts,
        median: seconds(week.down, |down| down.median_s),
        worst: seconds(week.down, |down| down.worst_s),
    }
}

fn chart(weeks: &[Week]) -> Option<Chart> {
    let most = weeks.iter().map(|it| it.counts.started()).max()?.max(1);
    let scaled = |count: u32| count * HEIGHT / most;
    let bars = weeks
        .iter()
        .zip(0_u32..)
        .map(|(week, index)| {
            let reached = scaled(week.counts.moved + week.counts.went_back);
            let failed = scaled(week.counts.failed);
            Bar {
                x: index * STEP,
                reached: (HEIGHT - reached, reached),
                failed: (HEIGHT.saturating_sub(reached + failed), failed),
            }
        })
        .collect();
    let (all, failed) = weeks.iter().fold((0, 0), |(all, failed), week| {
        (all + week.counts.started(), failed + week.counts.failed)
    });
    Some(Chart {
        width: u32::try_from(weeks.len()).unwrap_or(1) * STEP,
        height: HEIGHT,
        bars,
        words: format!(
            "{all} moves in {} weeks, at most {most} in one; {failed} failed. The table below has each week.",
            weeks.len()
        ),
    })
}

/// `GET /staff/readiness`
pub async fn show(portal: Portal, staff: Staff) -> Result<HttpResponse, Fault> {
    let facts = facts(&portal).await?;
    let page = staff.page(Area::Readiness, "Readiness");
    let now = portal.now();
    let weeks = readiness::weeks(&facts.moves, now);
    let kinds = [
        ("Into the beta", MigrationKind::Beta),
        ("Graduations", MigrationKind::Graduation),
        ("Evacuations", MigrationKind::Evacuation),
    ];
    let row = |url: &str, label: &str, count: i64, bad: bool| Counted {
        url: url.to_owned(),
        label: label.to_owned(),
        count,
        is_bad: bad && count > 0,
    };
    page::html(&ReadinessPage {
        kinds: kinds
            .into_iter()
            .map(|(name, kind)| kind_row(name, kind, &facts.moves))
            .filter(|row| row.counts.started() > 0 || row.kind == MigrationKind::Beta)
            .collect(),
        reliability: vec![
            row(
                "/staff/hosts?silent=yes",
                "hosts silent",
                facts.silent,
                true,
            ),
            row(
                "/staff/jobs?state=failed",
                "jobs failed",
                facts.failed_jobs,
                true,
            ),
            row(
                "/staff/graduation?show=ready",
                "Linodes ready to graduate",
                facts.ready,
                false,
            ),
        ],
        severities: Severity::ALL.iter().map(ToString::to_string).collect(),
        bugs: bug_rows(&facts.bugs),
        fairness: fair_rows(&facts.fairness),
        chart: chart(&weeks),
        weeks: weeks.iter().rev().map(week_row).collect(),
        as_of: page.zone().precise(now.utc()),
        page,
    })
}

/// `GET /staff/readiness.csv`: a row per week.
pub async fn csv(portal: Portal, _staff: Staff) -> Result<HttpResponse, Fault> {
    let facts = facts(&portal).await?;
    let weeks = readiness::weeks(&facts.moves, portal.now());
    let names = [
        "week_from_utc",
        "started",
        "moved",
        "went_back",
        "failed",
        "cancelled",
        "under_way",
        "down_median_s",
        "down_worst_s",
    ];
    let number = |down: Option<Down>, of: fn(Down) -> i64| {
        down.map(|down| of(down).to_string()).unwrap_or_default()
    };
    let rows = weeks.iter().map(|week| {
        let it = week.counts;
        [
            week.monday.to_string(),
            it.started().to_string(),
            it.moved.to_string(),
            it.went_back.to_string(),
            it.failed.to_string(),
            it.cancelled.to_string(),
            it.under_way.to_string(),
            number(week.down, |down| down.median_s),
            number(week.down, |down| down.worst_s),
        ]
    });
    csv_file("readiness.csv", &names, rows)
}
