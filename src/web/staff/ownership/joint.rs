//! What takes two staff: one asks, with evidence and their password; another one sees it and agrees with theirs, or it is
//! withdrawn. Taking a dead host over, not waiting for one that is off, trusting a ledger again. Rule of the room: what the
//! page shows is in [`case`], what is done from it here.

use actix_web::http::StatusCode;

use super::joint_case::{AskForm, Case, DecideForm, PATH, case_of_act, case_of_host, lower, title};
use crate::app::App;
use crate::app::error::AppError;
use crate::domain::ids::HostId;
use crate::domain::ownership::joint::JointKind;
use crate::domain::string_enum::StringEnum;
use crate::store::ownership::joint::JointAct;
use crate::web::extract::{Form, Path, Staff};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page;
use crate::web::portal::{self, Portal};
use crate::web::ui::{Problems, units};

fn kind_of(word: &str) -> Result<JointKind> {
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
) -> Result<Result<T, (StatusCode, Problems)>> {
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
pub async fn form(staff: Staff, path: Path<(i64, String)>) -> Response {
    let (host, word) = path.0;
    let kind = kind_of(&word)?;
    let case = case_of_host(&staff, host, kind).await?;
    page::html(&case.asking(&staff, &AskForm::default(), Problems::default()))
}

/// `POST /staff/hosts/{id}/joint/{kind}`
pub async fn ask(staff: Staff, path: Path<(i64, String)>, form: Form<AskForm>) -> Response {
    let (host, word) = path.0;
    let kind = kind_of(&word)?;
    let case = case_of_host(&staff, host, kind).await?;
    if let Some(problems) = name_problem(&case, kind, &form.0.name) {
        let shown = case.asking(&staff, &form.0, problems);
        return page::refused(&shown);
    }
    let (actor, typed) = (staff.actor.clone(), form.0.clone());
    let asked = guarded(&staff.portal, move |app| {
        app.ask_joint(
            &actor,
            &typed.password,
            (kind, HostId(host)),
            &typed.evidence,
        )
    })
    .await;
    match asked {
        Ok(Ok(id)) => page::said(
            &format!("{PATH}/{id}"),
            "It is asked for. Another member of staff has to agree.",
        ),
        Ok(Err((status, problems))) => {
            page::html_status(status, &case.asking(&staff, &form.0, problems))
        }
        Err(other) => Err(at_host(other, &case)),
    }
}

/// A conflict leads back to the host.
fn at_host(fault: Fault, case: &Case) -> Fault {
    fault.at(case.url(), format!("See how {} stands", case.host.name))
}

/// `GET /staff/joint/{id}`
pub async fn show(staff: Staff, id: Path<i64>) -> Response {
    let (case, _) = case_of_act(&staff, id.0).await?;
    page::html(&case.deciding(&staff, "", Problems::default()))
}

/// `POST /staff/joint/{id}`
pub async fn agree(staff: Staff, id: Path<i64>, form: Form<DecideForm>) -> Response {
    let (case, act) = case_of_act(&staff, id.0).await?;
    if let Some(problems) = name_problem(&case, act.kind, &form.0.name) {
        let shown = case.deciding(&staff, &form.0.name, problems);
        return page::refused(&shown);
    }
    match decide(&staff, &act, form.0.password.clone(), true).await {
        Ok(Ok(())) => page::said(
            &case.url(),
            format!("Done: {}.", lower(&title(act.kind, &case.host.name))),
        ),
        Ok(Err((status, problems))) => {
            page::html_status(status, &case.deciding(&staff, &form.0.name, problems))
        }
        Err(other) => Err(at_host(other, &case)),
    }
}

async fn decide(
    staff: &Staff,
    act: &JointAct,
    password: String,
    agree: bool,
) -> Result<Result<(), (StatusCode, Problems)>> {
    let (actor, id) = (staff.actor.clone(), act.id);
    let done = guarded(&staff.portal, move |app| {
        app.decide_joint(&actor, &password, id, agree)
    })
    .await?;
    Ok(done.map(|_| ()))
}

/// `GET /staff/joint/{id}/withdraw`
pub async fn ask_withdraw(staff: Staff, id: Path<i64>) -> Response {
    let (case, _) = case_of_act(&staff, id.0).await?;
    page::html(&case.withdrawing(&staff, Problems::default()))
}

/// `POST /staff/joint/{id}/withdraw`
pub async fn withdraw(staff: Staff, id: Path<i64>, form: Form<DecideForm>) -> Response {
    let (case, act) = case_of_act(&staff, id.0).await?;
    match decide(&staff, &act, form.0.password.clone(), false).await {
        Ok(Ok(())) => page::said(&case.url(), "It is withdrawn. Nothing was done."),
        Ok(Err((status, problems))) => {
            page::html_status(status, &case.withdrawing(&staff, problems))
        }
        Err(other) => Err(at_host(other, &case)),
    }
}
