//! `/staff/hosts`: every host with its room; one host with its occupants, limits and agent; adding one.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde::Deserialize;

use super::heard;
use crate::app::AppError;
use crate::app::agents::SILENT_S;
use crate::app::hosts::AddHost;
use crate::domain::ids::{HostId, PlanId};
use crate::domain::placement::Room;
use crate::domain::text::Word;
use crate::domain::time::Time;
use crate::domain::words::{HostRole, HostState, Platform};
use crate::store::fleet::{self, Plan};
use crate::store::hosts::{self, Host};
use crate::store::pages_staff::{self, HostDetail};
use crate::web::error::Fault;
use crate::web::extract::{Form, FormData, Nothing, Path, Query, Staff};
use crate::web::members::{Link, platform_name};
use crate::web::page::{self, Area, ConfirmPage, Flash, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Choice, Field, Input, Problems, Tag, When, units};

#[derive(Debug, Template)]
#[template(path = "staff/hosts.html")]
pub struct HostsPage {
    pub page: Page,
    pub only_silent: bool,
    pub rows: Vec<Row>,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub platform: &'static str,
    pub role: String,
    pub state: Tag,
    pub heard: Tag,
    pub memory_promised: String,
    pub memory_free: String,
    pub disk_free: String,
    pub slots: i32,
    pub seen: Option<When>,
}

#[derive(Debug, Template)]
#[template(path = "staff/host.html")]
pub struct HostPage {
    pub page: Page,
    pub id: i64,
    pub row: Row,
    pub facts: Vec<(&'static str, String)>,
    pub unknown: Vec<String>,
    pub occupants: Vec<OccupantRow>,
    pub occupants_in_all: i64,
    pub arriving: Vec<ArrivingRow>,
    pub state: Option<Field>,
    pub slots: Field,
    pub cap: Field,
    pub is_enrolled: bool,
}

#[derive(Debug)]
pub struct OccupantRow {
    pub label: String,
    pub account: String,
    pub plan: String,
    pub status: Tag,
}

#[derive(Debug)]
pub struct ArrivingRow {
    pub link: Link,
    pub state: Tag,
    pub from: String,
    pub to: String,
}

#[derive(Debug, Template)]
#[template(path = "staff/host_new.html")]
pub struct NewHostPage {
    pub page: Page,
    pub fields: Vec<Field>,
}

#[derive(Debug, Template)]
#[template(path = "staff/host_token.html")]
pub struct TokenPage {
    pub page: Page,
    pub name: String,
    pub command: String,
    pub token: String,
    pub host_url: String,
}

#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    silent: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewHostForm {
    name: String,
    platform: String,
    role: String,
    #[serde(default)]
    plan: String,
    memory_mb: String,
    disk_mb: String,
    slots: String,
    #[serde(default)]
    cap_mb_s: String,
}
impl FormData for NewHostForm {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateForm {
    state: String,
}
impl FormData for StateForm {}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsForm {
    slots: String,
    #[serde(default)]
    cap_mb_s: String,
}
impl FormData for LimitsForm {}

const PATH: &str = "/staff/hosts";

fn role_name(role: HostRole) -> &'static str {
    match role {
        HostRole::Source => "Source",
        HostRole::Beta => "Beta",
        HostRole::Production => "Production",
    }
}

fn row(
    host: &Host,
    room: Option<&Room>,
    plan: Option<&str>,
    now: Time,
    zone: crate::web::ui::Zone,
) -> Row {
    Row {
        link: Link::new(format!("{PATH}/{}", host.id), host.name.clone()),
        platform: platform_name(host.platform),
        role: plan.map_or_else(
            || role_name(host.role).to_owned(),
            |plan| format!("{}, {plan}", role_name(host.role)),
        ),
        state: Tag::host(host.state),
        heard: heard(host, now),
        memory_promised: format!(
            "{} of {}",
            units::mebibytes(room.map_or(0, |room| room.memory_promised_mb)),
            units::mebibytes(host.memory_mb)
        ),
        memory_free: room
            .map(|room| signed_mebibytes(room.memory_free_mb()))
            .unwrap_or_default(),
        disk_free: room
            .map(|room| signed_mebibytes(room.disk_free_mb()))
            .unwrap_or_default(),
        slots: host.slots,
        seen: host.last_seen_at.map(|at| zone.precise(at.utc())),
    }
}

