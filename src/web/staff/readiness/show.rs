//! `/staff/readiness`: functionality, performance, reliability, in figures; each leads to what it counts.

use std::collections::HashMap;

use askama::Template;
use chrono::NaiveDate;

use super::shared::verdict_tag;
use super::verdicts::{self, Others, VerdictRow};
use super::weeks::{Bars, Figures, WeekRow, bars, downtimes, span};
use crate::app::error::AppError;
use crate::app::host::liveness::{SILENT_S, is_silent};
use crate::domain::bug::Severity;
use crate::domain::fairness::judge::{Verdict, verdict};
use crate::domain::ids::HostId;
use crate::domain::migration::MigrationKind;
use crate::domain::migration::forecast::{Calibration, calibration};
use crate::domain::platform;
use crate::domain::readiness::backlog::{OPEN, OpenBugs};
use crate::domain::readiness::verdict::{Limits, judge};
use crate::domain::readiness::{self, Counts, FailedTry, Move};
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::fairness::Summary;
use crate::store::fairness::pack::DAY_STEP;
use crate::store::host::Host;
use crate::web::csv;
use crate::web::extract::Staff;
use crate::web::fault::{Response, Result};
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::staff::Counted;
use crate::web::staff::job::shared::LATELY_DAYS;
use crate::web::ui::chart::Chart;
use crate::web::ui::{Link, Tag, Tone, When, units};

/// How far back the figures go.
const WEEKS: i64 = 52;
/// Fairness is told for so many days, and for so many hosts, the worst first; the fairness page has them all.
const FAIR_DAYS: i64 = 7;
const FAIR_HOSTS: usize = 20;

#[derive(Debug, Template)]
#[template(path = "staff/readiness/show.html")]
pub struct ReadinessPage {
    pub page: Page,
    pub verdicts: Vec<VerdictRow>,
    pub kinds: Vec<KindRow>,
    pub reliability: Vec<Counted>,
    pub severities: Vec<String>,
    pub bugs: Vec<BugRow>,
    pub fairness: Vec<FairRow>,
    /// How well downtimes were foretold, if any was.
    pub foretold: Option<Foretold>,
    pub weeks: Vec<WeekRow>,
    pub bars: Option<Bars>,
    pub downtimes: Option<Chart>,
    pub as_of: When,
}

/// Open bugs of one state, by severity.
#[derive(Debug)]
pub struct BugRow {
    pub state: String,
    /// How many, with the list of them; in the order of the severities.
    pub counts: Vec<(i64, String)>,
}

/// Fewer moves than this say nothing of how well they are foretold.
const FEW_FORETOLD: usize = 10;

/// Foretold beside measured.
#[derive(Debug)]
pub struct Foretold {
    pub of: usize,
    pub p50: String,
    pub p90: String,
    pub close_percent: usize,
    pub verdict: Tag,
}

impl From<Calibration> for Foretold {
    fn from(of: Calibration) -> Self {
        let seconds = |ms: i64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
        Self {
            of: of.of,
            p50: seconds(of.p50_ms),
            p90: seconds(of.p90_ms),
            close_percent: of.close_percent,
            verdict: if of.of < FEW_FORETOLD {
                Tag::new("Too few to judge", Tone::Plain)
            } else if of.is_good() {
                Tag::new("Good", Tone::Good)
            } else {
                Tag::new("Off", Tone::Warn)
            },
        }
    }
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
    /// The move that was the worst.
    pub worst_url: Option<String>,
    /// Of its list, with all that the figures count and nothing else.
    pub url: String,
}

struct Loaded {
    since: NaiveDate,
    moves: Vec<Move>,
    tries: Vec<FailedTry>,
    failed_jobs: i64,
    /// … on Xen hosts.
    failed_jobs_there: i64,
    silent: i64,
    /// … of them Xen hosts.
    silent_there: usize,
    limits: Limits,
    ready: i64,
    fairness: Vec<(Summary, String)>,
    bugs: OpenBugs,
    foretold: Vec<(i64, i64)>,
    weeks: Vec<Figures>,
}

async fn facts(portal: &Portal) -> Result<Loaded> {
    portal::run(portal, |app| {
        let now = app.now();
        let since = readiness::begin(readiness::monday(now.plus_days(-7 * WEEKS)));
        app.db.read(|conn| {
            let until = now.utc().timestamp();
            let lately = (until - FAIR_DAYS * 86_400, until);
            let summaries = store::fairness::summaries(conn, DAY_STEP, lately)?;
            let by_week = store::readiness::fairness_by_week(conn, since.utc().timestamp())?;
            let hosts: HashMap<HostId, Host> = store::host::all(conn)?
                .into_iter()
                .map(|host| (host.id, host))
                .collect();
            // What members will have is judged: the old platform's hosts are not.
            let there = |host: &Host| host.platform == platform::TO;
            let name = |of: &Summary| {
                let host = hosts.get(&of.host_id).filter(|host| there(host));
                host.map(|host| host.name.clone())
            };
            let (moves, tries) = store::readiness::moves(conn, since)?;
            let (bugs, changes) = store::readiness::bugs_since(conn, since)?;
            let day = since.utc().timestamp().div_euclid(86_400);
            let over_time = super::weeks::Rows {
                since,
                now,
                moves: &moves,
                tries: &tries,
                bugs: &bugs,
                changes: &changes,
                fairness: by_week
                    .iter()
                    .filter_map(|of| Some((of.week, judged(&of.summary), name(&of.summary)?)))
                    .collect(),
                silence_began: store::host::silence::looks(conn)?.map(|(began, _)| began),
                silence: store::host::silence::by_week(conn, day)?,
            };
            Ok::<_, AppError>(Loaded {
                since: readiness::monday(since),
                weeks: over_time.weeks(),
                failed_jobs: store::readiness::failed_jobs(conn, now.plus_days(-LATELY_DAYS))?,
                failed_jobs_there: store::readiness::failed_jobs_there(
                    conn,
                    now.plus_days(-LATELY_DAYS),
                )?,
                silent: store::host::silence::count(conn, now.plus_s(-SILENT_S))?,
                silent_there: hosts
                    .values()
                    .filter(|host| there(host) && is_silent(host, now))
                    .count(),
                limits: store::readiness::limits(conn)?.0,
                ready: store::graduation::count_ready(conn)?,
                foretold: store::readiness::foretold(conn, since)?,
                bugs: OpenBugs::count(bugs.iter().map(|bug| (bug.state, bug.severity))),
                fairness: summaries
                    .into_iter()
                    .filter_map(|of| Some((of.clone(), name(&of)?)))
                    .collect(),
                moves,
                tries,
            })
        })
    })
    .await
}

