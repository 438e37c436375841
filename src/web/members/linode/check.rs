//! `/members/linodes/{id}/checks`: what is to answer after a move, what each answers now, and what follows if one does not.

use std::time::Duration;

use askama::Template;
use serde::Deserialize;

use super::shared::{at_linode, find, is_over, page_of};
use crate::app::error::AppError;
use crate::domain::ids::LinodeId;
use crate::domain::linode::check::{ASK_S, Check, CheckPlan, MOST_CHECKS};
use crate::domain::time::span;
use crate::store;
use crate::store::linode::address::Ip;
use crate::store::linode::check::CheckRow;
use crate::store::linode::page::LinodeDetail;
use crate::web::extract::{Form, Member, Nothing, Path};
use crate::web::fault::Response;
use crate::web::page::{self, Page};
use crate::web::portal;
use crate::web::ui::{Choice, Field, FormState, Input, Tag, Tone, When, Zone};

/// How long the page waits for the host's answers: as long as the slowest check may take, and its order.
const WAIT: Duration = Duration::from_secs(ASK_S + 2);

#[derive(Debug, Template)]
#[template(path = "members/linode/check.html")]
pub struct ChecksPage {
    pub page: Page,
    pub linode: i64,
    pub label: String,
    pub checks: Vec<CheckView>,
    /// One more; nothing when there are as many as there may be.
    pub fields: Vec<Field>,
    pub most: usize,
    pub then: Field,
    pub limit: Field,
}

