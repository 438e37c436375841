//! What staff do with users: take their access away, give it back, send them a link for a new password.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::app::mail::kinds::UserMail;
use crate::app::secrets::{self, purpose};
use crate::domain::account::UserRole;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::UserId;
use crate::store;
use crate::store::db::lock_scheduler;

/// As long as one they ask for themselves.
const RESET_S: i64 = 10 * 60;
/// Links in an hour, whoever asked for them.
const RESETS_PER_HOUR: i64 = 5;

impl App {
    /// Takes a user's access away, with every session and API token, or gives it back (and nothing of what they had open). Doing it twice changes nothing.
    pub fn set_user_disabled(
        &self,
        actor: &Actor,
        id: UserId,
        disabled: bool,
    ) -> Result<(), AppError> {
        actor.require_staff()?;
        if id == actor.user && disabled {
            return Err(AppError::conflict(
                "This is you: ask a colleague to take your access away.",
            ));
        }
        self.transact(actor.who(), |tx| {
            // Two who disable each other at once must not both succeed.
            lock_scheduler(tx.conn)?;
            let user = store::account::user(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if disabled
                && user.role == UserRole::Staff
                && !user.disabled
                && store::account::page::count_able_staff(tx.conn)? <= 1
            {
                return Err(AppError::conflict(
                    "Nobody else of the staff could sign in any more.",
                ));
            }
            if !store::account::page::set_disabled(tx.conn, id, disabled)? {
                return Ok(());
            }
            // When they are enabled again, too: what was there before must not come back to life with them.
            let sessions = store::account::session::end_sessions(tx.conn, id, None)?;
            let tokens = store::account::tokens::revoke_all(tx.conn, id, tx.now)?;
            store::account::reset::spoil_resets(tx.conn, id, tx.now)?;
            let words = |disabled: bool| if disabled { "disabled" } else { "enabled" };
            let after = if disabled {
                format!("disabled, {sessions} sessions ended, {tokens} API tokens revoked")
            } else {
                "enabled".to_owned()
            };
            tx.audit(Action::User, Object::User(id), (words(!disabled), &after))
        })
    }

    /// Sends a user a link for a new password. Staff never see it.
    pub fn send_password_reset(&self, actor: &Actor, id: UserId) -> Result<(), AppError> {
        actor.require_staff()?;
        let token = secrets::new_token()?;
        self.transact(actor.who(), |tx| {
            let user = store::account::user(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if user.disabled {
                return Err(AppError::conflict(
                    "This user is disabled. Enable them first.",
                ));
            }
            if store::account::reset::resets_since(tx.conn, id, tx.now.plus_s(-3600))?
                >= RESETS_PER_HOUR
            {
                return Err(AppError::conflict(
                    "They got several links within the hour. Wait, and look at their mail.",
                ));
            }
            let until = tx.now.plus_s(RESET_S);
            let hash = secrets::hash(purpose::RESET, &token);
            store::account::reset::insert_reset(tx.conn, &hash, id, tx.now, until)?;
            let token = &token;
            tx.mail(&user, UserMail::PasswordReset { token, until })?;
            tx.audit(Action::PasswordSend, Object::User(id), ("", ""))
        })
    }
}
