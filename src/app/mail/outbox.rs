//! What staff do with mail that could not be sent.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::{AppError, Result};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::MailId;
use crate::domain::mail::MailState;
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::mail::InVain;

impl App {
    /// Sends a failed mail again. One that waits or was sent stays as it is.
    pub fn retry_mail(&self, actor: &Actor, id: MailId) -> Result<()> {
        actor.require(Right::Mail)?;
        self.transact(actor.who(), |tx| {
            let mail = store::mail::mail(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if mail.state == MailState::Failed
                && let Some(why) = store::mail::in_vain(tx.conn, &mail, tx.now)?
            {
                return Err(AppError::conflict(match why {
                    InVain::Secret => {
                        "Its link for a new password has ended. Send them a new one, from their page."
                    }
                    InVain::Textless => "Its text is not kept any more: there is nothing to send.",
                    InVain::Disabled => "Its recipient is disabled. Enable them first.",
                    InVain::Stale => {
                        "Its moment has passed: what it says is no longer so, and it is not sent again."
                    }
                }));
            }
            if !store::mail::revive_one(tx.conn, id, tx.now)? {
                return Ok(());
            }
            tx.audit(Action::MailRetry, Object::Mail(id), (MailState::Failed.as_str(), MailState::Pending.as_str()))
        })
    }

    /// Sends the failed mails again that are still of use to someone, whose recipients' addresses begin so (all, if it is empty). `expected`: how many that were when it was asked for; says how many were sent, 0 if nothing is left.
    pub fn retry_mails(&self, actor: &Actor, recipient: &str, expected: i64) -> Result<usize> {
        actor.require(Right::Mail)?;
        self.transact(actor.who(), |tx| {
            let (worth, _) = store::mail::count_failed(tx.conn, recipient, tx.now)?;
            if worth == 0 {
                return Ok(0);
            }
            if worth != expected {
                return Err(AppError::conflict(format!(
                    "There are {worth} now, and not {expected}. Look at them again."
                )));
            }
            let count = store::mail::revive(tx.conn, recipient, tx.now)?;
            if count > 0 {
                let after = format!("{count} {}, to {recipient:?}", MailState::Pending);
                tx.audit(
                    Action::MailRetry,
                    Object::Outbox,
                    (MailState::Failed.as_str(), &after),
                )?;
            }
            Ok(count)
        })
    }
}
