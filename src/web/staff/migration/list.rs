//! `/staff/migrations`: by state, page by page; one with its steps, attempts, log and who did what; retry, cancel, roll back.

use askama::Template;
use serde::Deserialize;

use super::rows::{self, StepRow, TrailRow};
use super::waits::{WaitsView, can_roll_back, waits};
use crate::app::host::liveness::SILENT_S;
use crate::app::migration::guard::closed_to_members;
use crate::domain::ids::{HostId, MigrationId};
use crate::domain::migration::AT_WORK;
use crate::domain::readiness;
use crate::domain::string_enum::Word;
use crate::domain::time::Time;
use crate::domain::words::{MigrationKind, MigrationState as State};
use crate::store;
use crate::store::audit::AuditRow;
use crate::store::bug::Bug;
use crate::store::job::list::JobRow;
use crate::store::migration::list::MigrationFilter;
use crate::store::migration::page::MigrationDetail;
use crate::web::extract::{Path, Query, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::members::Link;
use crate::web::members::migration::show::{MigrationPage, kind_name};
use crate::web::migration::live::{Live, is_moving};
use crate::web::migration::stream;
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::list::{ROWS, StateTab, cut, query};
use crate::web::ui::{Choice, Field, Pager, Tag, When};

#[derive(Debug, Template)]
#[template(path = "staff/migrations.html")]
pub struct MigrationsPage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    /// In words, if the list shows less than its tab says.
    pub narrowed: Option<String>,
    /// The tab that is shown.
    pub state: String,
    pub kind: Field,
    pub from: Field,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub linode: String,
    pub account: String,
    pub kind: &'static str,
    pub from: String,
    pub to: String,
    pub state: Tag,
    pub step: String,
    pub at: When,
    pub why: String,
}

