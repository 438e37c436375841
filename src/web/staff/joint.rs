//! What takes two staff: one asks, with evidence and their password; another one sees it and agrees with theirs, or it is
//! withdrawn. Taking a dead host over, not waiting for one that is off, trusting a ledger again.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde::Deserialize;

use crate::app::joint::{Consequence, may_agree};
use crate::app::{App, AppError};
use crate::domain::ids::{HostId, JointActId, UserId};
use crate::domain::text::Word;
use crate::domain::words::{JointKind, JointState};
use crate::store::hosts::{self, Host};
use crate::store::joint_acts::{self as acts, JointAct};
use crate::store::pages_staff;
use crate::web::error::Fault;
use crate::web::extract::{Form, FormData, Path, Staff};
use crate::web::page::{self, Area, Flash, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Field, Input, Problems, When, Zone, units};

const HOSTS: &str = "/staff/hosts";
const PATH: &str = "/staff/joint";

#[derive(Debug, Template)]
#[template(path = "staff/joint.html")]
pub struct JointPage {
    pub page: Page,
    /// Who asked and when, with what evidence, once it is asked for.
    pub asked: Option<AskedView>,
    /// How it was decided, if it was.
    pub closed: Option<String>,
    pub consequences: Vec<&'static str>,
    pub goes: Vec<GoesRow>,
    /// A takeover: its consequences are Linode by Linode.
    pub is_takeover: bool,
    pub form: Option<FormView>,
    /// Only another one can agree.
    pub own: bool,
    pub withdraw: Option<String>,
    pub host_url: String,
    pub host: String,
}

#[derive(Debug)]
pub struct AskedView {
    pub by: String,
    pub at: When,
    pub evidence: String,
}

#[derive(Debug)]
pub struct GoesRow {
    pub label: String,
    pub to: String,
    pub as_of: Option<When>,
}

#[derive(Debug)]
pub struct FormView {
    pub action: String,
    pub fields: Vec<Field>,
    pub button: String,
    pub danger: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskForm {
    evidence: String,
    password: String,
    #[serde(default)]
    name: String,
}
impl FormData for AskForm {}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideForm {
    password: String,
    #[serde(default)]
    name: String,
}
impl FormData for DecideForm {}

/// What the act is called, of this host.
#[must_use]
pub fn title(kind: JointKind, host: &str) -> String {
    match kind {
        JointKind::Takeover => format!("Take {host} over"),
        JointKind::Waive => format!("Do not wait for {host}"),
        JointKind::TrustLedger => format!("Trust the ledger of {host} again"),
    }
}

fn consequences(kind: JointKind) -> Vec<&'static str> {
    match kind {
        JointKind::Takeover => vec![
            "The host is given up for good. Its agent is refused from then on; it can only be added anew, under another name.",
            "This is only safe when it is certain that the host is off and stays off: a Linode that still ran on it would run twice.",
            "What was written on it since its Linodes came there is lost, where another host starts them from their old disks.",
        ],
        JointKind::Waive => vec![
            "The portal's memory counts as whole without this host's report.",
            "This is only safe when it is certain that the host is off: it may own Linodes of which the portal has forgotten that, and they could be started elsewhere, too.",
            "When it reports again, what it says is compared like any other host's.",
        ],
        JointKind::TrustLedger => vec![
            "The ledger that its agent shows next becomes the one it is known by, and the host gets work again.",
            "What it says of who owns which Linode counts again: first find out why it showed another ledger, and that only one agent uses this one.",
        ],
    }
}

/// An act with what its page shows.
struct Case {
    host: Host,
    act: Option<JointAct>,
    people: HashMap<UserId, String>,
    preview: Vec<Consequence>,
    names: HashMap<HostId, String>,
}

fn load(
    app: &App,
    staff: &crate::app::Actor,
    host: HostId,
    act: Option<JointAct>,
    kind: JointKind,
) -> Result<Case, AppError> {
    let preview = if kind == JointKind::Takeover {
        app.takeover_preview(staff, host)?
    } else {
        Vec::new()
    };
    app.db.read(|conn| {
        let of = act
            .iter()
            .flat_map(|act| [Some(act.asked_by), act.decided_by]);
        Ok(Case {
            host: hosts::host(conn, host)?.ok_or(AppError::NotFound)?,
            people: pages_staff::user_names(conn, of.flatten().collect())?,
            names: hosts::names(conn)?.into_iter().collect(),
            act,
            preview,
        })
    })
}

