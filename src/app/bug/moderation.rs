//! Staff hide what should not stand in a thread (spam, a password somebody pasted), show it again, or delete a file for good.
//! What is hidden stays in the database for staff; members, search and mail do not give it any more.

use super::mail::thread;
use crate::app::App;
use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::app::mail::kinds::UserMail;
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::bug::Part;
use crate::domain::ids::{BugFileId, BugId};
use crate::domain::mail::MailKind;
use crate::domain::markdown::Markdown;
use crate::domain::values::Invalid;
use crate::store;
use crate::store::bug::Bug;
use crate::store::bug::moderation::Hiding;
use crate::store::db::Db;

/// Why something is hidden, for its author: plain words of 500 characters or fewer.
#[derive(Debug, Clone)]
pub struct Reason(String);

impl Reason {
    pub const MAX: usize = 500;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = Markdown::parse(text, Self::MAX)?;
        if text.is_empty() {
            return Err(Invalid("Say why, for who wrote it".to_owned()));
        }
        Ok(Self(text.as_str().to_owned()))
    }
}

impl App {
    /// Hides a part of a bug. Hiding what is hidden already changes nothing: the first reason stays.
    pub fn hide_of_bug(&self, actor: &Actor, id: BugId, part: Part, reason: &Reason) -> Result<()> {
        actor.require(Right::Bugs)?;
        self.transact(actor.who(), |tx| {
            self.part_of(tx.conn, id, part)?;
            let hiding = Hiding {
                by: actor.user,
                at: tx.now,
                reason: &reason.0,
            };
            if !store::bug::moderation::set(tx.conn, id, part, Some(hiding))? {
                return Ok(());
            }
            store::bug::moderation::search_what_shows(tx.conn, id)?;
            quieten(tx, id, part)?;
            let what = format!("{part}: {}", reason.0);
            tx.audit(Action::BugPartHidden, Object::Bug(id), ("", &what))
        })
    }

    /// Shows a hidden part again.
    pub fn show_of_bug(&self, actor: &Actor, id: BugId, part: Part) -> Result<()> {
        actor.require(Right::Bugs)?;
        self.transact(actor.who(), |tx| {
            self.part_of(tx.conn, id, part)?;
            if !store::bug::moderation::set(tx.conn, id, part, None)? {
                return Ok(());
            }
            store::bug::moderation::search_what_shows(tx.conn, id)?;
            tx.audit(Action::BugPartShown, Object::Bug(id), (part, ""))
        })
    }

    /// Deletes a hidden file, which then is nowhere any more. One that is gone already is fine.
    pub fn delete_bug_file(&self, actor: &Actor, id: BugId, file: BugFileId) -> Result<()> {
        actor.require(Right::Bugs)?;
        self.transact(actor.who(), |tx| {
            let part = Part::File(file);
            if store::bug::files::delete_hidden(tx.conn, id, file)? {
                tx.audit(Action::BugFileDeleted, Object::Bug(id), (part, ""))?;
            } else if store::bug::moderation::exists(tx.conn, id, part)? {
                return Err(AppError::conflict(
                    "This file is shown again: hide it first, then delete it.",
                ));
            }
            Ok(())
        })
    }

    /// The bug, with its row locked where two may be at it, if it has this part.
    fn part_of(&self, conn: &mut Db, id: BugId, part: Part) -> Result<Bug> {
        store::bug::lock_triage(conn)?;
        if !store::bug::moderation::exists(conn, id, part)? {
            return Err(AppError::NotFound);
        }
        store::bug::bug(conn, id)?.ok_or(AppError::NotFound)
    }
}

/// Mails that wait and may quote what is hidden now lose their text; those whose subject is hidden do not go.
fn quieten(tx: &mut Tx<'_>, id: BugId, part: Part) -> Result<()> {
    let bug = store::bug::bug(tx.conn, id)?.ok_or(AppError::NotFound)?;
    match part {
        Part::File(_) => return Ok(()),
        Part::Post(_) => {}
        Part::Opening => {
            let waiting = store::mail::waiting_about(tx.conn, id, MailKind::BugState)?;
            let of: Vec<_> = waiting.into_iter().map(|(mail, _)| mail).collect();
            store::mail::drop_waiting(tx.conn, &of)?;
        }
    }
    for (id, reader) in store::mail::waiting_about(tx.conn, id, MailKind::BugReply)? {
        let Some(reader) = store::account::user_by_email(tx.conn, &reader)? else {
            store::mail::drop_waiting(tx.conn, &[id])?;
            continue;
        };
        let mail = UserMail::BugReply {
            thread: &thread(&bug, &reader),
            who: "",
            text: "",
        };
        let new = tx.rendered(&reader, mail)?;
        store::mail::rewrite(tx.conn, id, (&new.subject, &new.text, &new.html))?;
    }
    Ok(())
}
