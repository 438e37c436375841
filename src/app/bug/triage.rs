//! What staff decide of a bug: its state, severity and component, whose duplicate it is, which migrations it explains; and
//! their notes, which no member sees.

use super::mail::{News, tell};
use super::{Reply, found, post, state_words};
use crate::app::App;
use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::app::idempotency::check_once;
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::bug::{self, BugState, Changed, Component, Severity};
use crate::domain::ids::{BugId, MigrationId, UserId};
use crate::domain::mail::MailKind;
use crate::domain::markdown::Markdown;
use crate::store;
use crate::store::bug::{Bug, BugEvent, Triage};
use crate::store::db::Db;

/// Most people who are written to about one decision.
const MOST_READERS: i64 = 2000;

#[derive(Debug, Clone, Copy)]
pub struct Decision {
    pub state: BugState,
    pub severity: Severity,
    pub component: Component,
    /// For a duplicate: of which bug.
    pub duplicate_of: Option<BugId>,
    /// The version of the bug that the form showed.
    pub version: i32,
}

impl App {
    /// Sets what staff decided. Whoever decides on what was changed meanwhile is told; deciding the same again is fine.
    pub fn triage_bug(&self, actor: &Actor, id: BugId, to: &Decision) -> Result<()> {
        actor.require(Right::Bugs)?;
        self.transact(actor.who(), |tx| decide(tx, actor, id, to))
    }

    /// The same, with an answer in the thread: both or neither. `answer`: the text, and the form's own mark.
    pub fn answer_bug(
        &self,
        actor: &Actor,
        id: BugId,
        (to, answer): (&Decision, (&Markdown, &str)),
    ) -> Result<()> {
        actor.require(Right::Bugs)?;
        check_once(answer.1)?;
        self.transact(actor.who(), |tx| {
            store::bug::lock_triage(tx.conn)?;
            let reply = Reply {
                body: answer.0,
                files: &[],
                once: answer.1,
                by_staff: true,
            };
            post(tx, actor, id, &reply)?;
            decide(tx, actor, id, to)
        })
    }

    /// Adds a note that only staff see. Nobody is written to.
    pub fn note_on_bug(&self, actor: &Actor, id: BugId, body: &Markdown, once: &str) -> Result<()> {
        actor.require(Right::Bugs)?;
        check_once(once)?;
        self.transact(actor.who(), |tx| {
            found(tx.conn, id)?;
            if store::bug::insert_note(tx.conn, id, actor.user, body.as_str(), once, tx.now)? {
                tx.audit(Action::BugNotedOn, Object::Bug(id), ("", ""))?;
            }
            Ok(())
        })
    }

    /// Says that a bug explains a migration, or takes that back.
    pub fn explain_by_bug(
        &self,
        actor: &Actor,
        id: BugId,
        migration: MigrationId,
        explains: bool,
    ) -> Result<()> {
        actor.require(Right::Bugs)?;
        self.transact(actor.who(), |tx| {
            found(tx.conn, id)?;
            if store::migration::migration(tx.conn, migration)?.is_none() {
                return Err(AppError::invalid(
                    "migration",
                    format!("There is no migration {migration}"),
                ));
            }
            let (done, what) = if explains {
                let done =
                    store::bug::links::link_migration(tx.conn, id, migration, actor.user, tx.now)?;
                (done, Action::BugExplains)
            } else {
                let done = store::bug::links::unlink_migration(tx.conn, id, migration)?;
                (done, Action::BugExplainsNoMore)
            };
            if done {
                let of = Object::Migration(migration);
                tx.audit(what, Object::Bug(id), ("", of))?;
            }
            Ok(())
        })
    }
}