async fn case_of_host(
    portal: &Portal,
    staff: &Staff,
    host: i64,
    kind: JointKind,
) -> Result<Case, Fault> {
    let actor = staff.actor.clone();
    portal::run(portal, move |app| {
        load(app, &actor, HostId(host), None, kind)
    })
    .await
}

async fn case_of_act(portal: &Portal, staff: &Staff, id: i64) -> Result<(Case, JointAct), Fault> {
    let actor = staff.actor.clone();
    portal::run(portal, move |app| {
        let act = app
            .db
            .read(|conn| acts::get(conn, JointActId(id)).map_err(AppError::from))?;
        let act = act.ok_or(AppError::NotFound)?;
        Ok((
            load(app, &actor, act.host_id, Some(act.clone()), act.kind)?,
            act,
        ))
    })
    .await
}

impl Case {
    fn url(&self) -> String {
        format!("{HOSTS}/{}", self.host.id)
    }

    fn goes(&self, zone: Zone) -> Vec<GoesRow> {
        let row = |it: &Consequence| GoesRow {
            label: it.label.clone(),
            to: it.goes_to.map_or_else(
                || "Nowhere: no other host has its disks".to_owned(),
                |(host, _)| {
                    let name = self.names.get(&host).cloned().unwrap_or_default();
                    format!("{name} starts it, with the disks it has")
                },
            ),
            as_of: it.goes_to.map(|(_, at)| zone.both(at.utc())),
        };
        self.preview.iter().map(row).collect()
    }

    fn person(&self, id: UserId) -> String {
        self.people.get(&id).cloned().unwrap_or_default()
    }

    fn asked(&self, zone: Zone) -> Option<AskedView> {
        let act = self.act.as_ref()?;
        Some(AskedView {
            by: self.person(act.asked_by),
            at: zone.both(act.asked_at.utc()),
            evidence: act.evidence.clone(),
        })
    }

    fn closed(&self, zone: Zone) -> Option<String> {
        let act = self.act.as_ref()?;
        let (by, at) = act.decided_by.zip(act.decided_at)?;
        let (by, at) = (self.person(by), zone.both(at.utc()).text);
        match act.state {
            JointState::Asked => None,
            JointState::Done => Some(format!("{by} agreed on {at}: it is done.")),
            JointState::Withdrawn => Some(format!("{by} withdrew it on {at}. Nothing was done.")),
        }
    }

    /// What both type, and what the host is called where that is asked for, too.
    fn fields(&self, kind: JointKind, name: &str, problems: &Problems) -> Vec<Field> {
        let mut fields = Vec::new();
        if kind == JointKind::Takeover {
            fields.push(
                Field::text("name", format!("Type the host's name, {}", self.host.name))
                    .value(name)
                    .autocomplete("off")
                    .with(problems),
            );
        }
        fields.push(
            Field::password("password", "Your own password", "current-password")
                .hint("So that it is certain that it is you")
                .with(problems),
        );
        fields
    }

    fn page(&self, staff: &Staff, kind: JointKind, problems: Problems) -> Page {
        staff
            .page(Area::Hosts, title(kind, &self.host.name))
            .crumb("Hosts", HOSTS)
            .crumb(&self.host.name, self.url())
            .problems(problems)
    }

    fn present(
        &self,
        page: Page,
        kind: JointKind,
        form: Option<FormView>,
        (own, withdraw): (bool, Option<String>),
    ) -> JointPage {
        let zone = page.zone();
        JointPage {
            asked: self.asked(zone),
            closed: self.closed(zone),
            consequences: consequences(kind),
            goes: self.goes(zone),
            is_takeover: kind == JointKind::Takeover,
            form,
            own,
            withdraw,
            host_url: self.url(),
            host: self.host.name.clone(),
            page,
        }
    }

