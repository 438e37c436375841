//! What owners do with users: take their access away and give it back, and say who of the staff may do what.

use crate::app::App;
use crate::app::context::{Actor, Tx, Who};
use crate::app::error::{AppError, Result};
use crate::app::mail::kinds::UserMail;
use crate::domain::account::{Right, StaffRole, role_words};
use crate::domain::audit::{Action, Object};
use crate::domain::ids::UserId;
use crate::store;
use crate::store::account::User;
use crate::store::db::lock_scheduler;

impl App {
    /// Takes a user's access away, with every session and API token, or gives it back (and nothing of what they had open). Doing it twice changes nothing.
    pub fn set_user_disabled(&self, actor: &Actor, id: UserId, disabled: bool) -> Result<()> {
        actor.require(Right::People)?;
        if id == actor.user && disabled {
            return Err(AppError::conflict(
                "This is you: ask a colleague to take your access away.",
            ));
        }
        self.transact(actor.who(), |tx| {
            let user = tx.as_owner(Some(actor), id)?;
            if disabled {
                tx.leaves_an_owner(&user)?;
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

    /// Gives one of the staff another role; it counts from their next request on. Doing it twice changes nothing. `seen`: the
    /// role that the page showed.
    pub fn set_staff_role(
        &self,
        actor: &Actor,
        id: UserId,
        (seen, role): (StaffRole, StaffRole),
    ) -> Result<bool> {
        actor.require(Right::People)?;
        if id == actor.user {
            return Err(AppError::conflict(
                "Nobody changes their own role: ask another owner.",
            ));
        }
        self.transact(actor.who(), |tx| {
            let user = tx.as_owner(Some(actor), id)?;
            if user.staff_role.is_some_and(|is| is != seen && is != role) {
                return Err(AppError::conflict(
                    "Somebody else gave them another role meanwhile.",
                ));
            }
            tx.give_role(&user, role)
        })
    }

    /// As [`App::set_staff_role`], by command.
    pub fn set_staff_role_of(&self, who: Who<'_>, email: &str, role: StaffRole) -> Result<bool> {
        self.transact(who, |tx| {
            let id = tx.named(email)?.id;
            let user = tx.as_owner(None, id)?;
            tx.give_role(&user, role)
        })
    }
}

impl Tx<'_> {
    pub(super) fn named(&mut self, email: &str) -> Result<User> {
        let email = email.trim().to_lowercase();
        store::account::user_by_email(self.conn, &email)?
            .ok_or_else(|| AppError::invalid("email", "there is no user with this address"))
    }

    /// The user, with all that decides who can sign in held: two who take each other's access or role away at once follow each
    /// other, and the second one is an owner no more.
    pub(super) fn as_owner(&mut self, actor: Option<&Actor>, id: UserId) -> Result<User> {
        lock_scheduler(self.conn)?;
        if let Some(actor) = actor {
            let me = store::account::user(self.conn, actor.user)?.filter(|me| !me.disabled);
            match me.ok_or(AppError::SignIn)?.staff_role {
                None => return Err(AppError::Forbidden),
                Some(StaffRole::Owner) => {}
                Some(role) => return Err(AppError::Right(Right::People, role)),
            }
        }
        store::account::user(self.conn, id)?.ok_or(AppError::NotFound)
    }

    /// Refused if nobody could change people's access any more without this one.
    fn leaves_an_owner(&mut self, user: &User) -> Result<()> {
        let is_able = user.staff_role == Some(StaffRole::Owner) && !user.disabled;
        if is_able && store::account::page::count_able_owners(self.conn)? <= 1 {
            return Err(AppError::conflict(
                "This is the last owner who can sign in: make somebody else an owner first.",
            ));
        }
        Ok(())
    }

    /// `false`: they have it already.
    fn give_role(&mut self, user: &User, role: StaffRole) -> Result<bool> {
        let Some(before) = user.staff_role else {
            return Err(AppError::conflict(
                "This is a member, and not one of the staff.",
            ));
        };
        if before == role {
            return Ok(false);
        }
        if role != StaffRole::Owner {
            self.leaves_an_owner(user)?;
        }
        if !store::account::page::set_staff_role(self.conn, user.id, (before, role))? {
            return Err(AppError::conflict(
                "Their role was changed at this moment. Load the page anew.",
            ));
        }
        let words = format!("{role}: {}", role_words(role));
        if !user.disabled {
            self.mail(user, UserMail::RoleChanged { role: &words })?;
        }
        self.audit(Action::StaffRole, Object::User(user.id), (before, role))?;
        Ok(true)
    }
}
