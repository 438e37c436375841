//! `/staff/faq`: what waits for an answer, and the entries in order, to be moved and retired. Writing one is in
//! [`super::edit`].

use askama::Template;
use serde::Deserialize;

use super::shared::PATH;
use crate::domain::ids::{FaqId, QuestionId};
use crate::store;
use crate::store::faq::Entry;
use crate::web::extract::{Form, Path, Query, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::members::faq::day;
use crate::web::page::{self, Area, Filters, Page, filters};
use crate::web::portal;
use crate::web::ui::{Link, Pager, When};

#[derive(Debug, Template)]
#[template(path = "staff/faq/list.html")]
pub struct FaqPage {
    pub page: Page,
    pub questions: Vec<QuestionRow>,
    pub waiting: i64,
    pub pager: Pager,
    pub entries: Vec<EntryRow>,
    /// How many more there can be, once that is few.
    pub room: Option<i64>,
    pub retired: Vec<EntryRow>,
}

#[derive(Debug)]
pub struct QuestionRow {
    pub link: Link,
    pub asked: When,
}

#[derive(Debug)]
pub struct EntryRow {
    pub id: i64,
    pub question: String,
    pub dated: String,
    pub is_first: bool,
    pub is_last: bool,
}

filters! {
    PATH, 50,
    "The address has a parameter that is doubled or that cannot be read. Start from the list's own filters.";
    after,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeedForm {
    #[serde(rename = "do")]
    deed: String,
}

/// `GET /staff/faq`
pub async fn list(staff: Staff, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let after = Params::read(&asked.after)?.unwrap_or(QuestionId(0));
    let (questions, waiting, entries, retired) = portal::read(&staff.portal, move |conn| {
        Ok((
            store::faq::open_questions(conn, after, Params::limit())?,
            store::faq::count_open(conn)?,
            store::faq::entries(conn, "")?,
            store::faq::retired(conn)?,
        ))
    })
    .await?;
    let (questions, pager) = asked.page(questions, |last| last.id.to_string());
    let page = staff.page(Area::StaffFaq, "FAQ");
    let zone = page.zone();
    page::html(&FaqPage {
        pager,
        questions: questions
            .iter()
            .map(|row| QuestionRow {
                link: Link::new(format!("/staff/questions/{}", row.id), short(&row.question)),
                asked: zone.show(row.asked_at),
            })
            .collect(),
        waiting,
        room: (entries.len() >= store::faq::NEARLY).then(|| {
            store::faq::MOST_ENTRIES
                - i64::try_from(entries.len()).unwrap_or(store::faq::MOST_ENTRIES)
        }),
        entries: rows(&entries),
        retired: rows(&retired),
        page,
    })
}

fn short(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > 120 {
        line = line.chars().take(119).collect();
        line.push('…');
    }
    line
}

fn rows(entries: &[Entry]) -> Vec<EntryRow> {
    let last = entries.len().saturating_sub(1);
    entries
        .iter()
        .enumerate()
        .map(|(at, entry)| EntryRow {
            id: entry.id.0,
            question: entry.question.clone(),
            dated: day(entry.dated_at),
            is_first: at == 0,
            is_last: at == last,
        })
        .collect()
}

/// `POST /staff/faq/{id}/move`
pub async fn move_it(staff: Staff, id: Path<i64>, form: Form<DeedForm>) -> Response {
    let up = match form.0.deed.as_str() {
        "up" => true,
        "down" => false,
        _ => return Err(Fault::BadRequest("An entry moves up or down.".to_owned())),
    };
    staff
        .act(move |app, actor| app.move_faq(actor, FaqId(id.0), up))
        .await?;
    page::said(PATH, "The entry is moved.")
}

/// `POST /staff/faq/{id}/retire`
pub async fn retire(staff: Staff, id: Path<i64>, form: Form<DeedForm>) -> Response {
    let retire = match form.0.deed.as_str() {
        "retire" => true,
        "restore" => false,
        _ => {
            return Err(Fault::BadRequest(
                "An entry is retired or put back.".to_owned(),
            ));
        }
    };
    staff
        .act(move |app, actor| app.retire_faq(actor, FaqId(id.0), retire))
        .await
        .map_err(|fault| fault.at(PATH, "Back to the FAQ"))?;
    let said = if retire {
        "The entry is off the page. You can put it back below."
    } else {
        "The entry is on the page again."
    };
    page::said(PATH, said)
}