    /// The form that asks.
    fn asking(
        &self,
        staff: &Staff,
        kind: JointKind,
        typed: &AskForm,
        problems: Problems,
    ) -> JointPage {
        let page = self.page(staff, kind, problems);
        let mut fields = vec![
            Field::new("evidence", "What shows it", Input::Area(5))
                .value(&typed.evidence)
                .hint("Who saw what, and when. Whoever agrees reads this, and it stays in the audit trail.")
                .with(&page.problems),
        ];
        fields.extend(self.fields(kind, &typed.name, &page.problems));
        let form = FormView {
            action: format!("{}/joint/{kind}", self.url()),
            fields,
            button: "Ask a second member of staff to agree".to_owned(),
            danger: false,
        };
        self.present(page, kind, Some(form), (false, None))
    }

    /// What was asked for: another one may agree, everyone may withdraw it.
    fn deciding(&self, staff: &Staff, act: &JointAct, name: &str, problems: Problems) -> JointPage {
        let page = self.page(staff, act.kind, problems);
        let open = act.state == JointState::Asked;
        let may = may_agree(act, staff.actor.user);
        let form = (open && may).then(|| FormView {
            action: format!("{PATH}/{}", act.id),
            fields: self.fields(act.kind, name, &page.problems),
            button: format!("Agree: {}", lower(&title(act.kind, &self.host.name))),
            danger: true,
        });
        let withdraw = open.then(|| format!("{PATH}/{}/withdraw", act.id));
        self.present(page, act.kind, form, (open && !may, withdraw))
    }

    fn withdrawing(&self, staff: &Staff, act: &JointAct, problems: Problems) -> JointPage {
        let mut page = self.page(staff, act.kind, problems);
        page.title = format!("Withdraw: {}", lower(&page.title));
        let form = (act.state == JointState::Asked).then(|| FormView {
            action: format!("{PATH}/{}/withdraw", act.id),
            fields: self.fields(JointKind::Waive, "", &page.problems),
            button: "Withdraw it".to_owned(),
            danger: false,
        });
        JointPage {
            consequences: vec!["Nothing is done. It can be asked for again."],
            goes: Vec::new(),
            is_takeover: false,
            ..self.present(page, act.kind, form, (false, None))
        }
    }
}

/// With a small first letter.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

fn kind_of(word: &str) -> Result<JointKind, Fault> {
    JointKind::parse(word).ok_or(Fault::NotFound)
}

/// A takeover is for the host whose name was typed.
fn name_problem(case: &Case, kind: JointKind, typed: &str) -> Option<Problems> {
    let asks = kind == JointKind::Takeover && typed.trim() != case.host.name;
    asks.then(|| {
        let words = format!(
            "Type the name of the host that you mean: {}",
            case.host.name
        );
        Problems::one("name", words)
    })
}

/// A call with a password: what is wrong with a field, and too many tries, belong on the form again.
async fn guarded<T: Send + 'static>(
    portal: &Portal,
    call: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
) -> Result<Result<T, (StatusCode, Problems)>, Fault> {
    match portal::submit_hashing(portal, call).await {
        Ok(outcome) => Ok(outcome.map_err(|problems| (StatusCode::UNPROCESSABLE_ENTITY, problems))),
        Err(Fault::TooMany { retry_after_s }) => {
            let wait = units::span(i64::try_from(retry_after_s).unwrap_or(60));
            let words = format!("There were too many tries. Try again in {wait}");
            let problems = Problems::one("password", words);
            Ok(Err((StatusCode::TOO_MANY_REQUESTS, problems)))
        }
        Err(other) => Err(other),
    }
}

/// `GET /staff/hosts/{id}/joint/{kind}`
pub async fn form(
    portal: Portal,
    staff: Staff,
    path: Path<(i64, String)>,
) -> Result<HttpResponse, Fault> {
    let (host, word) = path.0;
    let kind = kind_of(&word)?;
    let case = case_of_host(&portal, &staff, host, kind).await?;
    page::html(&case.asking(&staff, kind, &AskForm::default(), Problems::default()))
}

