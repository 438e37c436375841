//! `/staff/`: what waits, what runs, what failed, who is silent, and how much room there is.

use askama::Template;

use super::heard;
use super::job::shared::LATELY_DAYS;
use crate::app::host::liveness::{SILENT_S, asked_at, is_silent};
use crate::app::ownership::recovery;
use crate::domain::account::Right;
use crate::domain::bug::BugState;
use crate::domain::host::HostRole;
use crate::domain::migration::{AT_WORK, MigrationState};
use crate::domain::registration::RegistrationState;
use crate::domain::time::Time;
use crate::domain::wave::WaveState;
use crate::store;
use crate::store::attention::Attention;
use crate::store::migration::list::{MigrationFilter, MigrationRow};
use crate::store::registration::list::RegistrationFilter;
use crate::web::extract::{Asks, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::portal::Portal;
use crate::web::ui::list::count;
use crate::web::ui::{Action, Link, Tag, When, units};

#[derive(Debug, Template)]
#[template(path = "staff/dashboard.html")]
pub struct DashboardPage {
    pub page: Page,
    pub counts: Vec<Card>,
    /// The switch that holds all moves back.
    pub actions: Vec<Action>,
    pub attention: Vec<FailedRow>,
    pub silent: Vec<SilentRow>,
    pub capacity: Vec<RoomRow>,
    /// Hosts that the table leaves out.
    pub more_hosts: usize,
    pub as_of: When,
}

/// A number with its list, and for how long the first of it waits.
#[derive(Debug)]
pub struct Card {
    pub url: String,
    pub label: String,
    pub count: i64,
    /// A number that should not be there.
    pub is_bad: bool,
    pub oldest: Option<String>,
}

#[derive(Debug)]
pub struct FailedRow {
    pub link: Link,
    pub state: Tag,
    pub why: String,
}

#[derive(Debug)]
pub struct SilentRow {
    pub link: Link,
    pub seen: When,
}

#[derive(Debug)]
pub struct RoomRow {
    pub link: Link,
    pub state: Tag,
    pub heard: Tag,
    pub memory_used: i64,
    pub memory: i64,
    pub memory_free: String,
    pub disk_free: String,
}

/// A state, how many are in it, and since when the first of them is.
type Oldest<S> = (S, i64, Option<Time>);

/// How many are in these states, and since when the first of them waits.
fn waiting<S: PartialEq>(of: &[Oldest<S>], states: &[S]) -> (i64, Option<Time>) {
    let those = || of.iter().filter(|(state, ..)| states.contains(state));
    let count = those().map(|(_, count, _)| *count).sum();
    (count, those().filter_map(|(.., since)| *since).min())
}

struct Loaded {
    registrations: Vec<Oldest<RegistrationState>>,
    unconfigured: i64,
    ready: i64,
    migrations: Vec<Oldest<MigrationState>>,
    failed_jobs: i64,
    bugs: Vec<Oldest<BugState>>,
    questions: i64,
    failed: Vec<MigrationRow>,
    hosts: Vec<store::host::Host>,
    rooms: Vec<crate::domain::placement::Room>,
    recovery_waits: usize,
    stuck: usize,
    waves: Vec<(WaveState, i64)>,
    now: Time,
}

/// `GET /staff/`
pub async fn show(portal: Portal, asks: Asks<Staff>) -> Response {
    let now = portal.now();
    let (staff, facts) = asks
        .read(move |conn, _| {
            let failed = MigrationFilter {
                states: vec![MigrationState::Failed],
                ..MigrationFilter::default()
            };
            let unconfigured = RegistrationFilter {
                state: Some(RegistrationState::Approved),
                unconfigured: true,
                ..RegistrationFilter::default()
            };
            Ok(Loaded {
                registrations: store::registration::list::oldest(conn)?,
                unconfigured: store::registration::list::count_registrations(conn, &unconfigured)?,
                ready: store::graduation::count_ready(conn)?,
                migrations: store::migration::list::oldest(conn)?,
                failed_jobs: store::readiness::failed_jobs(conn, now.plus_days(-LATELY_DAYS))?,
                bugs: store::bug::oldest(conn)?,
                questions: store::faq::count_open(conn)?,
                failed: store::migration::list::migrations(conn, &failed, None, 10)?,
                hosts: store::host::all(conn)?,
                rooms: store::host::room::rooms(conn, asked_at(now))?,
                recovery_waits: recovery::standing(conn)?.map_or(0, |it| it.waits_for.len()),
                stuck: store::migration::list::stuck(conn, now.plus_s(-SILENT_S))?.len(),
                waves: store::wave::counts(conn)?,
                now,
            })
        })
        .await?;
    let page = staff.page(Area::StaffHome, "Staff dashboard");
    page::html(&DashboardPage::new(
        page,
        &facts,
        &staff.context.attention(),
    ))
}

impl DashboardPage {
    fn new(page: Page, facts: &Loaded, to_see: &Attention) -> Self {
        let zone = page.zone();
        let silent: Vec<SilentRow> = facts
            .hosts
            .iter()
            .filter(|host| is_silent(host, facts.now))
            .filter_map(|host| Some((host, host.last_seen_at?)))
            .map(|(host, at)| SilentRow {
                link: host_link(host),
                seen: zone.show(at),
            })
            .collect();
        let attention = facts.failed.iter().map(|row| FailedRow {
            link: Link::migration_of(row.migration.id, &row.linode),
            state: Tag::migration(row.migration.state),
            why: row.migration.failure.clone(),
        });
        let capacity = capacity(facts);
        Self {
            counts: counts(facts, to_see, silent.len()),
            actions: Action::those([(
                page.may(Right::Moves) && to_see.moves_paused_at.is_none(),
                Action::ask("/staff/waves/pause", "Pause all moves…").second(),
            )]),
            attention: attention.collect(),
            silent,
            more_hosts: capacity.len().saturating_sub(ROOMS),
            capacity: capacity.into_iter().take(ROOMS).collect(),
            as_of: zone.precise(facts.now),
            page,
        }
    }
}

fn host_link(host: &store::host::Host) -> Link {
    Link::new(format!("/staff/hosts/{}", host.id), host.name.clone())
}

fn counts(facts: &Loaded, to_see: &Attention, silent: usize) -> Vec<Card> {
    use MigrationState as S;
    let old = |url: &str, label: &str, (count, since): (i64, Option<Time>)| Card {
        oldest: since.map(|at| units::span(facts.now.seconds_since(at).max(0))),
        ..row(url, label, count)
    };
    let migrations = |states: &[MigrationState]| waiting(&facts.migrations, states);
    let mut all = vec![
        old(
            "/staff/registrations?state=requested",
            "registrations wait for review",
            waiting(&facts.registrations, &[RegistrationState::Requested]),
        ),
        row(
            "/staff/registrations?state=approved&unconfigured=yes",
            "approved, not configured",
            facts.unconfigured,
        ),
        row(
            "/staff/graduation?show=ready",
            "ready to graduate",
            facts.ready,
        ),
        old(
            "/staff/migrations?state=offered",
            "offers wait for their member",
            migrations(&[S::Offered]),
        ),
        old(
            "/staff/migrations?state=queued",
            "migrations queued",
            migrations(&[S::Queued]),
        ),
        old(
            "/staff/migrations?state=running",
            "migrations running",
            migrations(&AT_WORK),
        ),
        old(
            "/staff/migrations?state=holding",
            "in step, before their stop",
            migrations(&[S::Holding]),
        ),
        old(
            "/staff/migrations?state=finished",
            "finished, not confirmed",
            migrations(&[S::Finished]),
        ),
        old(
            "/staff/bugs?state=new",
            "new bugs",
            waiting(&facts.bugs, &[BugState::New]),
        ),
        row(
            "/staff/faq",
            "questions wait for an answer",
            facts.questions,
        ),
    ];
    let running = count(&facts.waves, |of| *of == WaveState::Running);
    all.push(row("/staff/waves?state=running", "waves running", running));
    let (failed, _) = migrations(&[S::Failed]);
    all.extend(faults((facts, to_see), silent, failed));
    all
}

fn row(url: &str, label: &str, count: i64) -> Card {
    Card {
        url: url.to_owned(),
        label: label.to_owned(),
        count,
        is_bad: false,
        oldest: None,
    }
}

fn bad(url: &str, label: &str, count: i64) -> Card {
    Card {
        is_bad: count > 0,
        ..row(url, label, count)
    }
}

/// What should not be, and stands still until somebody acts.
fn faults((facts, to_see): (&Loaded, &Attention), silent: usize, failed: i64) -> Vec<Card> {
    let size = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    vec![
        bad(
            "/staff/migrations?state=failed",
            "migrations failed",
            failed,
        ),
        bad(
            "/staff/migrations?state=stuck",
            "migrations need staff",
            size(facts.stuck),
        ),
        bad(
            "/staff/waves?state=paused",
            "waves paused",
            count(&facts.waves, |of| *of == WaveState::Paused),
        ),
        bad("/staff/held", "Linodes held", to_see.held.unwrap_or(0)),
        bad(
            "/staff/hosts?ledger=untrusted",
            "ledgers not trusted",
            to_see.untrusted.unwrap_or(0),
        ),
        bad(
            "/staff/recovery",
            "hosts that the recovery waits for",
            size(facts.recovery_waits),
        ),
        bad(
            &format!("/staff/jobs?state=failed&days={LATELY_DAYS}"),
            &format!("jobs failed in the last {LATELY_DAYS} days"),
            facts.failed_jobs,
        ),
        row(
            "/staff/hosts?emptying=yes",
            "hosts being emptied",
            i64::try_from(
                facts
                    .hosts
                    .iter()
                    .filter(|host| host.emptying_since.is_some())
                    .count(),
            )
            .unwrap_or(i64::MAX),
        ),
        bad(
            "/staff/hosts?silent=yes",
            "hosts silent",
            i64::try_from(silent).unwrap_or(i64::MAX),
        ),
    ]
}

/// Hosts in the table of free room.
const ROOMS: usize = 50;

fn capacity(facts: &Loaded) -> Vec<RoomRow> {
    facts
        .rooms
        .iter()
        .filter(|room| room.role != HostRole::Source)
        .filter_map(|room| {
            let host = facts.hosts.iter().find(|host| host.id == room.host)?;
            Some(RoomRow {
                link: host_link(host),
                state: Tag::host(host.state),
                heard: heard(host, facts.now),
                memory_used: room.memory_promised_mb,
                memory: room.memory_mb,
                memory_free: units::mebibytes(room.memory_free_mb()),
                disk_free: units::mebibytes(room.disk_free_mb()),
            })
        })
        .collect()
}
