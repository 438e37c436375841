//! What staff do with mail that could not be sent.

use super::{Actor, App, AppError, audit};
use crate::domain::ids::MailId;
use crate::store::outbox;

impl App {
    /// Sends a failed mail again. One that waits or was sent stays as it is.
    pub fn retry_mail(&self, actor: &Actor, id: MailId) -> Result<(), AppError> {
        actor.require_staff()?;
        let now = self.now();
        self.db.write(|conn| {
            let mail = outbox::mail(conn, id)?.ok_or(AppError::NotFound)?;
            if mail.state == "failed" && mail.text_body.is_empty() {
                return Err(AppError::conflict(
                    "Its link for a new password has ended. Send them a new one, from their page.",
                ));
            }
            if outbox::revive(conn, Some(id), "", now)? == 0 {
                return Ok(());
            }
            let object = format!("mail {id}");
            audit(
                conn,
                now,
                actor.who(),
                "mail.retry",
                &object,
                ("failed", "pending"),
            )?;
            Ok(())
        })
    }

    /// Sends all failed mails again whose recipients have this in their address (all, if it is empty); says how many.
    pub fn retry_mails(&self, actor: &Actor, recipient: &str) -> Result<usize, AppError> {
        actor.require_staff()?;
        let now = self.now();
        self.db.write(|conn| {
            let count = outbox::revive(conn, None, recipient, now)?;
            if count > 0 {
                let after = format!("{count} pending, to {recipient:?}");
                audit(
                    conn,
                    now,
                    actor.who(),
                    "mail.retry",
                    "mail",
                    ("failed", &after),
                )?;
            }
            Ok(count)
        })
    }
}
