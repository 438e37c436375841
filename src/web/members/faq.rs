//! The FAQ: `/faq` for everybody, `/members/faq` with one's own questions and the form to ask another.

use askama::Template;
use serde::Deserialize;

use crate::app::faq::MOST_QUESTION;
use crate::domain::markdown::Markdown;
use crate::store;
use crate::store::faq::{Entry, Question};
use crate::web::context::Context;
use crate::web::extract::{Form, Path, Query, Signed, once_or};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::markdown::{self, Rendered};
use crate::web::ui::{Field, FormState, Input, Link, Problems, When, Zone};

pub const PATH: &str = "/members/faq";

#[derive(Debug, Template)]
#[template(path = "members/faq.html")]
pub struct FaqPage {
    pub page: Page,
    pub path: &'static str,
    pub text: Field,
    pub searched: bool,
    pub entries: Vec<EntryView>,
    /// Of someone who may ask.
    pub ask: Option<Ask>,
}

#[derive(Debug)]
pub struct EntryView {
    pub slug: String,
    pub question: String,
    pub answer: Rendered,
    pub dated: String,
}

#[derive(Debug)]
pub struct Ask {
    pub questions: Vec<QuestionView>,
    pub field: Field,
    pub once: String,
}

#[derive(Debug)]
pub struct QuestionView {
    pub id: i64,
    pub text: String,
    pub asked: When,
    pub answer: Option<Rendered>,
    pub link: Option<Link>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Params {
    q: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskForm {
    question: String,
    once: String,
}

/// A day, as entries are dated: "22 Nov 2026".
pub fn day(at: crate::domain::time::Time) -> String {
    at.utc().format("%-d %b %Y").to_string()
}

fn entry_view(entry: &Entry) -> EntryView {
    EntryView {
        slug: entry.slug.clone(),
        question: entry.question.clone(),
        answer: markdown::article(&entry.answer, 2),
        dated: day(entry.dated_at),
    }
}

fn question_view(question: &Question, entries: &[Entry], zone: Zone) -> QuestionView {
    let entry = entries
        .iter()
        .find(|entry| Some(entry.id) == question.entry_id);
    QuestionView {
        id: question.id.0,
        text: question.question.clone(),
        asked: zone.show(question.asked_at),
        answer: question
            .answer
            .as_ref()
            .map(|answer| markdown::post(answer, 3)),
        link: entry
            .map(|entry| Link::new(format!("{PATH}#{}", entry.slug), entry.question.clone())),
    }
}

fn words(asked: &Params) -> String {
    asked.q.trim().chars().take(200).collect()
}

/// `GET /faq`
pub async fn public(portal: Portal, context: Context, asked: Query<Params>) -> Response {
    let text = words(&asked.0);
    let wanted = text.clone();
    let entries = portal::read(&portal, move |conn| store::faq::entries(conn, &wanted)).await?;
    page::html(&FaqPage {
        page: Page::new(&context, Area::Faq, "Questions and answers"),
        path: "/faq",
        text: Field::text("q", "Words").value(&text),
        searched: !text.is_empty(),
        entries: entries.iter().map(entry_view).collect(),
        ask: None,
    })
}

async fn present(
    signed: &Signed,
    text: String,
    FormState { typed, problems }: FormState<AskForm>,
) -> Response {
    let typed = typed.unwrap_or_default();
    let (wanted, user) = (text.clone(), signed.actor.user);
    let (entries, all, questions) = portal::read(&signed.portal, move |conn| {
        let entries = store::faq::entries(conn, &wanted)?;
        let all = if wanted.is_empty() {
            Vec::new()
        } else {
            store::faq::entries(conn, "")?
        };
        Ok((entries, all, store::faq::questions_of(conn, user)?))
    })
    .await?;
    let status = problems.status();
    let page = signed
        .page(Area::Faq, "Questions and answers")
        .problems(problems);
    let zone = page.zone();
    let linked = if text.is_empty() { &entries } else { &all };
    let ask = signed.actor.account.map(|_| Ask {
        questions: questions
            .iter()
            .map(|it| question_view(it, linked, zone))
            .collect(),
        field: Field::new("question", "Your question", Input::Area(3))
            .value(&typed.question)
            .hint("Our staff answer it, to you or here for everybody; you get mail.")
            .with(&page.problems),
        once: once_or(&typed.once),
    });
    page::html_status(
        status,
        &FaqPage {
            path: PATH,
            text: Field::text("q", "Words").value(&text),
            searched: !text.is_empty(),
            entries: entries.iter().map(entry_view).collect(),
            ask,
            page,
        },
    )
}

/// `GET /members/faq`
pub async fn show(signed: Signed, asked: Query<Params>) -> Response {
    present(&signed, words(&asked.0), FormState::anew()).await
}

/// `POST /members/faq`
pub async fn ask(signed: Signed, form: Form<AskForm>) -> Response {
    signed.actor.require_account()?;
    let done = match Markdown::required(&form.0.question, MOST_QUESTION, "your question") {
        Ok(text) => {
            let mark = form.0.once.clone();
            signed
                .submit(move |app, actor| app.ask(actor, &text, &mark))
                .await?
        }
        Err(why) => Err(Problems::one("question", why.to_string())),
    };
    match done {
        Ok(_) => page::said(
            PATH,
            "Your question is with our staff. You get mail when it is answered.",
        ),
        // What was refused is sent anew under a new mark.
        Err(problems) => {
            let typed = AskForm {
                once: String::new(),
                ..form.0
            };
            present(&signed, String::new(), FormState::again(typed, problems)).await
        }
    }
}

/// `GET /members/faq/{entry}`: where mails lead, as an anchor would be lost on the way through the sign-in page.
pub async fn to_entry(_signed: Signed, entry: Path<String>) -> Response {
    let plain = entry.0.len() <= 100
        && entry
            .0
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !plain {
        return Err(Fault::NotFound);
    }
    Ok(page::see_other(&format!("{PATH}#{}", entry.0)))
}
