//! `/staff/faq/{id}` and `/staff/questions/{id}`: writing an entry with a look at it before; a question becomes an entry or a
//! private answer by one button each.

use askama::Template;

use super::form::EntryForm;
use super::shared::PATH;
use crate::app::faq::Answer;
use crate::domain::ids::{FaqId, QuestionId};
use crate::domain::markdown::Title;
use crate::store;
use crate::store::faq::{Entry, Question};
use crate::web::extract::{Form, Path, Staff};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::markdown::{self, Rendered};
use crate::web::ui::{Field, Problems, When};

/// Writing an entry, or answering a question.
#[derive(Debug, Template)]
#[template(path = "staff/faq/edit.html")]
pub struct EditPage {
    pub page: Page,
    pub action: String,
    pub version: i32,
    /// The question that is answered: who asked, when and what.
    pub asked: Option<(String, When, String)>,
    pub fields: Vec<Field>,
    pub preview: Option<Rendered>,
    /// Of an entry that is there: whether it is retired.
    pub retired: Option<bool>,
}

/// Where a form goes, and what it is about.
struct Editing {
    title: String,
    action: String,
    question: Option<(Question, String)>,
    retired: Option<bool>,
}

fn present(staff: &Staff, about: Editing, form: &EntryForm, problems: Problems) -> Response {
    let preview = (form.deed == "preview").then(|| markdown::article(&form.answer, 2));
    let status = problems.status();
    let page = staff
        .page(Area::StaffFaq, about.title)
        .crumb("FAQ", PATH)
        .problems(problems);
    let zone = page.zone();
    page::html_status(
        status,
        &EditPage {
            fields: form.fields(about.question.is_some(), &page.problems),
            action: about.action,
            version: form.version,
            asked: about
                .question
                .map(|(row, who)| (who, zone.show(row.asked_at), row.question)),
            preview,
            retired: about.retired,
            page,
        },
    )
}

fn new_entry() -> Editing {
    Editing {
        title: "New FAQ entry".to_owned(),
        action: format!("{PATH}/new"),
        question: None,
        retired: None,
    }
}

/// `GET /staff/faq/new`
pub async fn new(staff: Staff) -> Response {
    present(
        &staff,
        new_entry(),
        &EntryForm::default(),
        Problems::default(),
    )
}

/// `POST /staff/faq/new`
pub async fn add(staff: Staff, form: Form<EntryForm>) -> Response {
    let mut problems = Problems::default();
    let text = form.0.text(staff.portal.now(), &mut problems);
    let Some(text) = text.filter(|_| form.0.deed != "preview") else {
        return present(&staff, new_entry(), &form.0, problems);
    };
    match staff
        .submit(move |app, actor| app.add_faq(actor, &text))
        .await?
    {
        Ok(_) => page::said(PATH, "The entry is on the page, at its end."),
        Err(problems) => present(&staff, new_entry(), &form.0, problems),
    }
}

async fn find(portal: &Portal, id: i64) -> Result<Entry> {
    portal::find(portal, move |conn| store::faq::entry(conn, FaqId(id))).await
}

fn editing(entry: &Entry) -> Editing {
    Editing {
        title: "Edit an FAQ entry".to_owned(),
        action: format!("{PATH}/{}", entry.id),
        question: None,
        retired: Some(entry.retired_at.is_some()),
    }
}

/// `GET /staff/faq/{id}`
pub async fn edit(staff: Staff, id: Path<i64>) -> Response {
    let entry = find(&staff.portal, id.0).await?;
    present(
        &staff,
        editing(&entry),
        &EntryForm::of(&entry),
        Problems::default(),
    )
}

/// `POST /staff/faq/{id}`
pub async fn save(staff: Staff, id: Path<i64>, form: Form<EntryForm>) -> Response {
    let entry = find(&staff.portal, id.0).await?;
    let mut problems = Problems::default();
    let text = form.0.text(staff.portal.now(), &mut problems);
    let Some(text) = text.filter(|_| form.0.deed != "preview") else {
        return present(&staff, editing(&entry), &form.0, problems);
    };
    let version = form.0.version;
    let done = staff
        .submit(move |app, actor| app.change_faq(actor, FaqId(id.0), version, &text))
        .await
        .map_err(|fault| fault.at(format!("{PATH}/{}", id.0), "Look at the entry again"))?;
    match done {
        Ok(()) => page::said(PATH, "The entry is saved."),
        Err(problems) => present(&staff, editing(&entry), &form.0, problems),
    }
}

async fn asked(portal: &Portal, id: i64) -> Result<Editing> {
    let (question, who) = portal::find(portal, move |conn| {
        let Some(question) = store::faq::question(conn, QuestionId(id))? else {
            return Ok(None);
        };
        let who = store::account::user(conn, question.asked_by)?
            .map(|user| user.name)
            .unwrap_or_default();
        Ok(Some((question, who)))
    })
    .await?;
    if question.state != "open" {
        return Err(Fault::conflict_at(
            "This question is answered already.",
            PATH,
            "Back to the FAQ",
        ));
    }
    Ok(Editing {
        title: format!("Answer question {id}"),
        action: format!("/staff/questions/{id}"),
        question: Some((question, who)),
        retired: None,
    })
}

/// `GET /staff/questions/{id}`
pub async fn question(staff: Staff, id: Path<i64>) -> Response {
    let about = asked(&staff.portal, id.0).await?;
    let form = EntryForm {
        question: about
            .question
            .as_ref()
            .map(|(row, _)| {
                row.question
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .unwrap_or_default()
            .chars()
            .take(Title::MAX)
            .collect(),
        ..EntryForm::default()
    };
    present(&staff, about, &form, Problems::default())
}

/// `POST /staff/questions/{id}`
pub async fn answer(staff: Staff, id: Path<i64>, form: Form<EntryForm>) -> Response {
    let mut problems = Problems::default();
    let answer = match form.0.deed.as_str() {
        "entry" => form
            .0
            .text(staff.portal.now(), &mut problems)
            .map(Answer::Entry),
        "private" => form.0.answer(&mut problems).map(Answer::Private),
        _ => None,
    };
    let Some(answer) = answer else {
        return present(&staff, asked(&staff.portal, id.0).await?, &form.0, problems);
    };
    let done = staff
        .submit(move |app, actor| app.answer_question(actor, QuestionId(id.0), &answer))
        .await
        .map_err(|fault| fault.at(PATH, "Back to the FAQ"))?;
    match done {
        Ok(Some(_)) => page::said(PATH, "It is an entry now, and who asked gets mail."),
        Ok(None) => page::said(PATH, "Who asked gets your answer by mail."),
        Err(problems) => present(&staff, asked(&staff.portal, id.0).await?, &form.0, problems),
    }
}
