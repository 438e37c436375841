//! `/staff/migrations/{id}`: one with its steps, attempts, log and who did what. What is done with it is in
//! [`super::actions`], what it waits for in [`super::waits`].

use actix_web::web::Data;
use askama::Template;

use super::rows::{self, StepRow, TrailRow};
use super::shared::PATH;
use super::waits::{WaitsView, can_roll_back, waits};
use crate::app::migration::guard::closed_to_members;
use crate::domain::account::Right;
use crate::domain::audit::Object;
use crate::domain::ids::MigrationId;
use crate::domain::migration::MigrationState as State;
use crate::domain::time::Time;
use crate::store;
use crate::store::audit::AuditRow;
use crate::store::bug::Bug;
use crate::store::job::list::JobRow;
use crate::store::migration::page::MigrationDetail;
use crate::web::bounds::Bounds;
use crate::web::extract::{Path, Staff};
use crate::web::fault::{Response, Result};
use crate::web::members::migration::show::{MigrationPage, can_cancel, can_retry};
use crate::web::migration::live::follow;
use crate::web::migration::{stream, trial};
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Action, Link};

#[derive(Debug, Template)]
#[template(path = "staff/migration/show.html")]
pub struct StaffMigrationPage {
    pub page: Page,
    /// What the member sees.
    pub shown: MigrationPage,
    pub account: String,
    pub failure_detail: String,
    pub trial_detail: String,
    pub jobs: Vec<StepRow>,
    pub trail: Vec<TrailRow>,
    pub actions: Vec<Action>,
    /// What it waits for, if it stands still.
    pub waits: Option<WaitsView>,
    /// Bugs that explain what happened to it.
    pub bugs: Vec<Link>,
    pub facts: Vec<(&'static str, String)>,
}

pub(in crate::web::staff) struct Loaded {
    pub detail: MigrationDetail,
    jobs: Vec<JobRow>,
    trail: Vec<AuditRow>,
    account: String,
    bugs: Vec<Bug>,
    now: Time,
}

pub(in crate::web::staff) async fn find(portal: &Portal, id: i64) -> Result<Loaded> {
    let (id, now) = (MigrationId(id), portal.now());
    portal::find(portal, move |conn| {
        let Some(detail) = store::migration::page::migration(conn, None, id, now)? else {
            return Ok(None);
        };
        let account = crate::store::account::account(conn, detail.migration.account_id)?
            .map(|account| account.name)
            .unwrap_or_default();
        Ok(Some(Loaded {
            jobs: store::job::list::jobs_of_migration(conn, id)?,
            trail: store::audit::audit_of(conn, Object::Migration(id))?,
            bugs: store::bug::links::explaining(conn, id)?,
            account,
            detail,
            now,
        }))
    })
    .await
}

/// `GET /staff/migrations/{id}`
pub async fn show(staff: Staff, id: Path<i64>) -> Response {
    let found = find(&staff.portal, id.0).await?;
    let detail = &found.detail;
    let page = staff
        .page(
            Area::Migrations,
            format!("Migration {} of {}", id.0, detail.linode.label),
        )
        .crumb("Migrations", PATH);
    let page = follow(page, &format!("{PATH}/{}", id.0), detail, found.now);
    page::html(&StaffMigrationPage::new(page, &found))
}

impl StaffMigrationPage {
    fn new(page: Page, found: &Loaded) -> Self {
        let zone = page.zone();
        let migration = &found.detail.migration;
        Self {
            shown: MigrationPage {
                trial: trial::view(&found.detail, &format!("{PATH}/{}", migration.id), zone)
                    .map(|it| it.for_those_who(page.may(Right::Moves))),
                ..MigrationPage::new(page.clone(), &found.detail, found.now).for_staff()
            },
            trial_detail: found
                .detail
                .trial
                .as_ref()
                .map(|trial| trial.detail.clone())
                .unwrap_or_default(),
            account: found.account.clone(),
            failure_detail: migration.failure_detail.clone(),
            jobs: found.jobs.iter().map(|row| rows::step(row, zone)).collect(),
            trail: found
                .trail
                .iter()
                .map(|row| rows::trail(row, zone))
                .collect(),
            bugs: found.bugs.iter().map(rows::bug).collect(),
            actions: if page.may(Right::Moves) {
                actions(&found.detail, found.now)
            } else {
                Vec::new()
            },
            waits: waits(&found.detail, found.now, zone).map(|mut it| {
                it.links.retain(|link| page.may(needed(link)));
                it
            }),
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

/// What a link of those beside what it waits for leads to: to read, or to be asked.
fn needed(link: &Link) -> Right {
    if !link.label.ends_with('…') {
        Right::Read
    } else if link.url.starts_with("/staff/hosts/") {
        Right::Hosts
    } else {
        Right::Moves
    }
}

/// What staff can do with it; the way back, where its member has none.
fn actions(detail: &MigrationDetail, now: Time) -> Vec<Action> {
    let migration = &detail.migration;
    let ask =
        |verb: &str, label: &str| Action::ask(format!("{PATH}/{}/{verb}", migration.id), label);
    let can_take_back = migration.state == State::Finished
        && closed_to_members(migration, &detail.source).is_some()
        && !migration.way_back_is_over(now, detail.queue.pause.watched_s);
    Action::those([
        (can_retry(detail), ask("retry", "Retry…")),
        (can_cancel(migration), ask("cancel", "Cancel…").second()),
        (can_take_back, ask("way-back", "Way back…").second()),
        (
            can_roll_back(detail),
            ask("roll-back", "Roll back…").second(),
        ),
    ])
}

/// `GET /staff/migrations/{id}/events`
pub async fn events(staff: Staff, bounds: Data<Bounds>, id: Path<i64>) -> Response {
    find(&staff.portal, id.0).await?;
    let reader = (&*staff, &bounds.streams);
    stream::stream(staff.portal.clone(), reader, MigrationId(id.0), None)
}
