//! What people do in the threads of bugs: open one, reply, say "me too", attach. What staff decide is in [`triage`].

pub mod digest;
pub mod facts;
pub(super) mod mail;
pub mod moderation;
pub mod triage;

use crate::domain::audit::{Action, Object};
use digest::REPLIES_EVERY_S;
use facts::{facts, mark_in};

use super::App;
use super::context::{Actor, Tx};
use super::error::{AppError, Result};
use super::idempotency::{check_once, sent_before, too_many};
use crate::domain::account::{Right, UserRole};
use crate::domain::bug::attachment::{Attachment, MOST_FILES, MOST_OF_ACCOUNT, MOST_OF_THREAD};
use crate::domain::bug::{BugState, Component, FactKind, Severity};
use crate::domain::ids::{BugFileId, BugId, LinodeId, MigrationId};
use crate::domain::markdown::{Markdown, Title};
use crate::domain::time::Time;
use crate::store;
use crate::store::bug::files::{BugFile, Place};
use crate::store::bug::{Bug, NewBug, NewPost};
use crate::store::db::Db;

/// Of an account within an hour.
const MOST_OPENED: i64 = 10;
const MOST_REPLIES: i64 = 60;
const HOUR_S: i64 = 3600;
/// Characters of each text.
pub const MOST_TEXT: usize = 10_000;

/// A bug as its author describes it.
#[derive(Debug, Clone)]
pub struct Report {
    pub title: Title,
    pub happened: Markdown,
    pub expected: Markdown,
    pub reproduce: Markdown,
    pub component: Component,
    pub linode: Option<LinodeId>,
    pub migration: Option<MigrationId>,
    /// The facts that its author let stand, and the mark of all that were shown.
    pub keep: Vec<FactKind>,
    pub seen: String,
    pub files: Vec<Attachment>,
    /// The form it came with; the same form opens one bug.
    pub once: String,
}

impl App {
    /// Opens a bug. The same form sent twice gives the same bug.
    pub fn open_bug(&self, actor: &Actor, report: &Report) -> Result<BugId> {
        let account = actor.require_account()?;
        check_once(&report.once)?;
        check_files(&report.files)?;
        self.transact(actor.who(), |tx| {
            store::account::lock_writer(tx.conn, actor.user, Some(account))?;
            if let Some(id) = store::bug::opened_once(tx.conn, actor.user, &report.once)? {
                let bug = found(tx.conn, id)?;
                let same = (bug.title.as_str(), bug.happened.as_str())
                    == (report.title.as_str(), report.happened.as_str());
                return if same { Ok(id) } else { Err(sent_before("title")) };
            }
            if store::bug::opened_since(tx.conn, account, tx.now.plus_s(-HOUR_S))? >= MOST_OPENED {
                return Err(too_many(&format!(
                    "You have opened {MOST_OPENED} bugs within an hour. Wait a while, then send it again"
                )));
            }
            let offered = facts(tx.conn, account, report.linode, report.migration)?;
            // What is struck may change; what is sent is what was seen.
            if report.keep.iter().any(|kind| offered.mark_of(*kind) != mark_in(&report.seen, *kind)) {
                let message = "What we know of your Linode has changed meanwhile: look at it again, then send the form";
                return Err(AppError::invalid("fact", message));
            }
            let new = NewBug {
                title: report.title.as_str(),
                happened: report.happened.as_str(),
                expected: report.expected.as_str(),
                reproduce: report.reproduce.as_str(),
                state: BugState::New,
                severity: Severity::None,
                component: report.component,
                opened_by: actor.user,
                account_id: account,
                once: &report.once,
                opened_at: tx.now,
                changed_at: tx.now,
            };
            let bug = store::bug::insert(tx.conn, &new)?;
            store::bug::links::insert_hit(tx.conn, bug.id, actor.user, tx.now)?;
            for (kind, value) in offered.0.iter().filter(|(kind, _)| report.keep.contains(kind)) {
                store::bug::links::insert_fact(tx.conn, bug.id, *kind, value)?;
            }
            let place = Place {
                bug: bug.id,
                post: None,
                author: actor.user,
                account: Some(account),
                by_staff: false,
            };
            attach(tx.conn, tx.now, place, &report.files)?;
            // Only what everybody reads is searched.
            let texts = [new.title, new.happened, new.expected, new.reproduce].join("\n");
            store::search::add_bug_text(tx.conn, bug.id, &texts)?;
            tx.audit(Action::BugOpened, Object::Bug(bug.id), ("", new.title))?;
            Ok(bug.id)
        })
    }

    /// Replies in a thread. `by_staff`: from staff's page, in staff's name.
    pub fn reply_to_bug(
        &self,
        actor: &Actor,
        id: BugId,
        body: &Markdown,
        files: &[Attachment],
        (once, by_staff): (&str, bool),
    ) -> Result<()> {
        if by_staff {
            actor.require(Right::Bugs)?;
        } else {
            actor.require_account()?;
        }
        check_once(once)?;
        check_files(files)?;
        let reply = Reply {
            body,
            files,
            once,
            by_staff,
        };
        self.transact(actor.who(), |tx| post(tx, actor, id, &reply))
    }

