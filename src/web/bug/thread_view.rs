//! A thread as its reader may see it: whose names whole, which files and facts, and what of it is hidden.

use crate::app::bug::may_see;
use crate::app::context::Actor;
use crate::domain::account::UserRole;
use crate::domain::bug::attachment::FileKind;
use crate::domain::bug::{BugState, Changed, Component, FactKind, Part, Severity};
use crate::domain::ids::{AccountId, BugId, BugPostId, UserId};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store::bug::files::BugFile;
use crate::store::bug::page::Thread;
use crate::store::bug::{Bug, BugEvent, Post};
use crate::web::fault::Result;
use crate::web::members::bug::list::{PATH, person};
use crate::web::page::{Filters, UNREADABLE, filters};
use crate::web::ui::markdown::{self, Rendered};
use crate::web::ui::names::{component_name, fact_name};
use crate::web::ui::{Link, Pager, Tag, When, Zone, units};

filters! {
    PATH, 50, UNREADABLE;
    /// The last reply of the page before.
    after,
}

impl Params {
    pub fn after(&self) -> Result<BugPostId> {
        Ok(BugPostId(Self::read(&self.after)?.unwrap_or(0)))
    }
}

/// What a reader sees of a bug's title.
pub fn shown_title(bug: &Bug, staff: bool) -> String {
    if bug.hidden_at.is_some() && !staff {
        format!("Bug {} (hidden by our staff)", bug.id)
    } else {
        bug.title.clone()
    }
}

/// A thread as its reader may see it.
#[derive(Debug)]
pub struct View {
    /// Staff's page, with what they can do to each part.
    pub staff: bool,
    pub id: i64,
    pub url: String,
    pub state: Tag,
    pub severity: Option<Tag>,
    pub component: &'static str,
    pub author: String,
    pub opened: When,
    pub hits: i64,
    pub hits_reader: bool,
    pub root: Option<Link>,
    pub duplicates: Vec<Link>,
    /// Its opening, if staff have hidden it; then `sections`, `facts` and `files` are for staff alone.
    pub hidden: Option<Hidden>,
    pub sections: Vec<(&'static str, &'static str, Rendered)>,
    pub facts: Vec<Fact>,
    pub has_private_facts: bool,
    pub files: Vec<FileView>,
    pub posts: Vec<PostView>,
    pub events: Vec<EventView>,
    /// To other pages of replies.
    pub pager: Pager,
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
    /// It came in another encoding, or with zeros in it.
    pub recoded: bool,
    pub hidden: Option<Hidden>,
    /// Its word among the parts of a bug: what staff hide it by.
    pub part: String,
}

#[derive(Debug)]
pub struct PostView {
    pub id: i64,
    pub author: String,
    pub at: When,
    /// `None`: it is hidden from its reader.
    pub body: Option<Rendered>,
    pub hidden: Option<Hidden>,
    pub files: Vec<FileView>,
}

/// That staff have hidden something, as its reader is told.
#[derive(Debug)]
pub struct Hidden {
    pub at: When,
    /// Who hid it: for staff.
    pub by: Option<String>,
    /// Why: for staff, and for whose account wrote it.
    pub reason: Option<String>,
}

#[derive(Debug)]
pub struct EventView {
    pub at: When,
    pub who: String,
    pub what: String,
    pub link: Option<Link>,
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

/// A thread before its reader.
struct Presenter<'a> {
    thread: &'a Thread,
    reader: &'a Reader<'a>,
    base: &'static str,
    /// Of the thread.
    url: String,
}

