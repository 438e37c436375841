//! Adding a host, and its agent's coming and going.

use askama::Template;
use serde::Deserialize;

use super::shared::{PATH, number, optional};
use crate::app::error::AppError;
use crate::app::host::AddHost;
use crate::domain::host::HostRole;
use crate::domain::ids::{HostId, PlanId};
use crate::domain::platform::{self, Platform};
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::catalogue::Plan;
use crate::store::host::Host;
use crate::web::extract::{Form, Nothing, Path, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, ConfirmPage, Page};
use crate::web::portal;
use crate::web::ui::names::{platform_name, role_name};
use crate::web::ui::{Choice, Field, Input, Problems};

#[derive(Debug, Template)]
#[template(path = "staff/host/enrol.html")]
pub struct NewHostPage {
    pub page: Page,
    pub fields: Vec<Field>,
}

#[derive(Debug, Template)]
#[template(path = "staff/host/token.html")]
pub struct TokenPage {
    pub page: Page,
    pub name: String,
    pub command: String,
    pub token: String,
    pub host_url: String,
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
    let plans = plans.iter().map(|plan| Choice::new(plan.id, &plan.label));
    let choices = Choice::any("Any plan", plans);
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
        Field::number("memory_mb", "Memory for guests, MiB").value(&typed.memory_mb),
        Field::number("disk_mb", "Disk for guests, MiB").value(&typed.disk_mb),
        Field::number("slots", "Migrations at once").value(&typed.slots),
        Field::number("cap_mb_s", "Cap on copying, MB/s")
            .value(&typed.cap_mb_s)
            .hint("Empty for none"),
    ];
    NewHostPage {
        fields: page.problems.on(fields),
        page,
    }
}

/// `GET /staff/hosts/new`
pub async fn new(staff: Staff) -> Response {
    let plans = portal::read(&staff.portal, store::catalogue::plans).await?;
    let typed = NewHostForm {
        platform: platform::TO.to_string(),
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
pub async fn add(staff: Staff, form: Form<NewHostForm>) -> Response {
    let outcome = match parse(&form.0) {
        Ok(new) => {
            let added = staff.submit(move |app, actor| app.add_host(actor.who(), &new));
            added.await?
        }
        Err(problems) => Err(problems),
    };
    match outcome {
        Ok((host, token)) => page::html(&token_page(&staff, &host, token)),
        Err(problems) => {
            let plans = portal::read(&staff.portal, store::catalogue::plans).await?;
            page::refused(&new_page(&staff, &form.0, &plans, problems))
        }
    }
}

fn token_page(staff: &Staff, host: &Host, token: String) -> TokenPage {
    let host_url = format!("{PATH}/{}", host.id);
    TokenPage {
        page: staff
            .page(Area::Hosts, format!("Enrol {}", host.name))
            .crumb("Hosts", PATH)
            .crumb(&host.name, &host_url),
        name: host.name.clone(),
        command: format!(
            "xenbeta-agent enrol --portal {} --token {token}",
            staff.portal.settings.base_url
        ),
        token,
        host_url,
    }
}

/// `GET /staff/hosts/{id}/token`
pub async fn ask_token(staff: Staff, id: Path<i64>) -> Response {
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
    ask.page(&staff, id.0).await
}

/// `POST /staff/hosts/{id}/token`: shows the token once, so no redirect.
pub async fn make_token(staff: Staff, id: Path<i64>, _: Form<Nothing>) -> Response {
    let made = staff.act(move |app, actor| {
        let token = app.new_enrolment_token(actor.who(), HostId(id.0))?;
        let host = app
            .db
            .read(|conn| store::host::host(conn, HostId(id.0)).map_err(AppError::from))?
            .ok_or(AppError::NotFound)?;
        Ok((host, token))
    });
    let (host, token) = made.await?;
    page::html(&token_page(&staff, &host, token))
}

/// `GET /staff/hosts/{id}/revoke`
pub async fn ask_revoke(staff: Staff, id: Path<i64>) -> Response {
    let ask = Ask {
        title: "Revoke the agent of",
        consequences: &[
            "Its next request is refused. The Linodes on the host run on, but nothing new is started or moved there until an agent is enrolled anew.",
        ],
        verb: "revoke",
        button: "Revoke the agent",
        danger: true,
    };
    ask.page(&staff, id.0).await
}

/// `POST /staff/hosts/{id}/revoke`
pub async fn revoke(staff: Staff, id: Path<i64>, _: Form<Nothing>) -> Response {
    staff
        .act(move |app, actor| app.revoke_host(actor, HostId(id.0)))
        .await?;
    page::said(
        &format!("{PATH}/{}", id.0),
        "The agent's credential is revoked.",
    )
}

struct Ask {
    title: &'static str,
    consequences: &'static [&'static str],
    verb: &'static str,
    button: &'static str,
    danger: bool,
}

impl Ask {
    async fn page(self, staff: &Staff, id: i64) -> Response {
        let host = portal::find(&staff.portal, move |conn| {
            store::host::host(conn, HostId(id))
        })
        .await?;
        let url = format!("{PATH}/{id}");
        let page = staff
            .page(Area::Hosts, format!("{} {}?", self.title, host.name))
            .crumb("Hosts", PATH)
            .crumb(&host.name, &url);
        ConfirmPage::new(page, self.button, format!("{url}/{}", self.verb))
            .says(self.consequences.iter().copied())
            .danger(self.danger)
            .back(url, format!("Back to {}", host.name))
            .html()
    }
}