/// `POST /staff/hosts/{id}/joint/{kind}`
pub async fn ask(
    portal: Portal,
    staff: Staff,
    path: Path<(i64, String)>,
    form: Form<AskForm>,
) -> Result<HttpResponse, Fault> {
    let (host, word) = path.0;
    let kind = kind_of(&word)?;
    let case = case_of_host(&portal, &staff, host, kind).await?;
    if let Some(problems) = name_problem(&case, kind, &form.0.name) {
        let shown = case.asking(&staff, kind, &form.0, problems);
        return page::html_status(StatusCode::UNPROCESSABLE_ENTITY, &shown);
    }
    let (actor, typed) = (staff.actor.clone(), form.0.clone());
    let asked = guarded(&portal, move |app| {
        app.ask_joint(
            &actor,
            &typed.password,
            (kind, HostId(host)),
            &typed.evidence,
        )
    })
    .await;
    match asked {
        Ok(Ok(id)) => Ok(page::see_other_saying(
            &format!("{PATH}/{id}"),
            Flash::good("It is asked for. Another member of staff has to agree."),
        )),
        Ok(Err((status, problems))) => {
            page::html_status(status, &case.asking(&staff, kind, &form.0, problems))
        }
        Err(other) => Err(at_host(other, &case)),
    }
}

/// A conflict leads back to the host.
fn at_host(fault: Fault, case: &Case) -> Fault {
    match fault {
        Fault::Conflict { message, .. } => Fault::conflict_at(
            message,
            case.url(),
            format!("See how {} stands", case.host.name),
        ),
        other => other,
    }
}

/// `GET /staff/joint/{id}`
pub async fn show(portal: Portal, staff: Staff, id: Path<i64>) -> Result<HttpResponse, Fault> {
    let (case, act) = case_of_act(&portal, &staff, id.0).await?;
    page::html(&case.deciding(&staff, &act, "", Problems::default()))
}

/// `POST /staff/joint/{id}`
pub async fn agree(
    portal: Portal,
    staff: Staff,
    id: Path<i64>,
    form: Form<DecideForm>,
) -> Result<HttpResponse, Fault> {
    let (case, act) = case_of_act(&portal, &staff, id.0).await?;
    if let Some(problems) = name_problem(&case, act.kind, &form.0.name) {
        let shown = case.deciding(&staff, &act, &form.0.name, problems);
        return page::html_status(StatusCode::UNPROCESSABLE_ENTITY, &shown);
    }
    match decide(&portal, &staff, &act, form.0.password.clone(), true).await {
        Ok(Ok(())) => Ok(page::see_other_saying(
            &case.url(),
            Flash::good(format!(
                "Done: {}.",
                lower(&title(act.kind, &case.host.name))
            )),
        )),
        Ok(Err((status, problems))) => {
            page::html_status(status, &case.deciding(&staff, &act, &form.0.name, problems))
        }
        Err(other) => Err(at_host(other, &case)),
    }
}

async fn decide(
    portal: &Portal,
    staff: &Staff,
    act: &JointAct,
    password: String,
    agree: bool,
) -> Result<Result<(), (StatusCode, Problems)>, Fault> {
    let (actor, id) = (staff.actor.clone(), act.id);
    let done = guarded(portal, move |app| {
        app.decide_joint(&actor, &password, id, agree)
    })
    .await?;
    Ok(done.map(|_| ()))
}

/// `GET /staff/joint/{id}/withdraw`
pub async fn ask_withdraw(
    portal: Portal,
    staff: Staff,
    id: Path<i64>,
) -> Result<HttpResponse, Fault> {
    let (case, act) = case_of_act(&portal, &staff, id.0).await?;
    page::html(&case.withdrawing(&staff, &act, Problems::default()))
}

/// `POST /staff/joint/{id}/withdraw`
pub async fn withdraw(
    portal: Portal,
    staff: Staff,
    id: Path<i64>,
    form: Form<DecideForm>,
) -> Result<HttpResponse, Fault> {
    let (case, act) = case_of_act(&portal, &staff, id.0).await?;
    match decide(&portal, &staff, &act, form.0.password.clone(), false).await {
        Ok(Ok(())) => Ok(page::see_other_saying(
            &case.url(),
            Flash::good("It is withdrawn. Nothing was done."),
        )),
        Ok(Err((status, problems))) => {
            page::html_status(status, &case.withdrawing(&staff, &act, problems))
        }
        Err(other) => Err(at_host(other, &case)),
    }
}
