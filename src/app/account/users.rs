//! What staff do with users: take their access away, and give it back.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::domain::account::UserRole;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::UserId;
use crate::store;
use crate::store::db::lock_scheduler;

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
            let ended = tx.end_what_is_bound(id, None)?;
            let words = |disabled: bool| if disabled { "disabled" } else { "enabled" };
            let after = if disabled {
                format!("disabled, {ended}")
            } else {
                "enabled".to_owned()
            };
            tx.audit(Action::User, Object::User(id), (words(!disabled), &after))
        })
    }
}