/// More can be promised than there is, where an import said so.
fn signed_mebibytes(count: i64) -> String {
    if count < 0 {
        format!("{} too much", units::mebibytes(-count))
    } else {
        units::mebibytes(count)
    }
}

/// `GET /staff/hosts`
pub async fn list(
    portal: Portal,
    staff: Staff,
    asked: Query<Asked>,
) -> Result<HttpResponse, Fault> {
    let (all, rooms, plans) = portal::read(&portal, |conn| {
        Ok((hosts::all(conn)?, hosts::rooms(conn)?, fleet::plans(conn)?))
    })
    .await?;
    let now = portal.now();
    let only_silent = asked.0.silent == "yes";
    let page = staff.page(
        Area::Hosts,
        if only_silent { "Silent hosts" } else { "Hosts" },
    );
    let rooms: HashMap<HostId, Room> = rooms.into_iter().map(|room| (room.host, room)).collect();
    let plan = |id: Option<PlanId>| {
        id.and_then(|id| plans.iter().find(|plan| plan.id == id))
            .map(|plan| plan.label.as_str())
    };
    let rows = all
        .iter()
        .filter(|host| {
            !only_silent
                || host
                    .last_seen_at
                    .is_some_and(|at| now.seconds_since(at) > SILENT_S)
        })
        .map(|host| {
            row(
                host,
                rooms.get(&host.id),
                plan(host.plan_id),
                now,
                page.zone(),
            )
        })
        .collect();
    page::html(&HostsPage {
        page,
        only_silent,
        rows,
    })
}

async fn present(
    portal: &Portal,
    staff: &Staff,
    id: i64,
    typed: Option<LimitsForm>,
    problems: Problems,
) -> Result<HttpResponse, Fault> {
    let found = portal::read(portal, move |conn| {
        let Some(detail) = pages_staff::host(conn, HostId(id))? else {
            return Ok(None);
        };
        let room = hosts::rooms(conn)?
            .into_iter()
            .find(|room| room.host == HostId(id));
        Ok(Some((detail, room)))
    })
    .await?;
    let (detail, room) = found.ok_or(Fault::NotFound)?;
    let status = if problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let page = staff
        .page(Area::Hosts, detail.host.name.clone())
        .crumb("Hosts", PATH)
        .problems(problems);
    page::html_status(
        status,
        &HostPage::new(page, &detail, room.as_ref(), typed, portal.now()),
    )
}

impl HostPage {
    fn new(
        page: Page,
        detail: &HostDetail,
        room: Option<&Room>,
        typed: Option<LimitsForm>,
        now: Time,
    ) -> Self {
        let host = &detail.host;
        let typed = typed.unwrap_or_else(|| LimitsForm {
            slots: host.slots.to_string(),
            cap_mb_s: host.cap_mb_s.map(|cap| cap.to_string()).unwrap_or_default(),
        });
        let states: Vec<Choice> = [HostState::Enabled, HostState::Draining, HostState::Disabled]
            .into_iter()
            .map(|state| Choice::new(state, state_words(state)))
            .collect();
        Self {
            id: host.id.0,
            row: row(host, room, detail.plan.as_deref(), now, page.zone()),
            facts: facts(host),
            unknown: serde_json::from_str(&host.unknown_disks).unwrap_or_default(),
            occupants: detail
                .occupants
                .iter()
                .map(|(linode, plan, account)| OccupantRow {
                    label: linode.label.clone(),
                    account: account.clone(),
                    plan: plan.clone(),
                    status: Tag::linode(linode.status),
                })
                .collect(),
            occupants_in_all: detail.occupants_in_all,
            arriving: detail
                .arriving
                .iter()
                .map(|row| ArrivingRow {
                    link: Link::new(
                        format!("/staff/migrations/{}", row.migration.id),
                        format!("Migration {} of {}", row.migration.id, row.linode),
                    ),
                    state: Tag::migration(row.migration.state),
                    from: row.source.clone(),
                    to: row.destination.clone(),
                })
                .collect(),
            state: (host.state != HostState::Quarantined)
                .then(|| Field::new("state", "State", Input::Radios(states)).value(host.state)),
            slots: Field::new("slots", "Migrations at once", Input::Line("number"))
                .value(typed.slots)
                .short()
                .with(&page.problems),
            cap: Field::new("cap_mb_s", "Cap on copying, MB/s", Input::Line("number"))
                .value(typed.cap_mb_s)
                .hint("Empty for none. It reaches running copies too.")
                .short()
                .with(&page.problems),
            is_enrolled: host.fingerprint.is_some(),
            page,
        }
    }
}

