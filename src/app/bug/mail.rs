//! Mail about a thread, to those whom it concerns.

use crate::app::context::{Actor, Tx};
use crate::app::error::Result;
use crate::app::mail::kinds::{Thread, UserMail};
use crate::domain::account::UserRole;
use crate::domain::bug::initials;
use crate::store;
use crate::store::account::User;
use crate::store::bug::{Bug, Person};

/// The new state of a bug.
pub(in crate::app) struct News<'a> {
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

/// A bug as `reader` is shown it: of the title of a hidden one, members see its number.
pub(in crate::app) fn thread(bug: &Bug, reader: &User) -> Thread {
    let is_staff = reader.role == UserRole::Staff;
    let area = if is_staff { "staff" } else { "members" };
    Thread {
        bug: bug.id,
        title: if bug.hidden_at.is_some() && !is_staff {
            format!("Bug {}", bug.id)
        } else {
            format!("Bug {}: {}", bug.id, bug.title)
        },
        path: format!("/{area}/bugs/{}", bug.id),
    }
}

/// Writes to each of `readers`, in the name of staff; who acted is not among them.
pub(in crate::app) fn tell(
    tx: &mut Tx<'_>,
    actor: &Actor,
    readers: &[User],
    news: &News<'_>,
) -> Result<()> {
    let name = store::account::user(tx.conn, actor.user)?
        .map(|user| user.name)
        .unwrap_or_default();
    for reader in readers.iter().filter(|reader| reader.id != actor.user) {
        let root = news.root.map(|root| thread(root, reader));
        let mail = UserMail::BugState {
            thread: &thread(news.bug, reader),
            who: &name,
            state: news.words,
            root: root.as_ref(),
        };
        tx.mail(reader, mail)?;
    }
    Ok(())
}
