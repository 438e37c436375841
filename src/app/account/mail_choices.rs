//! A user chooses which mails they get.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::Result;
use crate::domain::audit::{Action, Object};
use crate::domain::mail::{MailKind, group, is_for};
use crate::domain::string_enum::StringEnum;
use crate::store;

impl App {
    /// Only these of the kinds that can be switched off are sent from now on.
    pub fn choose_mails(&self, actor: &Actor, wanted: &[MailKind]) -> Result<()> {
        let muted: Vec<MailKind> = MailKind::ALL
            .iter()
            .copied()
            .filter(|kind| {
                group(*kind).is_some() && is_for(*kind, actor.staff_role) && !wanted.contains(kind)
            })
            .collect();
        let words = |kinds: &[String]| kinds.join(", ");
        self.transact(actor.who(), |tx| {
            // Two forms at once would each write what the other one has.
            store::account::lock_writer(tx.conn, actor.user, actor.account)?;
            let before = store::account::mail_choices::muted(tx.conn, actor.user)?;
            store::account::mail_choices::set_muted(tx.conn, actor.user, &muted)?;
            let after = store::account::mail_choices::muted(tx.conn, actor.user)?;
            if before != after {
                let changed = (words(&before), words(&after));
                tx.audit(
                    Action::MailsMuted,
                    Object::User(actor.user),
                    (&changed.0, &changed.1),
                )?;
            }
            Ok(())
        })
    }
}
