//! What a user changes of themself: name, time zone, password.

use super::bound::{LOOKS, changed};
use super::sign_in::Visitor;
use crate::app::App;
use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::app::mail::kinds::UserMail;
use crate::domain::audit::{Action, Object};
use crate::domain::password::NewPassword;
use crate::domain::time::zone::Tz;
use crate::domain::values::{Invalid, PersonName};
use crate::store;
use crate::store::account::User;

impl App {
    /// Changes the password of someone signed in, and ends all their other sessions and their API tokens; says how many of
    /// the latter.
    pub fn change_password(
        &self,
        visitor: &Visitor,
        old: &str,
        new: &str,
        address: &str,
    ) -> Result<usize> {
        let (email, name) = (visitor.user.email.as_str(), visitor.user.name.as_str());
        let new = self.new_password(new, &[email, name]);
        let new = new.map_err(AppError::field("new_password"))?;
        let actor = visitor.actor(address);
        let mut made = None;
        let mut user = visitor.user.clone();
        for _ in 0..LOOKS {
            let proof = self.check_password(&actor, &user, old)?;
            let hash = match made.take() {
                Some(hash) => hash,
                None => self.hasher.hash(new.expose())?,
            };
            let tokens = self.transact(actor.who(), |tx| {
                let Some(user) = tx.still_proved(&actor, &proof)? else {
                    return Ok(None);
                };
                store::account::set_password(tx.conn, user.id, &hash)?;
                let ended = tx.end_what_is_bound(user.id, Some(visitor.session.id))?;
                self.tell_password_changed(tx, &user)?;
                tx.audit(Action::PasswordChange, Object::User(user.id), ("", &ended))?;
                Ok::<_, AppError>(Some(ended.tokens))
            })?;
            if let Some(tokens) = tokens {
                return Ok(tokens);
            }
            made = Some(hash);
            let again = self.db.read(|conn| store::account::user(conn, user.id))?;
            user = again.ok_or(AppError::SignIn)?;
        }
        Err(changed())
    }

    /// A password that somebody chooses, of whom `about` is known.
    pub fn new_password(&self, typed: &str, about: &[&str]) -> Result<NewPassword, Invalid> {
        let site = [&*self.settings.programme_name, &*self.settings.base_url];
        NewPassword::parse(typed, &[about, &site].concat())
    }

    /// A notice that always goes: whoever did not do it themselves must hear of it.
    pub(super) fn tell_password_changed(&self, tx: &mut Tx<'_>, user: &User) -> Result<()> {
        tx.mail(user, UserMail::PasswordChanged)
    }

    /// Name and time zone.
    pub fn change_profile(&self, actor: &Actor, name: &str, timezone: &str) -> Result<()> {
        let name = PersonName::parse(name).map_err(AppError::field("name"))?;
        let zone: Tz = timezone.parse().map_err(AppError::field("timezone"))?;
        let timezone = zone.name();
        self.transact(actor.who(), |tx| {
            store::account::set_profile(tx.conn, actor.user, name.as_str(), timezone)?;
            tx.audit(
                Action::ProfileChange,
                Object::User(actor.user),
                ("", timezone),
            )
        })
    }
}