/// One check, and what it answered last.
#[derive(Debug)]
pub struct CheckView {
    pub words: String,
    pub answer: Tag,
    pub said: String,
    pub at: Option<When>,
    /// What names it in a form.
    pub hidden: [(&'static str, String); 4],
}

impl CheckView {
    /// `own`: the Linode's addresses.
    pub fn new(row: &CheckRow, own: &[Ip], zone: Zone) -> Self {
        let check = row.check();
        let is_its_own = own.iter().any(|ip| ip.address == check.address);
        let (path, status) = check.http.as_ref().map_or_else(Default::default, |http| {
            (http.path.clone(), http.status.to_string())
        });
        Self {
            words: check.words(),
            answer: if is_its_own {
                answer(row.asked_at.is_some(), row.ok)
            } else {
                Tag::new("Not its address any more: not asked", Tone::Warn)
            },
            said: row.said.clone(),
            at: row.asked_at.map(|at| zone.show(at.utc())),
            hidden: [
                ("address", check.address),
                ("port", check.port.to_string()),
                ("path", path),
                ("status", status),
            ],
        }
    }
}

/// What was answered, if it was asked.
pub fn answer(is_asked: bool, ok: Option<bool>) -> Tag {
    match ok {
        Some(true) => Tag::new("Passes", Tone::Good),
        Some(false) => Tag::new("Fails", Tone::Bad),
        None if is_asked => Tag::new("Could not be asked", Tone::Warn),
        None => Tag::new("Not asked yet", Tone::Plain),
    }
}

/// A check as its four parts are sent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckForm {
    address: String,
    port: String,
    path: String,
    status: String,
}

impl CheckForm {
    fn parse(&self) -> Result<Check, AppError> {
        // Which of the four is wrong the words say; they stand together.
        Check::parse(&self.address, &self.port, &self.path, &self.status)
            .map_err(AppError::field("port"))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanForm {
    then: String,
    limit: String,
}

fn add_fields(detail: &LinodeDetail, typed: &CheckForm) -> Vec<Field> {
    let addresses = detail.ips.iter();
    let addresses = addresses.map(|ip| Choice::new(&ip.address, ip.address.clone()));
    vec![
        Field::new("address", "Address", Input::Select(addresses.collect())).value(&typed.address),
        Field::number("port", "Port")
            .value(&typed.port)
            .hint("22 for SSH, 80 for a web site, 25 for mail."),
        Field::text("path", "Path, for a web site")
            .value(&typed.path)
            .hint("Like / or /health. Empty: the port is to take connections."),
        Field::number("status", "Status that it is to answer with")
            .value(&typed.status)
            .hint("Only with a path; empty: 200."),
    ]
}

async fn present(
    member: &Member,
    id: i64,
    FormState { typed, problems }: FormState<CheckForm>,
) -> Response {
    let detail = find(member, id).await?;
    let linode = detail.linode.id;
    let (rows, plan) = portal::read(&member.portal, move |conn| {
        let rows = store::linode::check::of(conn, linode)?;
        Ok((rows, store::linode::check::plan(conn, linode)?))
    })
    .await?;
    let title = format!("Checks after a move of {}", detail.linode.label);
    let page = page_of(member, &detail.linode, title).problems(problems);
    let zone = page.zone();
    let fields = if rows.len() < MOST_CHECKS && !detail.ips.is_empty() {
        page.problems
            .on(add_fields(&detail, &typed.unwrap_or_default()))
    } else {
        Vec::new()
    };
    let limits = CheckPlan::LIMITS_S.iter();
    let limits = limits.map(|limit| Choice::new(limit, span(i64::from(*limit))));
    let view = ChecksPage {
        linode: id,
        label: detail.linode.label.clone(),
        checks: rows
            .iter()
            .map(|row| CheckView::new(row, &detail.ips, zone))
            .collect(),
        fields,
        most: MOST_CHECKS,
        then: Field::new(
            "then",
            "If one fails there",
            Input::Radios(vec![
                Choice::new("tell", "Tell me: I decide"),
                Choice::new("home", "Take it home by itself, and tell me"),
            ]),
        )
        .value(if plan.goes_home { "home" } else { "tell" })
        .with(&page.problems),
        limit: Field::select(
            "limit",
            "How long each has to pass after the start",
            limits.collect(),
        )
        .value(plan.limit_s)
        .with(&page.problems),
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// `GET /members/linodes/{id}/checks`
pub async fn show(member: Member, id: Path<i64>) -> Response {
    present(&member, id.0, FormState::anew()).await
}

fn url(id: i64) -> String {
    format!("/members/linodes/{id}/checks")
}

/// `POST /members/linodes/{id}/checks`: one more.
pub async fn add(member: Member, id: Path<i64>, form: Form<CheckForm>) -> Response {
    let typed = form.0.clone();
    let added = member.submit(move |app, actor| {
        let check = form.0.parse()?;
        app.add_check(actor, LinodeId(id.0), &check)?;
        Ok(check.words())
    });
    match added.await.map_err(|fault| at_linode(fault, id.0))? {
        Ok(words) => page::said(&url(id.0), format!("Added: {words}.")),
        Err(problems) => present(&member, id.0, FormState::again(typed, problems)).await,
    }
}

/// `POST /members/linodes/{id}/checks/remove`
pub async fn remove(member: Member, id: Path<i64>, form: Form<CheckForm>) -> Response {
    let removed = member.act(move |app, actor| {
        let check = form.0.parse()?;
        app.remove_check(actor, LinodeId(id.0), &check)?;
        Ok(check.words())
    });
    let words = removed.await.map_err(|fault| at_linode(fault, id.0))?;
    page::said(&url(id.0), format!("Removed: {words}."))
}

/// `POST /members/linodes/{id}/checks/plan`: what follows if one does not answer.
pub async fn plan(member: Member, id: Path<i64>, form: Form<PlanForm>) -> Response {
    let saved = member.submit(move |app, actor| {
        let goes_home = match form.0.then.as_str() {
            "tell" => false,
            "home" => true,
            _ => return Err(AppError::invalid("then", "Choose what follows")),
        };
        let limit_s = form.0.limit.trim().parse().unwrap_or(0);
        let plan = CheckPlan { goes_home, limit_s };
        app.set_check_plan(actor, LinodeId(id.0), plan)
    });
    match saved.await.map_err(|fault| at_linode(fault, id.0))? {
        Ok(()) => page::said(
            &url(id.0),
            "Saved. It counts for moves that begin from now on.",
        ),
        Err(problems) => {
            let form = FormState::again(CheckForm::default(), problems);
            present(&member, id.0, form).await
        }
    }
}

/// `POST /members/linodes/{id}/checks/ask`: has the host ask each of them now.
pub async fn ask(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    let job = member
        .act(move |app, actor| app.ask_checks(actor, LinodeId(id.0)))
        .await
        .map_err(|fault| at_linode(fault, id.0))?;
    if is_over(&member.portal, job, WAIT).await? {
        return Ok(page::see_other(&url(id.0)));
    }
    let words = "The host is asked. Load this page again in a moment.";
    page::said(&url(id.0), words)
}
