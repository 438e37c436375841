//! `/staff/bugs/{id}`: a thread as members see it, with whole names, what its author sent along, and staff's part: triage,
//! the migrations it explains, a reply, notes that no member sees.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use askama::Template;
use serde::Deserialize;

use super::list::PATH;
use crate::app::bug::MOST_TEXT;
use crate::app::bug::triage::Decision;
use crate::domain::bug::{BugState, Component, Severity};
use crate::domain::ids::{BugId, MigrationId, UserId};
use crate::domain::markdown::Markdown;
use crate::domain::migration::MigrationState;
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::bug::page::Thread;
use crate::store::bug::{Bug, Note, Person};
use crate::web::bug::thread_view::{Params, Reader, View};
use crate::web::extract::{Form, Path, Query, Staff, Upload, once_or};
use crate::web::fault::{Fault, Response};
use crate::web::members::bug::new::files;
use crate::web::members::bug::thread::{ReplyForm, ReplyText, serve};
use crate::web::page::{self, Area, Filters, Page};
use crate::web::portal;
use crate::web::ui::markdown::{self, Rendered};
use crate::web::ui::names::{component_choices, severity_choices};
use crate::web::ui::{Choice, Field, Input, Link, Problems, Tag, When};

#[derive(Debug, Template)]
#[template(path = "staff/bug/thread.html")]
pub struct BugPage {
    pub page: Page,
    pub thread: View,
    pub version: i32,
    pub triage_once: String,
    pub triage: Vec<Field>,
    pub reply: ReplyForm,
    pub note: Field,
    pub note_once: String,
    pub notes: Vec<NoteView>,
    pub migrations: Vec<MigrationView>,
    pub migration: Field,
}

#[derive(Debug)]
pub struct NoteView {
    pub who: String,
    pub at: When,
    pub body: Rendered,
}

#[derive(Debug)]
pub struct MigrationView {
    pub id: i64,
    pub link: Link,
    pub state: Tag,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriageForm {
    version: i32,
    state: String,
    severity: String,
    component: String,
    #[serde(default)]
    duplicate_of: String,
    /// For the thread, with what is decided; empty: none.
    #[serde(default)]
    answer: String,
    #[serde(default)]
    once: String,
}

impl TriageForm {
    fn of(bug: &Bug) -> Self {
        Self {
            version: bug.version,
            state: bug.state.to_string(),
            severity: bug.severity.to_string(),
            component: bug.component.to_string(),
            duplicate_of: bug
                .duplicate_of
                .map(|of| of.to_string())
                .unwrap_or_default(),
            answer: String::new(),
            once: String::new(),
        }
    }

