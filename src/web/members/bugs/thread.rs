//! `/members/bugs/{id}`: one thread with its replies, files and what staff decided; reply, "this hits me too".

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use askama::Template;
use serde::Deserialize;

use super::new::{fact_name, files};
use super::{PATH, component_name, person};
use crate::app::Actor;
use crate::app::bugs::{MOST_TEXT, may_see};
use crate::domain::attachment::FileKind;
use crate::domain::bug::{BugState, Changed, Component, FactKind, Severity};
use crate::domain::ids::{AccountId, BugFileId, BugId, BugPostId, UserId};
use crate::domain::text::Word;
use crate::domain::words::UserRole;
use crate::domain::writing::Markdown;
use crate::store::bug_files::BugFile;
use crate::store::bug_pages::{self, Thread};
use crate::store::bugs::BugEvent;
use crate::web::error::Fault;
use crate::web::extract::{Form, FormData, Member, Nothing, Path, Query, Upload, once};
use crate::web::members::Link;
use crate::web::page::{self, Area, Flash, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::markdown::{self, Rendered};
use crate::web::ui::{Field, Input, Problems, Tag, When, Zone, units};

/// Replies on a page.
pub const POSTS: usize = 50;

#[derive(Debug, Template)]
#[template(path = "members/bug.html")]
pub struct BugPage {
    pub page: Page,
    pub thread: View,
    pub reply: ReplyForm,
}

/// A thread as its reader may see it.
#[derive(Debug)]
pub struct View {
    pub id: i64,
    pub url: String,
    pub state: Tag,
    pub severity: Option<Tag>,
    pub component: &'static str,
    pub author: String,
    pub opened: When,
    pub hits: i64,
    pub hits_reader: bool,
    pub can_undo: bool,
    pub root: Option<Link>,
    pub duplicates: Vec<Link>,
    pub sections: Vec<(&'static str, &'static str, Rendered)>,
    pub facts: Vec<Fact>,
    pub has_private_facts: bool,
    pub files: Vec<FileView>,
    pub posts: Vec<PostView>,
    pub events: Vec<EventView>,
    /// The next page of replies; the first one, from the second on.
    pub next: Option<String>,
    pub first: Option<String>,
}

#[derive(Debug)]
pub struct Fact {
    pub name: &'static str,
    pub value: String,
    pub lines: bool,
}

#[derive(Debug)]
pub struct FileView {
    pub url: String,
    pub name: String,
    pub size: String,
    pub picture: bool,
}

#[derive(Debug)]
pub struct PostView {
    pub id: i64,
    pub author: String,
    pub by_staff: bool,
    pub at: When,
    pub body: Rendered,
    pub files: Vec<FileView>,
}

#[derive(Debug)]
pub struct EventView {
    pub at: When,
    pub who: String,
    pub what: String,
    pub link: Option<Link>,
}

#[derive(Debug)]
pub struct ReplyForm {
    pub action: String,
    pub body: Field,
    pub files_error: Option<String>,
    pub once: String,
}

/// Who reads, as far as it matters for what is shown.
pub struct Reader<'a> {
    pub actor: &'a Actor,
    /// Staff's page: whole names and everything.
    pub staff: bool,
    pub zone: Zone,
}

impl Reader<'_> {
    fn account(&self) -> Option<AccountId> {
        self.actor.account
    }

    fn sees(&self, file: &BugFile) -> bool {
        let mut as_who = self.actor.clone();
        as_who.role = if self.staff {
            UserRole::Staff
        } else {
            UserRole::Member
        };
        may_see(file, &as_who)
    }
}