fn state_words(state: HostState) -> &'static str {
    match state {
        HostState::Enabled => "Enabled: takes Linodes and jobs",
        HostState::Draining => "Draining: takes no new Linodes",
        HostState::Disabled => "Disabled: takes no jobs at all",
        HostState::Quarantined => "Quarantined",
    }
}

fn facts(host: &Host) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Memory for guests", units::mebibytes(host.memory_mb)),
        ("Disk for guests", units::mebibytes(host.disk_mb)),
    ];
    if let Some(free) = host.disk_free_mb {
        facts.push(("Disk free, as the agent sees it", units::mebibytes(free)));
    }
    facts.push((
        "Tells what changed between passes",
        if host.tells_changes { "yes" } else { "no" }.to_owned(),
    ));
    if let Some(version) = &host.agent_version {
        facts.push(("Agent", version.clone()));
    }
    if let Some(address) = &host.transfer_address {
        facts.push(("Transfer address", address.clone()));
    }
    if let Some(fingerprint) = &host.fingerprint {
        facts.push(("Transfer key", fingerprint.clone()));
    }
    facts
}

/// `GET /staff/hosts/{id}`
pub async fn show(portal: Portal, staff: Staff, id: Path<i64>) -> Result<HttpResponse, Fault> {
    present(&portal, &staff, id.0, None, Problems::default()).await
}

/// `POST /staff/hosts/{id}/state`
pub async fn set_state(
    portal: Portal,
    staff: Staff,
    id: Path<i64>,
    form: Form<StateForm>,
) -> Result<HttpResponse, Fault> {
    let state = HostState::parse(&form.0.state).filter(|state| *state != HostState::Quarantined);
    let state = state.ok_or_else(|| {
        Fault::BadRequest("Choose one of the states on the host's page.".to_owned())
    })?;
    let actor = staff.actor.clone();
    portal::run(&portal, move |app| {
        app.set_host_state(&actor, HostId(id.0), state)
    })
    .await?;
    Ok(page::see_other_saying(
        &format!("{PATH}/{}", id.0),
        Flash::good(format!("The host is {state}.")),
    ))
}

/// `POST /staff/hosts/{id}/limits`
pub async fn set_limits(
    portal: Portal,
    staff: Staff,
    id: Path<i64>,
    form: Form<LimitsForm>,
) -> Result<HttpResponse, Fault> {
    let mut problems = Problems::default();
    let slots = number(&mut problems, "slots", &form.0.slots);
    let cap = optional(&mut problems, "cap_mb_s", &form.0.cap_mb_s);
    let Some(slots) = slots.filter(|_| problems.is_empty()) else {
        return present(&portal, &staff, id.0, Some(form.0), problems).await;
    };
    let actor = staff.actor.clone();
    match portal::submit(&portal, move |app| {
        app.set_host_limits(&actor, HostId(id.0), slots, cap)
    })
    .await?
    {
        Ok(()) => Ok(page::see_other_saying(
            &format!("{PATH}/{}", id.0),
            Flash::good("The limits are saved."),
        )),
        Err(problems) => present(&portal, &staff, id.0, Some(form.0), problems).await,
    }
}

fn number<N: std::str::FromStr>(
    problems: &mut Problems,
    field: &'static str,
    text: &str,
) -> Option<N> {
    problems.take(
        field,
        text.trim().parse().map_err(|_| "Enter a whole number"),
    )
}

fn optional(problems: &mut Problems, field: &'static str, text: &str) -> Option<i32> {
    if text.trim().is_empty() {
        None
    } else {
        number(problems, field, text)
    }
}