    fn fields(&self) -> [Field; 5] {
        let states = BugState::ALL
            .iter()
            .map(|state| Choice::new(state, Tag::bug(*state).text))
            .collect();
        [
            Field::select("state", "State", states).value(&self.state),
            Field::text("duplicate_of", "Duplicate of bug")
                .value(&self.duplicate_of)
                .hint("The other bug's number, if the state is “Duplicate”.")
                .short(),
            Field::select("severity", "Severity", severity_choices()).value(&self.severity),
            Field::select("component", "Part", component_choices()).value(&self.component),
            Field::new("answer", "Answer in the thread", Input::Area(4))
                .value(&self.answer)
                .hint("Sent with what you decide, by the same button; empty: nothing is said. With files: below."),
        ]
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteForm {
    note: String,
    once: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainForm {
    migration: String,
    #[serde(rename = "do")]
    deed: String,
}

/// What was typed in one of the page's forms.
#[derive(Default)]
struct Typed {
    triage: Option<TriageForm>,
    reply: ReplyText,
    note: NoteForm,
    migration: String,
}

struct Loaded {
    thread: Thread,
    notes: Vec<Note>,
    names: HashMap<UserId, Person>,
    migrations: Vec<(MigrationId, MigrationState, String)>,
}

impl Loaded {
    fn name(&self, id: UserId) -> String {
        let who = self.names.get(&id);
        who.map(|who| who.name.clone()).unwrap_or_default()
    }
}

async fn present(
    staff: &Staff,
    (id, asked): (i64, &Params),
    typed: Typed,
    (status, problems): (StatusCode, Problems),
) -> Response {
    let (user, after) = (staff.actor.user, asked.after()?);
    let found = portal::find(&staff.portal, move |conn| {
        let Some(thread) = store::bug::page::thread(conn, BugId(id), user, after, Params::limit())?
        else {
            return Ok(None);
        };
        let notes = store::bug::notes(conn, BugId(id))?;
        Ok(Some(Loaded {
            names: store::bug::names(conn, notes.iter().map(|note| note.author_id).collect())?,
            migrations: store::bug::links::migrations_of(conn, BugId(id))?,
            thread,
            notes,
        }))
    })
    .await?;
    let page = staff
        .page(Area::StaffBugs, found.thread.bug.title.clone())
        .crumb("Bugs", PATH)
        .problems(problems);
    page::html_status(status, &view(page, staff, &found, asked, &typed))
}

fn view(page: Page, staff: &Staff, found: &Loaded, asked: &Params, typed: &Typed) -> BugPage {
    let zone = page.zone();
    let reader = Reader {
        actor: &staff.actor,
        staff: true,
        zone,
    };
    let thread = View::new(&found.thread, &reader, asked);
    let form = typed.triage.clone();
    let form = form.unwrap_or_else(|| TriageForm::of(&found.thread.bug));
    BugPage {
        version: form.version,
        triage_once: once_or(&form.once),
        triage: page.problems.on(form.fields()),
        reply: ReplyForm::new(
            format!("{}/reply", thread.url),
            &typed.reply,
            &page.problems,
        ),
        note: Field::new("note", "A note for staff", Input::Area(3))
            .value(&typed.note.note)
            .hint("No member sees it, and nobody gets mail.")
            .with(&page.problems),
        note_once: once_or(&typed.note.once),
        notes: found
            .notes
            .iter()
            .map(|note| NoteView {
                who: found.name(note.author_id),
                at: zone.show(note.at),
                body: markdown::post(&note.body, 3),
            })
            .collect(),
        migrations: found
            .migrations
            .iter()
            .map(|(id, state, label)| MigrationView {
                id: id.0,
                link: Link::migration_of(*id, label),
                state: Tag::migration(*state),
            })
            .collect(),
        migration: Field::text("migration", "Number of a migration that it explains")
            .value(&typed.migration)
            .short()
            .with(&page.problems),
        thread,
        page,
    }
}

/// `GET /staff/bugs/{id}`
pub async fn show(staff: Staff, id: Path<i64>, asked: Query<Params>) -> Response {
    let fine = (StatusCode::OK, Problems::default());
    present(&staff, (id.0, &asked.0), Typed::default(), fine).await
}

fn saying(id: i64, said: &str) -> Response {
    page::said(&format!("{PATH}/{id}"), said)
}

/// A conflict leads back to the bug, where one sees how it stands.
fn at_bug(fault: Fault, id: i64) -> Fault {
    fault.at(format!("{PATH}/{id}"), "Look at the bug again")
}

/// `POST /staff/bugs/{id}`
pub async fn triage(staff: Staff, id: Path<i64>, form: Form<TriageForm>) -> Response {
    let (form, mut problems) = (form.0, Problems::default());
    let state = problems.take("state", form.state.parse::<BugState>());
    let severity = problems.take("severity", form.severity.parse::<Severity>());
    let component = problems.take("component", form.component.parse::<Component>());
    let of = match form.duplicate_of.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| "Enter the number of a bug"),
    };
    let of = problems.take("duplicate_of", of);
    let answer = problems.take("answer", Markdown::parse(form.answer.trim(), MOST_TEXT));
    let decided = match (state, severity, component, of.zip(answer)) {
        (Some(state), Some(severity), Some(component), Some((duplicate_of, answer))) => {
            let decision = Decision {
                state,
                severity,
                component,
                duplicate_of,
                version: form.version,
            };
            Ok((decision, answer))
        }
        _ => Err(problems),
    };
    let once = form.once.clone();
    let done = match decided {
        Ok((decision, answer)) => staff
            .submit(move |app, actor| {
                if answer.is_empty() {
                    app.triage_bug(actor, BugId(id.0), &decision)
                } else {
                    app.answer_bug(actor, BugId(id.0), (&decision, (&answer, &once)))
                }
            })
            .await
            .map_err(|fault| at_bug(fault, id.0))?,
        Err(problems) => Err(problems),
    };
    match done {
        Ok(()) => saying(id.0, "What you decided is saved."),
        Err(problems) => {
            // A form that was refused is sent anew under a new mark.
            let typed = Typed {
                triage: Some(TriageForm {
                    once: String::new(),
                    ..form
                }),
                ..Typed::default()
            };
            let status = (StatusCode::UNPROCESSABLE_ENTITY, problems);
            present(&staff, (id.0, &Params::default()), typed, status).await
        }
    }
}

/// `POST /staff/bugs/{id}/reply`
pub async fn reply(staff: Staff, id: Path<i64>, sent: Upload<ReplyText>) -> Response {
    let mut problems = Problems::default();
    let (files, mut status) = files(sent.files, &mut problems);
    let body = problems.take(
        "body",
        Markdown::required(&sent.form.body, MOST_TEXT, "your reply"),
    );
    if let Some(body) = body.filter(|_| problems.is_empty()) {
        let mark = sent.form.once.clone();
        let done = staff.submit(move |app, actor| {
            app.reply_to_bug(actor, BugId(id.0), &body, &files, (&mark, true))
        });
        match done.await? {
            Ok(()) => {
                return saying(
                    id.0,
                    "Your reply is in the thread; those it concerns get mail.",
                );
            }
            Err(refused) => problems = refused,
        }
        status = StatusCode::UNPROCESSABLE_ENTITY;
    }
    // A form that was refused is sent anew under a new mark.
    let typed = Typed {
        reply: ReplyText {
            once: String::new(),
            ..sent.form
        },
        ..Typed::default()
    };
    present(
        &staff,
        (id.0, &Params::default()),
        typed,
        (status, problems),
    )
    .await
}

/// `POST /staff/bugs/{id}/note`
pub async fn note(staff: Staff, id: Path<i64>, form: Form<NoteForm>) -> Response {
    let done = match Markdown::required(&form.0.note, MOST_TEXT, "the note") {
        Ok(body) => {
            let mark = form.0.once.clone();
            staff
                .submit(move |app, actor| app.note_on_bug(actor, BugId(id.0), &body, &mark))
                .await?
        }
        Err(why) => Err(Problems::one("note", why.to_string())),
    };
    match done {
        Ok(()) => saying(id.0, "The note is saved, for staff only."),
        Err(problems) => {
            let typed = Typed {
                note: form.0,
                ..Typed::default()
            };
            let status = (StatusCode::UNPROCESSABLE_ENTITY, problems);
            present(&staff, (id.0, &Params::default()), typed, status).await
        }
    }
}

/// `POST /staff/bugs/{id}/explains`
pub async fn explains(staff: Staff, id: Path<i64>, form: Form<ExplainForm>) -> Response {
    let explains = match form.0.deed.as_str() {
        "add" => true,
        "remove" => false,
        _ => return Err(Fault::BadRequest("This cannot be done here.".to_owned())),
    };
    let done = match form.0.migration.trim().parse() {
        Ok(migration) => {
            staff
                .submit(move |app, actor| {
                    app.explain_by_bug(actor, BugId(id.0), MigrationId(migration), explains)
                })
                .await?
        }
        Err(_) => Err(Problems::one(
            "migration",
            "Enter the number of a migration",
        )),
    };
    match done {
        Ok(()) if explains => saying(id.0, "The migration is linked."),
        Ok(()) => saying(id.0, "The migration is linked no more."),
        Err(problems) => {
            let typed = Typed {
                migration: form.0.migration,
                ..Typed::default()
            };
            let status = (StatusCode::UNPROCESSABLE_ENTITY, problems);
            present(&staff, (id.0, &Params::default()), typed, status).await
        }
    }
}

/// `GET /staff/bugs/{id}/files/{file}`
pub async fn file(staff: Staff, at: Path<(i64, i64)>) -> Response {
    serve(&staff.portal, staff.actor.clone(), at.0).await
}