fn decide(tx: &mut Tx<'_>, actor: &Actor, id: BugId, to: &Decision) -> Result<()> {
    store::bug::lock_triage(tx.conn)?;
    let bug = found(tx.conn, id)?;
    let root = root_for(tx.conn, &bug, to)?;
    let same = (bug.state, bug.severity, bug.component, bug.duplicate_of)
        == (
            to.state,
            to.severity,
            to.component,
            root.as_ref().map(|root| root.id),
        );
    if same {
        return Ok(());
    }
    if bug.version != to.version {
        return Err(changed_meanwhile(tx.conn, &bug)?);
    }
    bug::step(bug.state, to.state).map_err(|why| AppError::invalid("state", why.to_string()))?;
    // Before the duplicates of a new duplicate are pointed elsewhere: their members are told as well.
    let readers = store::bug::readers(tx.conn, id, MailKind::BugState, UserId(0), MOST_READERS)?;
    let decided = Triage {
        state: to.state,
        severity: to.severity,
        component: to.component,
        duplicate_of: root.as_ref().map(|root| root.id),
        version: bug.version + 1,
        changed_at: tx.now,
    };
    store::bug::triage(tx.conn, id, &decided)?;
    if let Some(root) = &root {
        store::bug::repoint(tx.conn, id, root.id)?;
    }
    note_changes(tx, actor, &bug, &decided)?;
    if bug.state != decided.state || bug.duplicate_of != decided.duplicate_of {
        let news = News {
            bug: &bug,
            words: state_words(decided.state),
            root: root.as_ref(),
        };
        tell(tx, actor, &readers, &news)?;
    }
    Ok(())
}

/// An event for each thing that changed, and the audit entry.
fn note_changes(tx: &mut Tx<'_>, actor: &Actor, before: &Bug, after: &Triage) -> Result<()> {
    let changes = [
        (
            Changed::State,
            before.state.to_string(),
            after.state.to_string(),
            after.duplicate_of,
            before.duplicate_of != after.duplicate_of,
        ),
        (
            Changed::Severity,
            before.severity.to_string(),
            after.severity.to_string(),
            None,
            false,
        ),
        (
            Changed::Component,
            before.component.to_string(),
            after.component.to_string(),
            None,
            false,
        ),
    ];
    let (mut was, mut is) = (Vec::new(), Vec::new());
    for (what, old, new, duplicate_of, elsewhere) in changes {
        if old == new && !elsewhere {
            continue;
        }
        was.push(format!("{what} {old}"));
        is.push(match duplicate_of {
            Some(root) => format!("{what} {new} of {root}"),
            None => format!("{what} {new}"),
        });
        store::bug::insert_event(
            tx.conn,
            &BugEvent {
                bug_id: before.id,
                author_id: actor.user,
                what,
                before: old,
                after: new,
                duplicate_of,
                at: tx.now,
            },
        )?;
    }
    let (was, is) = (was.join(", "), is.join(", "));
    tx.audit(Action::BugTriaged, Object::Bug(before.id), (&was, &is))
}

/// The bug that is worked on, for one that is to become a duplicate: never itself, never a duplicate.
fn root_for(conn: &mut Db, bug: &Bug, to: &Decision) -> Result<Option<Bug>> {
    if to.state != BugState::Duplicate {
        return Ok(None);
    }
    let Some(named) = to.duplicate_of else {
        return Err(AppError::invalid(
            "duplicate_of",
            "Enter the number of the bug it is a duplicate of",
        ));
    };
    let Some(named) = store::bug::bug(conn, named)? else {
        return Err(AppError::invalid(
            "duplicate_of",
            format!("There is no bug {named}"),
        ));
    };
    if named.id == bug.id {
        return Err(AppError::invalid(
            "duplicate_of",
            "A bug is not a duplicate of itself",
        ));
    }
    if named.root_id == bug.id {
        return Err(AppError::invalid(
            "duplicate_of",
            format!(
                "Bug {} is a duplicate of this one. Open it again first, or close that one",
                named.id
            ),
        ));
    }
    Ok(Some(found(conn, named.root_id)?))
}

fn changed_meanwhile(conn: &mut Db, bug: &Bug) -> Result<AppError> {
    let last = store::bug::events(conn, bug.id)?.pop();
    let who = match last {
        Some(event) => store::account::user(conn, event.author_id)?.map(|user| user.name),
        None => None,
    };
    Ok(AppError::conflict(format!(
        "{} changed this bug while you looked at it: it is now “{}”. Look at it again.",
        who.unwrap_or_else(|| "Someone else".to_owned()),
        state_words(bug.state)
    )))
}
