//! What a user changes of themself: name, time zone, password.

use super::sign_in::Visitor;
use crate::app::App;
use crate::app::context::{Actor, Tx};
use crate::app::error::AppError;
use crate::app::mail::kinds::UserMail;
use crate::domain::audit::{Action, Object};
use crate::domain::time::zone::Tz;
use crate::domain::values::{NewPassword, PersonName};
use crate::store;
use crate::store::account::User;

impl App {
    /// Changes the password of someone signed in, and ends all their other sessions.
    pub fn change_password(
        &self,
        visitor: &Visitor,
        old: &str,
        new: &str,
        address: &str,
    ) -> Result<(), AppError> {
        let new = NewPassword::parse(new).map_err(AppError::field("new_password"))?;
        self.check_password(&visitor.user, old, address)?;
        let hash = self.hasher.hash(new.expose())?;
        let actor = visitor.actor(address);
        self.transact(actor.who(), |tx| {
            store::account::set_password(tx.conn, visitor.user.id, &hash)?;
            store::account::reset::spoil_resets(tx.conn, visitor.user.id, tx.now)?;
            store::account::session::end_sessions(
                tx.conn,
                visitor.user.id,
                Some(visitor.session.id),
            )?;
            self.tell_password_changed(tx, &visitor.user)?;
            tx.audit(
                Action::PasswordChange,
                Object::User(visitor.user.id),
                ("", ""),
            )
        })
    }

    /// A notice that always goes: whoever did not do it themselves must hear of it.
    pub(super) fn tell_password_changed(
        &self,
        tx: &mut Tx<'_>,
        user: &User,
    ) -> Result<(), AppError> {
        tx.mail(user, UserMail::PasswordChanged)
    }

    /// Name and time zone.
    pub fn change_profile(
        &self,
        actor: &Actor,
        name: &str,
        timezone: &str,
    ) -> Result<(), AppError> {
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
