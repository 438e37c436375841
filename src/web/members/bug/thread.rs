//! `/members/bugs/{id}`: one thread with its replies, files and what staff decided; reply, "this hits me too".

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;
use serde::Deserialize;

use super::list::PATH;
use super::new::files;
use crate::app::bug::MOST_TEXT;
use crate::app::context::Actor;
use crate::domain::account::UserRole;
use crate::domain::bug::attachment::FileKind;
use crate::domain::ids::{BugFileId, BugId};
use crate::domain::markdown::Markdown;
use crate::store;
use crate::web::bug::thread_view::{Params, Reader, View, shown_title};
use crate::web::extract::{Form, Member, Nothing, Path, Query, Upload, once_or};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Filters, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Action, Field, Input, Problems};

#[derive(Debug, Template)]
#[template(path = "members/bug/thread.html")]
pub struct BugPage {
    pub page: Page,
    pub thread: View,
    pub actions: Vec<Action>,
    pub reply: ReplyForm,
}

#[derive(Debug)]
pub struct ReplyForm {
    pub action: String,
    pub body: Field,
    pub files_error: Option<String>,
    pub once: String,
}

impl ReplyForm {
    pub fn new(action: String, typed: &ReplyText, problems: &Problems) -> Self {
        Self {
            action,
            body: Field::new("body", "Your reply", Input::Area(5))
                .value(&typed.body)
                .hint("Everybody in the beta reads it. Markdown works.")
                .with(problems),
            files_error: problems.of("file").map(str::to_owned),
            once: once_or(&typed.once),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyText {
    pub body: String,
    pub once: String,
    #[serde(default)]
    #[allow(dead_code, reason = "files come apart from the texts")]
    pub file: String,
}

async fn present(
    member: &Member,
    (id, asked): (i64, &Params),
    typed: ReplyText,
    (status, problems): (StatusCode, Problems),
) -> Response {
    let (user, after) = (member.actor.user, asked.after()?);
    let thread = portal::find(&member.portal, move |conn| {
        store::bug::page::thread(conn, BugId(id), user, after, Params::limit())
    })
    .await?;
    let page = member
        .page(Area::Bugs, shown_title(&thread.bug, false))
        .crumb("Bugs", PATH)
        .problems(problems);
    let reader = Reader {
        actor: &member.actor,
        staff: false,
        zone: page.zone(),
    };
    let view = View::new(&thread, &reader, asked);
    let reply = ReplyForm::new(view.url.clone(), &typed, &page.problems);
    let actions = Action::those([
        (
            thread.can_undo,
            Action::send(format!("{}/unhit", view.url), "It does not hit me").second(),
        ),
        (
            !thread.can_undo && !thread.hits_reader,
            Action::send(format!("{}/hit", view.url), "This hits me too"),
        ),
    ]);
    page::html_status(
        status,
        &BugPage {
            thread: view,
            actions,
            reply,
            page,
        },
    )
}

/// `GET /members/bugs/{id}`
pub async fn show(member: Member, id: Path<i64>, asked: Query<Params>) -> Response {
    let fine = (StatusCode::OK, Problems::default());
    present(&member, (id.0, &asked.0), ReplyText::default(), fine).await
}

/// `POST /members/bugs/{id}`
pub async fn reply(member: Member, id: Path<i64>, sent: Upload<ReplyText>) -> Response {
    let mut problems = Problems::default();
    let (files, status) = files(sent.files, &mut problems);
    let body = problems.take(
        "body",
        Markdown::required(&sent.form.body, MOST_TEXT, "your reply"),
    );
    let Some(body) = body.filter(|_| problems.is_empty()) else {
        return present(
            &member,
            (id.0, &Params::default()),
            sent.form,
            (status, problems),
        )
        .await;
    };
    let mark = sent.form.once.clone();
    let done = member.submit(move |app, actor| {
        app.reply_to_bug(actor, BugId(id.0), &body, &files, (&mark, false))
    });
    match done.await? {
        Ok(()) => page::said(&format!("{PATH}/{}", id.0), "Your reply is in the thread."),
        Err(problems) => {
            let status = (StatusCode::UNPROCESSABLE_ENTITY, problems);
            let typed = ReplyText {
                once: String::new(),
                ..sent.form
            };
            present(&member, (id.0, &Params::default()), typed, status).await
        }
    }
}

async fn set_hit(member: Member, id: i64, hit: bool) -> Response {
    member
        .act(move |app, actor| app.hit_by_bug(actor, BugId(id), hit))
        .await?;
    let said = if hit {
        "Noted: it hits you too. You get mail when something happens in the thread."
    } else {
        "Noted: it does not hit you."
    };
    page::said(&format!("{PATH}/{id}"), said)
}

/// `POST /members/bugs/{id}/hit`
pub async fn hit(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    set_hit(member, id.0, true).await
}

/// `POST /members/bugs/{id}/unhit`
pub async fn unhit(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    set_hit(member, id.0, false).await
}

/// `GET /members/bugs/{id}/files/{file}`
pub async fn file(member: Member, at: Path<(i64, i64)>) -> Response {
    let mut actor = member.actor.clone();
    actor.role = UserRole::Member;
    serve(&member.portal, actor, at.0).await
}

/// A file, as something that can do nothing in a browser. Only pictures, which were looked at when they came, show by
/// themselves; all else is saved.
pub(crate) async fn serve(portal: &Portal, actor: Actor, (bug, file): (i64, i64)) -> Response {
    let (file, content) = portal::run(portal, move |app| {
        app.bug_file(&actor, BugId(bug), BugFileId(file))
    })
    .await?;
    let how = match file.kind {
        FileKind::Png | FileKind::Jpeg => "inline",
        FileKind::Text | FileKind::Recoded => "attachment",
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, file.kind.content_type()))
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("{how}; filename=\"{}\"", file.name),
        ))
        .insert_header((header::CONTENT_SECURITY_POLICY, crate::web::layer::FILES))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(content))
}