impl Presenter<'_> {
    fn name(&self, id: UserId, by_staff: bool) -> String {
        match self.thread.people.get(&id) {
            Some(found) if self.reader.staff && !by_staff => found.name.clone(),
            found => person(found, self.reader.account(), by_staff),
        }
    }

    fn link(&self, (id, title, hidden): &(BugId, String, bool)) -> Link {
        let label = if *hidden && !self.reader.staff {
            format!("Bug {id}")
        } else {
            format!("Bug {id}: {title}")
        };
        Link::new(format!("{}/{id}", self.base), label)
    }

    /// `own`: its reader's account wrote it.
    fn hidden(
        &self,
        (at, by): (Option<Time>, Option<UserId>),
        reason: &str,
        own: bool,
    ) -> Option<Hidden> {
        let staff = self.reader.staff;
        at.map(|at| Hidden {
            at: self.reader.zone.show(at),
            by: by.filter(|_| staff).map(|by| self.name(by, true)),
            reason: (own || staff).then(|| reason.to_owned()),
        })
    }

    fn wrote(&self, id: UserId) -> bool {
        let account = self
            .thread
            .people
            .get(&id)
            .and_then(|person| person.account);
        id == self.reader.actor.user || (account.is_some() && account == self.reader.account())
    }

    /// The files of a reply, or of the opening.
    fn files(&self, of: Option<BugPostId>) -> Vec<FileView> {
        let of_it = self.thread.files.iter().filter(|file| file.post_id == of);
        of_it
            .filter(|file| self.reader.sees(file))
            .map(|file| FileView {
                url: format!("{}/files/{}", self.url, file.id),
                name: if file.hidden_at.is_some() && !self.reader.staff {
                    "A file".to_owned()
                } else {
                    file.name.clone()
                },
                size: units::bytes(u64::try_from(file.size).unwrap_or(0)),
                picture: file.kind.is_picture(),
                recoded: file.kind == FileKind::Recoded,
                hidden: self.hidden(
                    (file.hidden_at, file.hidden_by),
                    &file.hidden_reason,
                    file.account_id.is_some() && file.account_id == self.reader.account(),
                ),
                part: Part::File(file.id).to_string(),
            })
            .collect()
    }

    fn post(&self, post: &Post) -> PostView {
        let shows = self.reader.staff || post.hidden_at.is_none();
        PostView {
            id: post.id.0,
            author: self.name(post.author_id, post.by_staff),
            at: self.reader.zone.show(post.at),
            body: shows.then(|| markdown::post(&post.body, 3)),
            hidden: self.hidden(
                (post.hidden_at, post.hidden_by),
                &post.hidden_reason,
                self.wrote(post.author_id),
            ),
            files: if shows {
                self.files(Some(post.id))
            } else {
                Vec::new()
            },
        }
    }
}

impl View {
    pub fn new(thread: &Thread, reader: &Reader<'_>, asked: &Params) -> Self {
        let bug = &thread.bug;
        let zone = reader.zone;
        let base = if reader.staff { "/staff/bugs" } else { PATH };
        let url = format!("{base}/{}", bug.id);
        let eye = Presenter {
            thread,
            reader,
            base,
            url: url.clone(),
        };
        let own = reader.staff || reader.account() == Some(bug.account_id);
        let opening = eye.hidden((bug.hidden_at, bug.hidden_by), &bug.hidden_reason, own);
        let shows = reader.staff || opening.is_none();
        let posts = thread.posts.iter().collect();
        let (posts, pager) = asked.page_at(&url, posts, |post: &&Post| post.id.to_string());
        let sections = [
            ("happened", "What happened", &bug.happened),
            ("expected", "What was expected", &bug.expected),
            ("reproduce", "How to make it happen again", &bug.reproduce),
        ];
        Self {
            staff: reader.staff,
            id: bug.id.0,
            state: Tag::bug(bug.state),
            severity: (bug.severity != Severity::None).then(|| Tag::severity(bug.severity)),
            component: component_name(bug.component),
            author: eye.name(bug.opened_by, false),
            opened: zone.show(bug.opened_at),
            hits: thread.hits,
            hits_reader: thread.hits_reader,
            root: thread.root.as_ref().map(|root| eye.link(root)),
            duplicates: thread.duplicates.iter().map(|it| eye.link(it)).collect(),
            sections: sections
                .into_iter()
                .filter(|(_, _, text)| shows && !text.trim().is_empty())
                .map(|(id, title, text)| (id, title, markdown::post(text, 2)))
                .collect(),
            facts: if shows {
                facts(thread, own)
            } else {
                Vec::new()
            },
            has_private_facts: shows
                && own
                && thread.facts.iter().any(|(kind, _)| !kind.is_public()),
            files: if shows { eye.files(None) } else { Vec::new() },
            hidden: opening,
            events: thread
                .events
                .iter()
                .map(|event| event_view(event, eye.name(event.author_id, true), base, zone))
                .collect(),
            posts: posts.into_iter().map(|post| eye.post(post)).collect(),
            pager,
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
        at: zone.show(event.at),
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