impl View {
    #[must_use]
    pub fn new(thread: &Thread, reader: &Reader<'_>, after: BugPostId) -> Self {
        let bug = &thread.bug;
        let zone = reader.zone;
        let base = if reader.staff { "/staff/bugs" } else { PATH };
        let url = format!("{base}/{}", bug.id);
        let own = reader.staff || reader.account() == Some(bug.account_id);
        let name = |id: UserId, by_staff: bool| {
            let found = thread.people.get(&id);
            match found {
                Some(found) if reader.staff && !by_staff => found.name.clone(),
                found => person(found, reader.account(), by_staff),
            }
        };
        let link = |(id, title): &(BugId, String)| {
            Link::new(format!("{base}/{id}"), format!("Bug {id}: {title}"))
        };
        let of_post = |post: Option<BugPostId>| -> Vec<FileView> {
            thread
                .files
                .iter()
                .filter(|file| file.post_id == post && reader.sees(file))
                .map(|file| file_view(&url, file))
                .collect()
        };
        let more = thread.posts.len() > POSTS;
        let posts: Vec<PostView> = thread
            .posts
            .iter()
            .take(POSTS)
            .map(|post| PostView {
                id: post.id.0,
                author: name(post.author_id, post.by_staff),
                by_staff: post.by_staff,
                at: zone.show(post.at.utc()),
                body: markdown::post(&post.body, 3),
                files: of_post(Some(post.id)),
            })
            .collect();
        let sections = [
            ("happened", "What happened", &bug.happened),
            ("expected", "What was expected", &bug.expected),
            ("reproduce", "How to make it happen again", &bug.reproduce),
        ];
        Self {
            id: bug.id.0,
            state: Tag::bug(bug.state),
            severity: (bug.severity != Severity::None).then(|| Tag::severity(bug.severity)),
            component: component_name(bug.component),
            author: name(bug.opened_by, false),
            opened: zone.show(bug.opened_at.utc()),
            hits: thread.hits,
            hits_reader: thread.hits_reader,
            can_undo: thread.can_undo,
            root: thread.root.as_ref().map(link),
            duplicates: thread.duplicates.iter().map(link).collect(),
            sections: sections
                .into_iter()
                .filter(|(_, _, text)| !text.trim().is_empty())
                .map(|(id, title, text)| (id, title, markdown::post(text, 2)))
                .collect(),
            facts: facts(thread, own),
            has_private_facts: own && thread.facts.iter().any(|(kind, _)| !kind.is_public()),
            files: of_post(None),
            events: thread
                .events
                .iter()
                .map(|event| event_view(event, name(event.author_id, true), base, zone))
                .collect(),
            next: posts
                .last()
                .filter(|_| more)
                .map(|last| format!("{url}?after={}", last.id)),
            first: (after.0 > 0).then(|| url.clone()),
            posts,
            url,
        }
    }
}

fn facts(thread: &Thread, own: bool) -> Vec<Fact> {
    FactKind::ALL
        .iter()
        .filter_map(|kind| thread.facts.iter().find(|(of, _)| of == kind))
        .filter(|(kind, _)| own || kind.is_public())
        .map(|(kind, value)| Fact {
            name: fact_name(*kind),
            value: value.clone(),
            lines: *kind == FactKind::Console,
        })
        .collect()
}

fn file_view(url: &str, file: &BugFile) -> FileView {
    FileView {
        url: format!("{url}/files/{}", file.id),
        name: file.name.clone(),
        size: units::bytes(u64::try_from(file.size).unwrap_or(0)),
        picture: file.kind.is_picture(),
    }
}

fn event_view(event: &BugEvent, who: String, base: &str, zone: Zone) -> EventView {
    let word = |text: &str| match event.what {
        Changed::State => BugState::parse(text).map(|it| Tag::bug(it).text),
        Changed::Severity => Severity::parse(text).map(|it| Tag::severity(it).text),
        Changed::Component => Component::parse(text).map(|it| component_name(it).to_owned()),
    };
    let what = match event.what {
        Changed::State => "State",
        Changed::Severity => "Severity",
        Changed::Component => "Part",
    };
    EventView {
        at: zone.show(event.at.utc()),
        who,
        what: format!(
            "{what}: {} → {}",
            word(&event.before).unwrap_or_default(),
            word(&event.after).unwrap_or_default()
        ),
        link: event
            .duplicate_of
            .map(|root| Link::new(format!("{base}/{root}"), format!("of bug {root}"))),
    }
}

