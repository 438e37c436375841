//! `/members/linodes/{id}/migrate`: what moves, what changes, what stays, and the one click.
//! Rule of the room: the page here, what is typed into it in [`super::start_form`].

use std::collections::BTreeMap;

use askama::Template;

use super::start_form::{MigrateForm, TimeFields, Typed, down_limit, try_first};
use crate::app::migration::schedule::{Choices, Now, can_unschedule};
use crate::app::programme::move_times::quiet_words;
use crate::domain::ids::{LinodeId, MigrationId};
use crate::domain::linode::Helper;
use crate::domain::linode::check::CheckPlan;
use crate::domain::linode::translate::{self, Kernel, Line, Part, Target};
use crate::domain::migration::forecast::Basis;
use crate::domain::migration::{MigrationKind, MigrationState};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::host::Host;
use crate::store::linode::check::CheckRow;
use crate::store::linode::page::LinodeDetail;
use crate::store::migration::Migration;
use crate::store::trial::Trial;
use crate::web::extract::{Form, Member, Path};
use crate::web::fault::{Fault, Response};
use crate::web::members::linode::check::CheckView;
use crate::web::members::linode::shared::{find, page_of};
use crate::web::migration::check::what_follows;
use crate::web::migration::live::HELD_OFFER;
use crate::web::migration::trial::{cost, warning};
use crate::web::page::{self, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::names::{helper_name, platform_name};
use crate::web::ui::{Field, FormState, Input, Problems, When, Zone, units};

#[derive(Debug, Template)]
#[template(path = "members/migration/start.html")]
pub struct MigratePage {
    pub page: Page,
    pub linode: i64,
    pub label: String,
    pub migration: i64,
    pub from: String,
    pub to: String,
    /// Staff move it, for this reason, and its member may have it sooner.
    pub move_off: Option<String>,
    /// The second move: to a production host.
    pub graduates: bool,
    pub expires: When,
    pub disks: Vec<String>,
    pub disk_total: String,
    pub addresses: Vec<String>,
    pub changes: Vec<Change>,
    /// Profiles that come back only as the move leaves them: what they get there has no counterpart here.
    pub fragile: Vec<String>,
    /// Some profile is otherwise there.
    pub something_changes: bool,
    /// Profiles that cannot be translated; then there is no button.
    pub obstacles: Vec<String>,
    pub downtime: String,
    pub checks: Vec<CheckView>,
    /// What follows if one does not answer after the move.
    pub then: &'static str,
    pub way_back_days: i32,
    pub time: TimeFields,
    /// When no Linode is stopped, and from when on one may be.
    pub quiet: Option<Quiet>,
    /// It has begun: only the time is left to choose.
    pub is_begun: bool,
    /// The time that is chosen already, and whether it can be given up.
    pub chosen: Option<When>,
    pub can_unschedule: bool,
    pub stop_limit: Field,
    /// How long it may be off at most; staff's own move asks nobody.
    pub down_limit: Option<Field>,
    /// Where its agent knows trials.
    pub try_first: Option<Field>,
    pub accept: Option<Field>,
    /// Something is wrong below, or was chosen there.
    pub open_more: bool,
    /// What came of the last trial, if its clone ran and did not come up.
    pub tried: Option<String>,
    /// Staff hold moves back for now.
    pub held: Option<&'static str>,
}

/// The provider's quiet hours in words.
#[derive(Debug)]
pub struct Quiet {
    pub hours: String,
    pub zone: &'static str,
    pub is_now: bool,
    /// If it is: when the first may be stopped, if one may.
    pub until: Option<When>,
}

impl Quiet {
    fn new(choices: &Choices, zone: Zone) -> Option<Self> {
        choices.limits.has_quiet_hours().then(|| Self {
            hours: quiet_words(&choices.limits),
            zone: choices.limits.zone.name(),
            is_now: choices.now != Now::Free,
            until: match choices.now {
                Now::Free => None,
                Now::Quiet { until } => until.map(|at| zone.both(at)),
            },
        })
    }
}

/// What becomes of one config profile.
#[derive(Debug)]
pub struct Change {
    pub profile: String,
    pub lines: Vec<ChangeLine>,
    /// The kernels by name, if their family changes: that wants the member's word.
    pub family_changes: Option<(String, String)>,
}

#[derive(Debug)]
pub struct ChangeLine {
    pub what: &'static str,
    pub before: String,
    pub after: String,
}

/// What the page is made from.
pub struct Parts<'a> {
    pub detail: &'a LinodeDetail,
    pub migration: &'a Migration,
    pub destination: &'a Host,
    pub tells_changes: bool,
    pub kernels: &'a BTreeMap<String, Kernel>,
    pub way_back_days: i32,
    pub choices: &'a Choices,
    pub checks: &'a [CheckRow],
    pub plan: CheckPlan,
    /// The last one.
    pub trial: Option<&'a Trial>,
    pub is_held: bool,
    pub now: Time,
}