/// Functionality, performance, reliability.
fn verdict_rows(of: &Loaded) -> Vec<VerdictRow> {
    let size = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let tries = of.tries.iter().filter(|it| verdicts::leads_there(it.kind));
    let serious = [Severity::High, Severity::Critical];
    let unfair = of
        .fairness
        .iter()
        .filter(|(it, _)| judged(it) == Verdict::Unfair);
    let others = Others {
        serious_bugs: serious
            .iter()
            .map(|it| i64::from(of.bugs.of_severity(*it)))
            .sum(),
        unfair_hosts: size(unfair.count()),
        failed_jobs: of.failed_jobs_there,
        silent_hosts: size(of.silent_there),
    };
    let figures = verdicts::figures(&of.moves, tries.count(), &others);
    judge(&figures, &of.limits)
        .iter()
        .map(VerdictRow::from)
        .collect()
}

fn kind_row(name: &'static str, kind: MigrationKind, of: &Loaded) -> KindRow {
    let tries = of.tries.iter().filter(|it| it.kind == kind).count();
    let moves = || of.moves.iter().filter(|it| it.kind == kind);
    let (counts, down) = readiness::total(moves(), tries);
    let worst = moves()
        .max_by_key(|it| it.down_s)
        .filter(|it| it.down_s.is_some());
    KindRow {
        url: format!(
            "/staff/migrations?kind={kind}&week={}&weeks={}",
            of.since,
            WEEKS + 1
        ),
        worst_url: worst.map(|it| format!("/staff/migrations/{}", it.id)),
        name,
        kind,
        reached: counts
            .reached_percent()
            .map_or_else(|| "–".to_owned(), |percent| format!("{percent} %")),
        median: span(down, |down| down.median_s),
        worst: span(down, |down| down.worst_s),
        counts,
    }
}

fn bug_rows(of: &OpenBugs) -> Vec<BugRow> {
    OPEN.into_iter()
        .map(|state| BugRow {
            state: state.to_string().replace('_', " "),
            counts: Severity::ALL
                .iter()
                .map(|severity| {
                    let url = format!("/staff/bugs?state={state}&severity={severity}");
                    (i64::from(of.of(state, *severity)), url)
                })
                .collect(),
        })
        .collect()
}

fn judged(of: &Summary) -> Verdict {
    verdict(&of.figures())
}

/// The worst first.
fn fair_rows(of: &[(Summary, String)]) -> Vec<FairRow> {
    let mut rows: Vec<(Verdict, &Summary, &String)> = of
        .iter()
        .map(|(summary, name)| (judged(summary), summary, name))
        .collect();
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.2.cmp(b.2)));
    rows.into_iter()
        .take(FAIR_HOSTS)
        .map(|(verdict, of, name)| FairRow {
            link: Link::new(
                format!("/staff/hosts/{}/fairness", of.host_id),
                name.clone(),
            ),
            verdict: verdict_tag(verdict),
            contended: units::span(of.contended_ms / 1000),
            jain: format!("{:.2}", of.jain()),
            least: format!("{:.0} %", of.least() * 100.0),
        })
        .collect()
}

/// `GET /staff/readiness`
pub async fn show(staff: Staff) -> Response {
    let facts = facts(&staff.portal).await?;
    let page = staff.page(Area::Readiness, "Readiness");
    let now = staff.portal.now();
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
        verdicts: verdict_rows(&facts),
        foretold: calibration(&facts.foretold).map(Foretold::from),
        kinds: kinds
            .into_iter()
            .map(|(name, kind)| kind_row(name, kind, &facts))
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
                &format!("/staff/jobs?state=failed&days={LATELY_DAYS}"),
                &format!("jobs failed in the last {LATELY_DAYS} days"),
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
        bars: bars(&facts.weeks),
        downtimes: downtimes(&facts.weeks, page.zone()),
        weeks: facts.weeks.iter().rev().map(WeekRow::new).collect(),
        as_of: page.zone().precise(now),
        page,
    })
}

/// `GET /staff/readiness.csv`: a row per week.
pub async fn csv(staff: Staff) -> Response {
    let facts = facts(&staff.portal).await?;
    csv::file(
        "readiness.csv",
        &super::weeks::csv_names(),
        facts.weeks.iter().map(Figures::csv),
    )
}