    /// "This hits me too": of a duplicate, said of the bug that is worked on. Saying it twice is saying it once.
    pub fn hit_by_bug(&self, actor: &Actor, id: BugId, hit: bool) -> Result<()> {
        actor.require_account()?;
        self.transact(actor.who(), |tx| {
            let bug = store::bug::bug(tx.conn, id)?.ok_or(AppError::NotFound)?;
            let object = Object::Bug(bug.root_id);
            if hit {
                if !store::bug::links::hits_user(tx.conn, bug.root_id, actor.user)?.is_empty()
                    || !store::bug::links::insert_hit(tx.conn, bug.root_id, actor.user, tx.now)?
                {
                    return Ok(());
                }
                tx.audit(Action::BugHits, object, ("", ""))?;
            } else if store::bug::links::remove_hits(tx.conn, bug.root_id, actor.user)? > 0 {
                tx.audit(Action::BugHitsNoMore, object, ("", ""))?;
            }
            Ok(())
        })
    }

    /// A file, if they may see it: staff all, members their own account's and what staff attached.
    pub fn bug_file(
        &self,
        actor: &Actor,
        bug: BugId,
        file: BugFileId,
    ) -> Result<(BugFile, Vec<u8>)> {
        let (file, content) = self
            .db
            .read(|conn| store::bug::files::content(conn, bug, file))?
            .ok_or(AppError::NotFound)?;
        let hidden = actor.role != UserRole::Staff
            && self
                .db
                .read(|conn| store::bug::files::is_hidden(conn, &file))?;
        if may_see(&file, actor) && !hidden {
            Ok((file, content))
        } else {
            Err(AppError::NotFound)
        }
    }
}

/// What is said in a thread.
struct Reply<'a> {
    body: &'a Markdown,
    files: &'a [Attachment],
    /// The form's own mark.
    once: &'a str,
    by_staff: bool,
}

fn post(tx: &mut Tx<'_>, actor: &Actor, id: BugId, reply: &Reply<'_>) -> Result<()> {
    store::account::lock_writer(tx.conn, actor.user, actor.account)?;
    found(tx.conn, id)?;
    match store::bug::posted_once(tx.conn, actor.user, reply.once)? {
        Some(posted) if posted == reply.body.as_str() => return Ok(()),
        Some(_) => return Err(sent_before("body")),
        None => {}
    }
    if let Some(account) = actor.account.filter(|_| !reply.by_staff)
        && store::bug::posts_since(tx.conn, account, tx.now.plus_s(-HOUR_S))? >= MOST_REPLIES
    {
        return Err(too_many(&format!(
            "You have written {MOST_REPLIES} replies within an hour. Wait a while, then send it again"
        )));
    }
    store::bug::digest::announce(tx.conn, id, tx.now, REPLIES_EVERY_S)?;
    let post = store::bug::insert_post(
        tx.conn,
        &NewPost {
            bug_id: id,
            author_id: actor.user,
            by_staff: reply.by_staff,
            body: reply.body.as_str(),
            once: reply.once,
            at: tx.now,
        },
    )?;
    let place = Place {
        bug: id,
        post: Some(post),
        author: actor.user,
        account: actor.account.filter(|_| !reply.by_staff),
        by_staff: reply.by_staff,
    };
    attach(tx.conn, tx.now, place, reply.files)?;
    store::search::add_bug_text(tx.conn, id, reply.body.as_str())?;
    tx.audit(
        Action::BugRepliedTo,
        Object::Bug(id),
        ("", &format!("post {post}")),
    )
}

/// Files of members are for them and for staff: they may show what runs on a Linode.
pub fn may_see(file: &BugFile, actor: &Actor) -> bool {
    let staff = match actor.role {
        UserRole::Staff => true,
        UserRole::Member => false,
    };
    staff || file.by_staff || (actor.account.is_some() && file.account_id == actor.account)
}

fn check_files(files: &[Attachment]) -> Result<()> {
    if files.len() > MOST_FILES {
        return Err(AppError::invalid(
            "file",
            format!("Attach {MOST_FILES} files or fewer"),
        ));
    }
    Ok(())
}

fn attach(conn: &mut Db, now: Time, place: Place, files: &[Attachment]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let more = i64::try_from(files.len()).unwrap_or(i64::MAX);
    if store::bug::files::count_of(conn, place.bug)?.saturating_add(more) > MOST_OF_THREAD {
        return Err(AppError::invalid(
            "file",
            format!(
                "This thread has {MOST_OF_THREAD} files, which is all it can: send this without files"
            ),
        ));
    }
    if let Some(account) = place.account {
        let more: usize = files.iter().map(|file| file.bytes.len()).sum();
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        if store::bug::files::sizes_of(conn, account)?.saturating_add(more) > MOST_OF_ACCOUNT {
            return Err(AppError::invalid(
                "file",
                "Your account has attached 50 MiB, which is all it can: send this without files",
            ));
        }
    }
    for file in files {
        store::bug::files::insert(conn, place, file, now)?;
    }
    Ok(())
}

/// A state in a sentence.
pub fn state_words(state: BugState) -> &'static str {
    match state {
        BugState::New => "New",
        BugState::Confirmed => "Confirmed",
        BugState::InProgress => "In progress",
        BugState::Fixed => "Fixed",
        BugState::NotABug => "Not a bug",
        BugState::Duplicate => "Duplicate",
    }
}

pub(super) fn found(conn: &mut Db, id: BugId) -> Result<Bug> {
    store::bug::bug(conn, id)?.ok_or(AppError::NotFound)
}