impl MigratePage {
    pub fn new(page: Page, facts: &Parts<'_>, typed: &Typed) -> Result<Self, StoreError> {
        let detail = facts.detail;
        let zone = page.zone();
        let Translations {
            changes,
            obstacles,
            fragile,
        } = translations(facts)?;
        let total: i64 = detail.disks.iter().map(|disk| disk.size_mb).sum();
        let accept = acceptance(&changes).map(|words| {
            Field::new("accept_kernels", words, Input::Check)
                .value(if typed.accept { "yes" } else { "" })
                .with(&page.problems)
        });
        let host = |name: &str, platform| format!("{name} ({})", platform_name(platform));
        Ok(Self {
            linode: detail.linode.id.0,
            label: detail.linode.label.clone(),
            migration: facts.migration.id.0,
            from: host(&detail.host.name, detail.host.platform),
            to: host(&facts.destination.name, facts.destination.platform),
            move_off: (facts.migration.kind == MigrationKind::Evacuation)
                .then(|| facts.migration.reason.clone()),
            graduates: facts.migration.kind == MigrationKind::Graduation,
            expires: zone.both(facts.migration.expires_at),
            disks: detail
                .disks
                .iter()
                .map(|disk| format!("{} ({})", disk.label, units::mebibytes(disk.size_mb)))
                .collect(),
            disk_total: units::mebibytes(total),
            addresses: detail.ips.iter().map(|ip| ip.address.clone()).collect(),
            downtime: downtime(facts),
            checks: facts
                .checks
                .iter()
                .map(|row| CheckView::new(row, &detail.ips, zone))
                .collect(),
            then: what_follows(facts.migration.kind, facts.plan.goes_home),
            way_back_days: facts.way_back_days,
            time: TimeFields::new(typed, facts.choices, zone, &page.problems),
            quiet: Quiet::new(facts.choices, zone),
            chosen: facts
                .migration
                .not_before
                .filter(|at| *at > facts.now && facts.migration.state != MigrationState::Offered)
                .map(|at| zone.both(at)),
            is_begun: facts.migration.started_at.is_some(),
            can_unschedule: can_unschedule(facts.migration, facts.now),
            stop_limit: Field::number("stop_limit_s", "Seconds it gets to shut down cleanly")
                .value(&typed.stop_limit)
                .hint("After this it is stopped by force: 5 to 600.")
                .with(&page.problems),
            down_limit: (facts.migration.kind != MigrationKind::Evacuation)
                .then(|| down_limit(typed, facts.choices).with(&page.problems)),
            try_first: facts.choices.can_try_first.then(|| {
                let cost = cost(facts.destination, &detail.disks);
                try_first(typed, &cost).with(&page.problems)
            }),
            accept,
            tried: warning(facts.trial),
            held: facts.is_held.then_some(HELD_OFFER),
            open_more: page
                .problems
                .list()
                .iter()
                .any(|it| MORE.contains(&it.field)),
            fragile,
            something_changes: changes.iter().any(|change| !change.lines.is_empty()),
            changes,
            obstacles,
            page,
        })
    }
}

/// The fields that stand below the button.
const MORE: [&str; 3] = ["down_limit", "patience", "stop_limit_s"];

/// What the move makes of the config profiles.
#[derive(Default)]
struct Translations {
    changes: Vec<Change>,
    /// Why some cannot be translated.
    obstacles: Vec<String>,
    /// Those that a way back could not translate: their kernel of there leads to none of here.
    fragile: Vec<String>,
}

