//! A forgotten password: a link by mail, and the password set by it.

use super::sign_in::Origin;
use crate::app::App;
use crate::app::context::{PORTAL, Who};
use crate::app::error::AppError;
use crate::app::mail::kinds::UserMail;
use crate::app::secrets::{self, purpose};
use crate::domain::audit::{Action, Object};
use crate::domain::values::{Email, NewPassword};
use crate::store;

/// A reset link works once, for this long.
const RESET_S: i64 = 10 * 60;

/// Reset mails to one person in an hour; more are silently not sent.
const RESETS_PER_HOUR: i64 = 5;

impl App {
    /// Sends a reset mail if there is such a user. The answer is the same either way.
    pub fn forgot_password(&self, email: &str, from: Origin<'_>) -> Result<(), AppError> {
        let Ok(email) = Email::parse(email) else {
            return Ok(());
        };
        let token = secrets::new_token()?;
        let who = Who::named(email.as_str(), from.address);
        self.transact(who, |tx| {
            let user = store::account::user_by_email(tx.conn, email.as_str())?
                .filter(|user| !user.disabled);
            if let Some(user) = &user {
                // One after another, so that each counts those before it.
                store::account::lock_writer(tx.conn, user.id, None)?;
            }
            if let Some(user) = user
                && store::account::reset::resets_since(tx.conn, user.id, tx.now.plus_s(-3600))?
                    < RESETS_PER_HOUR
            {
                let until = tx.now.plus_s(RESET_S);
                store::account::reset::insert_reset(
                    tx.conn,
                    &secrets::hash(purpose::RESET, &token),
                    user.id,
                    tx.now,
                    until,
                )?;
                let token = &token;
                tx.mail(&user, UserMail::PasswordReset { token, until })?;
            }
            tx.audit(Action::PasswordForgot, Object::Session, ("", ""))
        })
    }

    /// Can this reset link still be used?
    pub fn reset_is_good(&self, token: &str) -> Result<bool, AppError> {
        let now = self.now();
        let hash = secrets::hash(purpose::RESET, token);
        Ok(self
            .db
            .read(|conn| store::account::reset::reset_user(conn, &hash, now))?
            .is_some())
    }

    /// Sets a new password by a reset link, and ends every session of its owner.
    pub fn reset_password(&self, token: &str, new: &str, from: Origin<'_>) -> Result<(), AppError> {
        let gone =
            || AppError::conflict("This link has expired or was used already. Ask for a new one.");
        if !self.reset_is_good(token)? {
            return Err(gone());
        }
        let new = NewPassword::parse(new).map_err(AppError::field("password"))?;
        let hash = self.hasher.hash(new.expose())?;
        self.transact(PORTAL, |tx| {
            let user = store::account::reset::use_reset(
                tx.conn,
                &secrets::hash(purpose::RESET, token),
                tx.now,
            )?
            .ok_or_else(gone)?;
            store::account::set_password(tx.conn, user, &hash)?;
            store::account::reset::spoil_resets(tx.conn, user, tx.now)?;
            store::account::session::end_sessions(tx.conn, user, None)?;
            if let Some(owner) = store::account::user(tx.conn, user)? {
                self.tell_password_changed(tx, &owner)?;
            }
            let object = Object::User(user);
            let who = Who {
                name: &object.to_string(),
                address: from.address,
                user: Some(user),
            };
            tx.by(who).audit(Action::PasswordReset, object, ("", ""))
        })
    }
}