fn new_page(staff: &Staff, typed: &NewHostForm, plans: &[Plan], problems: Problems) -> NewHostPage {
    let page = staff
        .page(Area::Hosts, "Add a host")
        .crumb("Hosts", PATH)
        .problems(problems);
    let platforms = Platform::ALL
        .iter()
        .map(|platform| Choice::new(platform, platform_name(*platform)))
        .collect();
    let roles = HostRole::ALL
        .iter()
        .map(|role| Choice::new(role, role_name(*role)))
        .collect();
    let mut choices = vec![Choice::new("", "Any plan")];
    choices.extend(
        plans
            .iter()
            .map(|plan| Choice::new(plan.id, plan.label.clone())),
    );
    let fields = vec![
        Field::text("name", "Name")
            .value(&typed.name)
            .hint("As in DNS, like xen1.example.net"),
        Field::new("platform", "Platform", Input::Radios(platforms)).value(&typed.platform),
        Field::new("role", "Role", Input::Radios(roles))
            .value(&typed.role)
            .hint("Source: where Linodes come from. Beta: takes all plans. Production: one plan."),
        Field::select("plan", "Plan", choices)
            .value(&typed.plan)
            .hint("Only for a production host"),
        Field::new("memory_mb", "Memory for guests, MiB", Input::Line("number"))
            .value(&typed.memory_mb)
            .short(),
        Field::new("disk_mb", "Disk for guests, MiB", Input::Line("number"))
            .value(&typed.disk_mb)
            .short(),
        Field::new("slots", "Migrations at once", Input::Line("number"))
            .value(&typed.slots)
            .short(),
        Field::new("cap_mb_s", "Cap on copying, MB/s", Input::Line("number"))
            .value(&typed.cap_mb_s)
            .hint("Empty for none")
            .short(),
    ];
    NewHostPage {
        fields: fields
            .into_iter()
            .map(|field| field.with(&page.problems))
            .collect(),
        page,
    }
}

/// `GET /staff/hosts/new`
pub async fn new(portal: Portal, staff: Staff) -> Result<HttpResponse, Fault> {
    let plans = portal::read(&portal, fleet::plans).await?;
    let typed = NewHostForm {
        platform: "xen".to_owned(),
        role: "beta".to_owned(),
        slots: "2".to_owned(),
        ..NewHostForm::default()
    };
    page::html(&new_page(&staff, &typed, &plans, Problems::default()))
}

fn parse(form: &NewHostForm) -> Result<AddHost, Problems> {
    let mut problems = Problems::default();
    let platform = problems.take(
        "platform",
        Platform::parse(&form.platform).ok_or("Choose a platform"),
    );
    let role = problems.take("role", HostRole::parse(&form.role).ok_or("Choose a role"));
    let plan = if form.plan.is_empty() {
        None
    } else {
        number(&mut problems, "plan", &form.plan).map(PlanId)
    };
    let memory_mb = number(&mut problems, "memory_mb", &form.memory_mb);
    let disk_mb = number(&mut problems, "disk_mb", &form.disk_mb);
    let slots = number(&mut problems, "slots", &form.slots);
    let cap_mb_s = optional(&mut problems, "cap_mb_s", &form.cap_mb_s);
    match (platform, role, memory_mb, disk_mb, slots) {
        (Some(platform), Some(role), Some(memory_mb), Some(disk_mb), Some(slots))
            if problems.is_empty() =>
        {
            Ok(AddHost {
                name: form.name.clone(),
                platform,
                role,
                plan,
                memory_mb,
                disk_mb,
                slots,
                cap_mb_s,
            })
        }
        _ => Err(problems),
    }
}

/// `POST /staff/hosts`: the answer is the page itself and no redirect, as it shows the token, once.
pub async fn add(
    portal: Portal,
    staff: Staff,
    form: Form<NewHostForm>,
) -> Result<HttpResponse, Fault> {
    let actor = staff.actor.clone();
    let outcome = match parse(&form.0) {
        Ok(new) => portal::submit(&portal, move |app| app.add_host(actor.who(), &new)).await?,
        Err(problems) => Err(problems),
    };
    match outcome {
        Ok((host, token)) => page::html(&token_page(&portal, &staff, &host, token)),
        Err(problems) => {
            let plans = portal::read(&portal, fleet::plans).await?;
            page::html_status(
                StatusCode::UNPROCESSABLE_ENTITY,
                &new_page(&staff, &form.0, &plans, problems),
            )
        }
    }
}