fn translations(facts: &Parts<'_>) -> Result<Translations, StoreError> {
    let mut all = Translations::default();
    let kernel = |id: &str| {
        facts
            .kernels
            .get(id)
            .map_or_else(|| id.to_owned(), |kernel| kernel.label.clone())
    };
    let (from, to) = (facts.detail.host.platform, facts.destination.platform);
    let target = |platform| Target {
        platform,
        kernels: facts.kernels,
        plan_ram_mb: facts.detail.plan.ram_mb,
        plan_vcpus: facts.detail.plan.vcpus,
    };
    for profile in &facts.detail.profiles {
        let before = profile.platform_part()?;
        let after = match translate::translate(&before, target(to)) {
            Ok(after) => after,
            Err(obstacle) => {
                all.obstacles.push(obstacle.to_string());
                continue;
            }
        };
        if translate::translate(&after.profile, target(from)).is_err() {
            all.fragile.push(before.label.clone());
        }
        all.changes.push(Change {
            profile: before.label.clone(),
            lines: translate::difference(&before, &after.profile, from, to)
                .into_iter()
                .map(|line| change_line(line, kernel))
                .collect(),
            family_changes: after
                .needs_acceptance
                .then(|| (kernel(&before.kernel), kernel(&after.profile.kernel))),
        });
    }
    Ok(all)
}

/// A line of the difference in words for its member.
fn change_line(line: Line, kernel: impl Fn(&str) -> String) -> ChangeLine {
    let Line {
        what,
        before,
        after,
    } = line;
    let helpers = |words: &str| {
        let names: Vec<&str> = words
            .split(", ")
            .filter_map(|word| Helper::parse(word).map(helper_name))
            .collect();
        names.join(", ")
    };
    let (what, before, after) = match what {
        Part::Kernel => ("Kernel", kernel(&before), kernel(&after)),
        Part::Devices => ("Devices", before, after),
        Part::RootDevice => ("Root device", before, after),
        Part::Console => ("Console", before, after),
        Part::Memory => ("Memory", before, after),
        Part::Cpus => ("CPUs", before, after),
        Part::Helpers if before.is_empty() => (
            "Boot helpers",
            "as they are".to_owned(),
            format!("also {}", helpers(&after)),
        ),
        Part::Helpers => ("Boot helpers", helpers(&before), helpers(&after)),
    };
    ChangeLine {
        what,
        before,
        after,
    }
}

/// The words of the box to tick, with every profile and both its kernels by name.
fn acceptance(changes: &[Change]) -> Option<String> {
    let named: Vec<String> = changes
        .iter()
        .filter_map(|change| {
            let (before, after) = change.family_changes.as_ref()?;
            Some(format!(
                "“{}” gets {after} in place of {before}",
                change.profile
            ))
        })
        .collect();
    (!named.is_empty()).then(|| format!("I accept that {}", named.join(", and ")))
}

/// From what was measured of it, of its plan and of its hosts.
fn downtime(facts: &Parts<'_>) -> String {
    let Some(forecast) = facts.choices.forecast else {
        return "It is off, and stays off: nothing that runs is stopped.".to_owned();
    };
    let by = match forecast.basis {
        Basis::Own => "what its own shutdowns and starts took",
        Basis::Plan => "what shutdowns and starts of others of its plan took",
        Basis::Usual => "what is usual, as nothing was measured yet",
    };
    let reading = if facts.tells_changes {
        "The host knows what changed, so the size of the disks hardly matters."
    } else {
        "The host reads the whole disks once while the Linode is stopped."
    };
    let words = forecast.down.words();
    let words = words.replacen("about", "About", 1);
    format!("{words}: by {by}. {reading}")
}

/// Is the choice still the member's: offered, or not told to stop yet?
fn is_open(migration: &Migration) -> bool {
    let is_offer = migration.state == MigrationState::Offered;
    is_offer || migration.awaits_stop()
}

/// The newest migration, which alone may be an offer.
async fn newest(portal: &Portal, detail: &LinodeDetail) -> Result<Migration, Fault> {
    let Some(id) = detail.moves.first().map(|newest| newest.id) else {
        return Err(no_offer(detail));
    };
    portal::find(portal, move |conn| store::migration::migration(conn, id)).await
}