impl ReplyForm {
    #[must_use]
    pub fn new(action: String, typed: &ReplyText, problems: &Problems) -> Self {
        Self {
            action,
            body: Field::new("body", "Your reply", Input::Area(5))
                .value(&typed.body)
                .hint("Everybody in the beta reads it. Markdown works.")
                .with(problems),
            files_error: problems.of("file").map(str::to_owned),
            once: if typed.once.is_empty() {
                once()
            } else {
                typed.once.clone()
            },
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
impl FormData for ReplyText {}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    pub after: i64,
}

async fn present(
    portal: &Portal,
    member: &Member,
    (id, after): (i64, i64),
    typed: ReplyText,
    (status, problems): (StatusCode, Problems),
) -> Result<HttpResponse, Fault> {
    let (user, after) = (member.actor.user, BugPostId(after));
    let limit = i64::try_from(POSTS).unwrap_or(50) + 1;
    let thread = portal::read(portal, move |conn| {
        bug_pages::thread(conn, BugId(id), user, after, limit)
    })
    .await?
    .ok_or(Fault::NotFound)?;
    let page = member
        .page(Area::Bugs, thread.bug.title.clone())
        .crumb("Bugs", PATH)
        .problems(problems);
    let reader = Reader {
        actor: &member.actor,
        staff: false,
        zone: page.zone(),
    };
    let view = View::new(&thread, &reader, after);
    let reply = ReplyForm::new(view.url.clone(), &typed, &page.problems);
    page::html_status(
        status,
        &BugPage {
            thread: view,
            reply,
            page,
        },
    )
}

/// `GET /members/bugs/{id}`
pub async fn show(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Fault> {
    let fine = (StatusCode::OK, Problems::default());
    present(
        &portal,
        &member,
        (id.0, asked.0.after),
        ReplyText::default(),
        fine,
    )
    .await
}

/// `POST /members/bugs/{id}`
pub async fn reply(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    sent: Upload<ReplyText>,
) -> Result<HttpResponse, Fault> {
    let mut problems = Problems::default();
    let (files, status) = files(sent.files, &mut problems);
    let body = problems.take("body", Markdown::required(&sent.form.body, MOST_TEXT));
    let Some(body) = body.filter(|_| problems.is_empty()) else {
        return present(&portal, &member, (id.0, 0), sent.form, (status, problems)).await;
    };
    let (actor, mark) = (member.actor.clone(), sent.form.once.clone());
    let done = portal::submit(&portal, move |app| {
        app.reply_to_bug(&actor, BugId(id.0), &body, &files, (&mark, false))
    });
    match done.await? {
        Ok(()) => Ok(page::see_other_saying(
            &format!("{PATH}/{}", id.0),
            Flash::good("Your reply is in the thread."),
        )),
        Err(problems) => {
            let status = (StatusCode::UNPROCESSABLE_ENTITY, problems);
            present(&portal, &member, (id.0, 0), sent.form, status).await
        }
    }
}

async fn set_hit(
    portal: Portal,
    member: Member,
    id: i64,
    hit: bool,
) -> Result<HttpResponse, Fault> {
    let actor = member.actor.clone();
    portal::run(&portal, move |app| app.hit_by_bug(&actor, BugId(id), hit)).await?;
    let said = if hit {
        "Noted: it hits you too. You get mail when something happens in the thread."
    } else {
        "Noted: it does not hit you."
    };
    Ok(page::see_other_saying(
        &format!("{PATH}/{id}"),
        Flash::good(said),
    ))
}

/// `POST /members/bugs/{id}/hit`
pub async fn hit(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Fault> {
    set_hit(portal, member, id.0, true).await
}

/// `POST /members/bugs/{id}/unhit`
pub async fn unhit(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Fault> {
    set_hit(portal, member, id.0, false).await
}

/// `GET /members/bugs/{id}/files/{file}`
pub async fn file(
    portal: Portal,
    member: Member,
    at: Path<(i64, i64)>,
) -> Result<HttpResponse, Fault> {
    let mut actor = member.actor.clone();
    actor.role = UserRole::Member;
    serve(&portal, actor, at.0).await
}

/// A file, as something that can do nothing in a browser. Only pictures, which were looked at when they came, show by
/// themselves; all else is saved.
pub(crate) async fn serve(
    portal: &Portal,
    actor: Actor,
    (bug, file): (i64, i64),
) -> Result<HttpResponse, Fault> {
    let (file, content) = portal::run(portal, move |app| {
        app.bug_file(&actor, BugId(bug), BugFileId(file))
    })
    .await?;
    let how = match file.kind {
        FileKind::Png | FileKind::Jpeg => "inline",
        FileKind::Text => "attachment",
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