fn token_page(portal: &Portal, staff: &Staff, host: &Host, token: String) -> TokenPage {
    let host_url = format!("{PATH}/{}", host.id);
    TokenPage {
        page: staff
            .page(Area::Hosts, format!("Enrol {}", host.name))
            .crumb("Hosts", PATH)
            .crumb(&host.name, &host_url),
        name: host.name.clone(),
        command: format!(
            "xenbeta-agent enrol --portal {} --token {token}",
            portal.settings.base_url
        ),
        token,
        host_url,
    }
}

/// `GET /staff/hosts/{id}/token`
pub async fn ask_token(portal: Portal, staff: Staff, id: Path<i64>) -> Result<HttpResponse, Fault> {
    let ask = Ask {
        title: "Make an enrolment token for",
        consequences: &[
            "It works once, for 15 minutes. Tokens made before it stop working.",
            "When an agent enrols with it, the host's present agent, if there is one, is refused from then on.",
        ],
        verb: "token",
        button: "Make the token",
        danger: false,
    };
    ask.page(&portal, &staff, id.0).await
}

/// `POST /staff/hosts/{id}/token`: shows the token once, so no redirect.
pub async fn make_token(
    portal: Portal,
    staff: Staff,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Fault> {
    let actor = staff.actor.clone();
    let (host, token) = portal::run(&portal, move |app| {
        let token = app.new_enrolment_token(actor.who(), HostId(id.0))?;
        let host = app
            .db
            .read(|conn| hosts::host(conn, HostId(id.0)).map_err(AppError::from))?
            .ok_or(AppError::NotFound)?;
        Ok((host, token))
    })
    .await?;
    page::html(&token_page(&portal, &staff, &host, token))
}

/// `GET /staff/hosts/{id}/revoke`
pub async fn ask_revoke(
    portal: Portal,
    staff: Staff,
    id: Path<i64>,
) -> Result<HttpResponse, Fault> {
    let ask = Ask {
        title: "Revoke the agent of",
        consequences: &[
            "Its next request is refused. The Linodes on the host run on, but nothing new is started or moved there until an agent is enrolled anew.",
        ],
        verb: "revoke",
        button: "Revoke the agent",
        danger: true,
    };
    ask.page(&portal, &staff, id.0).await
}

/// `POST /staff/hosts/{id}/revoke`
pub async fn revoke(
    portal: Portal,
    staff: Staff,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Fault> {
    let actor = staff.actor.clone();
    portal::run(&portal, move |app| app.revoke_host(&actor, HostId(id.0))).await?;
    Ok(page::see_other_saying(
        &format!("{PATH}/{}", id.0),
        Flash::good("The agent's credential is revoked."),
    ))
}

struct Ask {
    title: &'static str,
    consequences: &'static [&'static str],
    verb: &'static str,
    button: &'static str,
    danger: bool,
}

impl Ask {
    async fn page(self, portal: &Portal, staff: &Staff, id: i64) -> Result<HttpResponse, Fault> {
        let host = portal::read(portal, move |conn| hosts::host(conn, HostId(id)))
            .await?
            .ok_or(Fault::NotFound)?;
        let url = format!("{PATH}/{id}");
        page::html(&ConfirmPage {
            page: staff
                .page(Area::Hosts, format!("{} {}?", self.title, host.name))
                .crumb("Hosts", PATH)
                .crumb(&host.name, &url),
            consequences: self
                .consequences
                .iter()
                .map(|line| (*line).to_owned())
                .collect(),
            rows: Vec::new(),
            action: format!("{url}/{}", self.verb),
            hidden: Vec::new(),
            fields: Vec::new(),
            button: self.button.to_owned(),
            danger: self.danger,
            back_url: url,
            back_label: format!("Back to {}", host.name),
        })
    }
}