#[derive(Debug, Template)]
#[template(path = "staff/migration.html")]
pub struct StaffMigrationPage {
    pub page: Page,
    /// What the member sees.
    pub shown: MigrationPage,
    pub account: String,
    pub failure_detail: String,
    pub jobs: Vec<StepRow>,
    pub trail: Vec<TrailRow>,
    pub can_roll_back: bool,
    /// What it waits for, if it stands still.
    pub waits: Option<WaitsView>,
    /// The way back, where its member has none.
    pub can_take_back: bool,
    /// Bugs that explain what happened to it.
    pub bugs: Vec<Link>,
    pub facts: Vec<(&'static str, String)>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    kind: String,
    /// The host it moves off.
    #[serde(default)]
    from: String,
    /// Made since: microseconds from 1970.
    #[serde(default)]
    since: String,
    /// The Monday of a week, in UTC.
    #[serde(default)]
    week: String,
    #[serde(default)]
    before: String,
}

pub(in crate::web::staff) const PATH: &str = "/staff/migrations";

impl Asked {
    fn filter(&self) -> Result<(MigrationFilter, Option<MigrationId>), Fault> {
        let unknown =
            || Fault::BadRequest("The list cannot be filtered so. Start from its tabs.".to_owned());
        let (mut begun, mut failed_try) = (false, None);
        let states = match self.state.as_str() {
            // As readiness counts: see `domain::readiness::ended`.
            word @ ("given-up" | "stopped") => {
                begun = true;
                failed_try = Some(word == "given-up");
                let mut states = vec![State::Cancelled, State::Expired];
                states.extend((word == "given-up").then_some(State::Failed));
                states
            }
            "tried" => {
                failed_try = Some(true);
                Vec::new()
            }
            "under-way" => {
                begun = true;
                [&AT_WORK[..], &[State::Offered, State::Queued]].concat()
            }
            "" => Vec::new(),
            // Which of these, the list asks the database.
            "running" | "stuck" => AT_WORK.to_vec(),
            "moved" => vec![State::Finished, State::Confirmed],
            "back" => vec![State::Returning, State::Returned],
            word => vec![State::parse(word).ok_or_else(unknown)?],
        };
        let number = |text: &str| {
            if text.is_empty() {
                Ok(None)
            } else {
                text.parse().map(Some).map_err(|_| unknown())
            }
        };
        let filter = MigrationFilter {
            states,
            host: number(&self.host)?.map(HostId),
            linode: None,
            kind: match self.kind.as_str() {
                "" => None,
                word => Some(MigrationKind::parse(word).ok_or_else(unknown)?),
            },
            source: number(&self.from)?.map(HostId),
            made_since: match self.since.as_str() {
                "" => None,
                text => {
                    let micros = text.parse().ok();
                    let at = micros.and_then(chrono::DateTime::from_timestamp_micros);
                    Some(Time::new(at.ok_or_else(unknown)?))
                }
            },
            started: match self.week.as_str() {
                "" => None,
                day => {
                    let monday = day.parse().map_err(|_| unknown())?;
                    let end = readiness::next_week(monday);
                    Some((readiness::begin(monday), readiness::begin(end)))
                }
            },
            begun,
            failed_try,
            among: None,
        };
        Ok((filter, number(&self.before)?.map(MigrationId)))
    }
}

impl Asked {
    fn narrowed(&self) -> Option<String> {
        let kind = MigrationKind::parse(&self.kind).map(|kind| kind_name(kind).to_owned());
        let state = match self.state.as_str() {
            "moved" => Some("moved to their new host".to_owned()),
            "back" => Some("went back".to_owned()),
            "given-up" => Some("failed, or given up after a try had failed".to_owned()),
            "stopped" => Some("started and cancelled, with no try that failed".to_owned()),
            "tried" => Some("with a try that failed".to_owned()),
            "stuck" => {
                Some("their present step has failed for good, or its host is silent".to_owned())
            }
            "under-way" => Some("started, and not over".to_owned()),
            _ => None,
        };
        let host = (!self.host.is_empty()).then(|| format!("host {}", self.host));
        let week = (!self.week.is_empty())
            .then(|| format!("started in the week from {} (UTC)", self.week));
        let from = (!self.from.is_empty()).then(|| "off one host".to_owned());
        let since = (!self.since.is_empty()).then(|| "since it was last emptied".to_owned());
        let parts: Vec<String> = [kind, state, host, from, since, week]
            .into_iter()
            .flatten()
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

fn kind_field(chosen: &str) -> Field {
    let mut choices = vec![Choice::new("", "All kinds")];
    let all = MigrationKind::ALL.iter();
    choices.extend(all.map(|kind| Choice::new(kind, kind_name(*kind))));
    Field::select("kind", "Kind", choices).value(chosen)
}

fn from_field(chosen: &str, hosts: Vec<(HostId, String)>) -> Field {
    let mut choices = vec![Choice::new("", "All hosts")];
    choices.extend(hosts.into_iter().map(|(id, name)| Choice::new(id, name)));
    Field::select("from", "From host", choices).value(chosen)
}

/// `GET /staff/migrations`
pub async fn list(portal: Portal, staff: Staff, asked: Query<Asked>) -> Response {
    let (mut filter, before) = asked.0.filter()?;
    let silent_since = portal.now().plus_s(-SILENT_S);
    let only_stuck = asked.0.state == "stuck";
    let (rows, counts, hosts) = portal::read(&portal, move |conn| {
        if only_stuck {
            filter.among = Some(store::migration::list::stuck(conn, silent_since)?);
        }
        let rows = store::migration::list::migrations(
            conn,
            &filter,
            before,
            i64::try_from(ROWS).unwrap_or(100) + 1,
        )?;
        Ok((
            rows,
            store::migration::counts(conn)?,
            store::host::names(conn)?,
        ))
    })
    .await?;
    let (rows, more) = cut(rows);
    let url = |before: String| {
        format!(
            "{PATH}{}",
            query(&[
                ("state", asked.0.state.clone()),
                ("host", asked.0.host.clone()),
                ("kind", asked.0.kind.clone()),
                ("from", asked.0.from.clone()),
                ("since", asked.0.since.clone()),
                ("week", asked.0.week.clone()),
                ("before", before)
            ])
        )
    };
    let pager = Pager {
        first: (!asked.0.before.is_empty()).then(|| url(String::new())),
        next: rows
            .last()
            .filter(|_| more)
            .map(|last| url(last.migration.id.to_string())),
    };
    let page = staff.page(Area::Migrations, "Migrations");
    let zone = page.zone();
    let rows = rows
        .iter()
        .map(|row| Row {
            link: Link::new(
                format!("{PATH}/{}", row.migration.id),
                format!("Migration {}", row.migration.id),
            ),
            linode: row.linode.clone(),
            account: row.account.clone(),
            kind: kind_name(row.migration.kind),
            from: row.source.clone(),
            to: row.destination.clone(),
            state: Tag::migration(row.migration.state),
            step: row
                .migration
                .step
                .map(|step| step.to_string().replace('_', " "))
                .unwrap_or_default(),
            at: zone.show(
                row.migration
                    .finished_at
                    .or(row.migration.started_at)
                    .or(row.migration.queued_at)
                    .unwrap_or(row.migration.offered_at)
                    .utc(),
            ),
            why: row.migration.failure.clone(),
        })
        .collect();
    page::html(&MigrationsPage {
        tabs: tabs(&asked.0.state, &counts),
        narrowed: asked.0.narrowed(),
        state: asked.0.state.clone(),
        kind: kind_field(&asked.0.kind),
        from: from_field(&asked.0.from, hosts),
        rows,
        pager,
        page,
    })
}

fn tabs(current: &str, counts: &[(State, i64)]) -> Vec<StateTab> {
    let count = |states: &[State]| {
        counts
            .iter()
            .filter(|(of, _)| states.contains(of))
            .map(|(_, count)| *count)
            .sum()
    };
    let tab = |word: &str, label: &str, count: i64| StateTab {
        url: format!("{PATH}{}", query(&[("state", word.to_owned())])),
        label: label.to_owned(),
        count,
        current: current == word,
    };
    let mut tabs = vec![
        tab("", "All", count(State::ALL)),
        tab("running", "Running", count(&AT_WORK)),
    ];
    let single = State::ALL.iter().filter(|state| !AT_WORK.contains(state));
    tabs.extend(single.map(|state| {
        tab(
            &state.to_string(),
            &Tag::migration(*state).text,
            count(&[*state]),
        )
    }));
    tabs
}

pub(in crate::web::staff) struct Found {
    pub detail: MigrationDetail,
    jobs: Vec<JobRow>,
    trail: Vec<AuditRow>,
    account: String,
    bugs: Vec<Bug>,
    now: Time,
}

pub(in crate::web::staff) async fn find(portal: &Portal, id: i64) -> Result<Found, Fault> {
    let now = portal.now();
    let found = portal::read(portal, move |conn| {
        let Some(detail) = store::migration::page::migration(conn, None, MigrationId(id), now)?
        else {
            return Ok(None);
        };
        let account = crate::store::account::account(conn, detail.migration.account_id)?
            .map(|account| account.name)
            .unwrap_or_default();
        Ok(Some(Found {
            jobs: store::job::list::jobs_of_migration(conn, MigrationId(id))?,
            trail: store::audit::audit_of(conn, &format!("migration {id}"))?,
            bugs: store::bug::links::explaining(conn, MigrationId(id))?,
            account,
            detail,
            now,
        }))
    })
    .await?;
    found.ok_or(Fault::NotFound)
}

/// `GET /staff/migrations/{id}`
pub async fn show(portal: Portal, staff: Staff, id: Path<i64>) -> Response {
    let found = find(&portal, id.0).await?;
    let detail = &found.detail;
    let mut page = staff
        .page(
            Area::Migrations,
            format!("Migration {} of {}", id.0, detail.linode.label),
        )
        .crumb("Migrations", PATH);
    if is_moving(detail.migration.state) {
        let live = Live::new(
            &detail.migration,
            detail.job.as_ref(),
            detail.queue,
            found.now,
            page.zone(),
        );
        page = page.live(format!("{PATH}/{}/events", id.0), live.shape);
    }
    page::html(&StaffMigrationPage::new(page, &found))
}

impl StaffMigrationPage {
    fn new(page: Page, found: &Found) -> Self {
        let zone = page.zone();
        let migration = &found.detail.migration;
        Self {
            shown: MigrationPage::new(page.clone(), &found.detail, found.now),
            account: found.account.clone(),
            failure_detail: migration.failure_detail.clone(),
            jobs: found.jobs.iter().map(|row| rows::step(row, zone)).collect(),
            trail: found
                .trail
                .iter()
                .map(|row| rows::trail(row, zone))
                .collect(),
            bugs: found.bugs.iter().map(rows::bug).collect(),
            can_take_back: migration.state == State::Finished
                && closed_to_members(migration, &found.detail.source).is_some()
                && !migration.way_back_is_over(found.now, found.detail.queue.pause.watched_s),
            can_roll_back: can_roll_back(&found.detail),
            waits: waits(&found.detail, found.now, zone),
            facts: vec![
                ("Round", migration.round.to_string()),
                ("Epoch at the source", migration.epoch.to_string()),
                (
                    "Linode's epoch now",
                    format!(
                        "{}{}",
                        found.detail.linode.epoch,
                        if found.detail.linode.fetched {
                            ", fetched"
                        } else {
                            ", not fetched"
                        }
                    ),
                ),
                ("Time to shut down", format!("{} s", migration.stop_limit_s)),
            ],
            page,
        }
    }
}

/// `GET /staff/migrations/{id}/events`
pub async fn events(portal: Portal, staff: Staff, id: Path<i64>) -> Response {
    find(&portal, id.0).await?;
    let token = staff
        .context
        .session_cookie()
        .unwrap_or_default()
        .to_owned();
    Ok(stream::stream(
        portal,
        MigrationId(id.0),
        None,
        token,
        staff.zone(),
    ))
}