async fn present(
    portal: &Portal,
    member: &Member,
    id: i64,
    FormState { typed, problems }: FormState<Typed>,
) -> Response {
    let detail = find(portal, member, id).await?;
    let migration = newest(portal, &detail).await?;
    match migration.state {
        _ if is_open(&migration) => {}
        MigrationState::Expired
        | MigrationState::Cancelled
        | MigrationState::Confirmed
        | MigrationState::Returned => {
            return Err(no_offer(&detail));
        }
        _ => {
            return Ok(page::see_other(&format!(
                "/members/migrations/{}",
                migration.id
            )));
        }
    }
    let (destination_id, linode) = (migration.destination_host_id, migration.linode_id);
    let id = migration.id;
    let held_row = migration.clone();
    let (destination, kernels, way_back_days, checks, plan, trial, is_held) =
        portal::run(portal, move |app| {
            let now = app.now();
            app.db.read(|conn| {
                let destination = store::host::host(conn, destination_id)?
                    .ok_or(crate::app::error::AppError::NotFound)?;
                Ok::<_, crate::app::error::AppError>((
                    destination,
                    store::catalogue::kernels(conn)?,
                    store::programme::get(conn, now)?.way_back_days,
                    store::linode::check::of(conn, linode)?,
                    store::linode::check::plan(conn, linode)?,
                    store::trial::newest(conn, id)?,
                    is_held(conn, &held_row)?,
                ))
            })
        })
        .await?;
    let offer = migration.clone();
    let choices = portal::run(portal, move |app| app.move_choices(&offer)).await?;
    let status = problems.status();
    let title = format!("Migrate {}", detail.linode.label);
    let page = page_of(member, &detail.linode, title).problems(problems);
    let typed = typed.unwrap_or_else(|| Typed::first(&migration, page.zone(), portal.now()));
    let facts = Parts {
        detail: &detail,
        migration: &migration,
        destination: &destination,
        tells_changes: detail.host.tells_changes,
        kernels: &kernels,
        way_back_days,
        choices: &choices,
        checks: &checks,
        plan,
        trial: trial.as_ref(),
        is_held,
        now: portal.now(),
    };
    page::html_status(status, &MigratePage::new(page, &facts, &typed)?)
}

/// Do staff hold it back, with others?
fn is_held(conn: &mut Db, row: &Migration) -> Result<bool, StoreError> {
    let pause = store::attention::pause(conn, row.linode_id)?;
    Ok(store::wave::held_back(conn, row, pause.moves_paused_at)?.is_some())
}

fn no_offer(detail: &LinodeDetail) -> Fault {
    Fault::conflict_at(
        format!(
            "No migration is offered for {} at present.",
            detail.linode.label
        ),
        "/members/xenbeta",
        "See how its registration stands",
    )
}

/// `GET /members/linodes/{id}/migrate`
pub async fn show(portal: Portal, member: Member, id: Path<i64>) -> Response {
    present(&portal, &member, id.0, FormState::anew()).await
}

/// To its migration, which goes on by itself.
fn clicked(row: &Migration, at: Option<Time>, zone: Zone) -> Response {
    let url = format!("/members/migrations/{}", row.id);
    match at {
        Some(at) if row.not_before == Some(at) => {
            let at = zone.both(at).text;
            page::said(&url, format!("It will stop for its move at {at}."))
        }
        // As soon as it is copied; or it was stopped meanwhile, and then it is no more to be changed.
        _ => Ok(page::see_other(&url)),
    }
}

/// `POST /members/linodes/{id}/migrate`: the one click.
pub async fn migrate(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    form: Form<MigrateForm>,
) -> Response {
    let again = |problems| {
        let form = FormState::again(form.0.typed(), problems);
        present(&portal, &member, id.0, form)
    };
    let click = match form.0.click(member.zone()) {
        Ok(click) => click,
        Err(problems) => return again(problems).await,
    };
    let detail = find(&portal, &member, id.0).await?;
    let shown = MigrationId(form.0.migration);
    let offer = newest(&portal, &detail).await?;
    if offer.id != shown {
        return Err(no_offer(&detail));
    }
    if let Some((field, words)) = form.0.forgets_its_time(&offer) {
        return again(Problems::one(field, words)).await;
    }
    match member
        .submit(&portal, move |app, actor| {
            app.migrate(actor, LinodeId(id.0), click)
        })
        .await
    {
        Ok(Ok(row)) => clicked(&row, click.at, member.zone()),
        Ok(Err(problems)) => again(form.0.placed(problems)).await,
        Err(fault) => Err(fault.at("/members/xenbeta", "See how its registration stands")),
    }
}
