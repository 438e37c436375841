//! Mail about a thread, to those whom it concerns.

use super::letters::{facts_for, post};
use super::{Actor, App, AppError};
use crate::domain::bug::initials;
use crate::domain::time::Time;
use crate::domain::words::{MailKind, UserRole};
use crate::mail::Board;
use crate::store::bugs::Bug;
use crate::store::db::Db;
use crate::store::people::{self, User};

/// Characters of a reply that a mail repeats.
const QUOTED: usize = 3000;

/// What has happened in a thread.
pub(super) struct News<'a> {
    pub kind: MailKind,
    pub bug: &'a Bug,
    /// A reply's text, or the new state in words.
    pub words: &'a str,
    /// The bug that this one is a duplicate of.
    pub root: Option<&'a Bug>,
}

/// What `reader` is shown of the name of who acted: of other members only their initials.
fn shown(actor: &Actor, name: &str, reader: &User) -> String {
    let whole = actor.role == UserRole::Staff
        || reader.role == UserRole::Staff
        || (actor.account.is_some() && actor.account == reader.account_id);
    if whole {
        name.to_owned()
    } else {
        initials(name)
    }
}

/// Where a bug is read by this person.
fn path(bug: &Bug, reader: &User) -> String {
    match reader.role {
        UserRole::Staff => format!("/staff/bugs/{}", bug.id),
        UserRole::Member => format!("/members/bugs/{}", bug.id),
    }
}

/// Writes to each of `readers`; who acted is not among them.
pub(super) fn tell(
    app: &App,
    conn: &mut Db,
    now: Time,
    actor: &Actor,
    readers: &[User],
    news: &News<'_>,
) -> Result<(), AppError> {
    let name = people::user(conn, actor.user)?
        .map(|user| user.name)
        .unwrap_or_default();
    let words: String = news.words.chars().take(QUOTED).collect();
    for reader in readers {
        let mut facts = facts_for(app, reader);
        facts.board = Board {
            title: format!("Bug {}: {}", news.bug.id, news.bug.title),
            path: path(news.bug, reader),
            who: shown(actor, &name, reader),
            other_title: news
                .root
                .map(|root| format!("Bug {}: {}", root.id, root.title))
                .unwrap_or_default(),
            other_path: news.root.map(|root| path(root, reader)).unwrap_or_default(),
        };
        facts.reason.clone_from(&words);
        post(conn, now, news.kind, &reader.email, &facts)?;
    }
    Ok(())
}
