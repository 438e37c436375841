//! Mail about a thread, to those whom it concerns.

use crate::app::context::{Actor, Tx};
use crate::app::error::AppError;
use crate::app::mail::compose::{facts_for, post};
use crate::domain::account::UserRole;
use crate::domain::bug::initials;
use crate::domain::mail::MailKind;
use crate::mail::Board;
use crate::store;
use crate::store::account::User;
use crate::store::bug::{Bug, Person};

/// What has happened in a thread.
pub(in crate::app) struct News<'a> {
    pub kind: MailKind,
    pub bug: &'a Bug,
    /// The new state in words.
    pub words: &'a str,
    /// The bug that this one is a duplicate of.
    pub root: Option<&'a Bug>,
}

/// What `reader` is shown of the name of who acted: of other members only their initials.
pub(in crate::app) fn person_shown(who: Option<&Person>, by_staff: bool, reader: &User) -> String {
    let Some(who) = who else {
        return "Somebody".to_owned();
    };
    let own = who.account.is_some() && who.account == reader.account_id;
    if by_staff || own || reader.role == UserRole::Staff {
        who.name.clone()
    } else {
        initials(&who.name)
    }
}

/// What `reader` is shown of a bug's title: of a hidden one, members see its number.
pub(in crate::app) fn title(bug: &Bug, reader: &User) -> String {
    if bug.hidden_at.is_some() && reader.role != UserRole::Staff {
        format!("Bug {}", bug.id)
    } else {
        format!("Bug {}: {}", bug.id, bug.title)
    }
}

/// Where a bug is read by this person.
pub(in crate::app) fn path(bug: &Bug, reader: &User) -> String {
    match reader.role {
        UserRole::Staff => format!("/staff/bugs/{}", bug.id),
        UserRole::Member => format!("/members/bugs/{}", bug.id),
    }
}

/// Writes to each of `readers`, in the name of staff; who acted is not among them.
pub(in crate::app) fn tell(
    tx: &mut Tx<'_>,
    actor: &Actor,
    readers: &[User],
    news: &News<'_>,
) -> Result<(), AppError> {
    let name = store::account::user(tx.conn, actor.user)?
        .map(|user| user.name)
        .unwrap_or_default();
    for reader in readers.iter().filter(|reader| reader.id != actor.user) {
        let mut facts = facts_for(tx.app, reader);
        facts.board = Board {
            bug: Some(news.bug.id),
            title: title(news.bug, reader),
            path: path(news.bug, reader),
            who: name.clone(),
            other_title: news
                .root
                .map(|root| title(root, reader))
                .unwrap_or_default(),
            other_path: news.root.map(|root| path(root, reader)).unwrap_or_default(),
        };
        news.words.clone_into(&mut facts.reason);
        post(tx, news.kind, &reader.email, &facts)?;
    }
    Ok(())
}
