//! A forgotten password: a link by mail, asked for by its owner or by staff, and the password set by it.

use super::sign_in::Origin;
use crate::app::App;
use crate::app::context::{Actor, PORTAL, Tx, Who};
use crate::app::error::{AppError, Result};
use crate::app::mail::kinds::UserMail;
use crate::app::secrets::{self, purpose};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::UserId;
use crate::domain::values::Email;
use crate::store;
use crate::store::account::User;
use crate::store::account::reset::NewReset;
use crate::store::db::Db;

/// A reset link works once, for this long.
const RESET_S: i64 = 10 * 60;

/// Links in an hour that one asker gets for one person, and that all askers together do; more are silently not sent. Whoever
/// asks for another's links uses up their own.
const BY_ONE_ASKER: usize = 5;
const BY_ALL: usize = 20;
const HOUR_S: i64 = 3600;

/// What staff's links are asked for by: they are counted by nobody.
const STAFF: &str = "staff";

/// A link that is made now.
struct NewLink<'a> {
    user: &'a User,
    asker: &'a str,
    token: String,
}

impl NewLink<'_> {
    fn send(&self, tx: &mut Tx<'_>) -> Result<()> {
        let until = tx.now.plus_s(RESET_S);
        let (hash, user) = (secrets::hash(purpose::RESET, &self.token), self.user);
        let new = NewReset {
            hash: &hash,
            user_id: user.id,
            created_at: tx.now,
            expires_at: until,
            asker: self.asker,
        };
        store::account::reset::insert_reset(tx.conn, &new)?;
        let token = &self.token;
        tx.mail(user, UserMail::PasswordReset { token, until })
    }
}

impl App {
    /// Sends a reset mail if there is such a user. Nobody waits for it, so that nobody learns from its time whether there is;
    /// what is not sent is counted, and makes no entry in the trail, which anybody could fill with them.
    pub fn forgot_password(&self, email: &str, from: Origin<'_>) -> Result<()> {
        let Ok(email) = Email::parse(email) else {
            self.doors.note_unsent();
            return Ok(());
        };
        let token = secrets::new_token()?;
        let found = |conn: &mut Db| store::account::user_by_email(conn, email.as_str());
        let Some(user) = self.db.read(found)?.filter(|user| !user.disabled) else {
            self.doors.note_unsent();
            return Ok(());
        };
        let guesser = self.guesser(Some(&user), (from.address, from.device));
        let who = Who::named(email.as_str(), from.address);
        self.transact(who, |tx| {
            // One after another, so that each counts those before it.
            let Some(user) = tx.able(user.id)? else {
                return Ok(());
            };
            let since = tx.now.plus_s(-HOUR_S);
            let sent = store::account::reset::resets_since(tx.conn, user.id, since)?;
            let theirs = sent
                .iter()
                .filter(|it| *it == guesser.asker().widest())
                .count();
            let all = sent.iter().filter(|it| *it != STAFF).count();
            // Who signed in on this device before is not kept from it by others.
            if theirs >= BY_ONE_ASKER || (all >= BY_ALL && !guesser.is_known()) {
                self.doors.note_unsent();
                return Ok(());
            }
            let asker = guesser.asker().widest();
            let new = NewLink {
                user: &user,
                asker,
                token,
            };
            new.send(tx)?;
            tx.audit(Action::PasswordForgot, Object::Session, ("", ""))
        })
    }

    /// Sends a user a link for a new password. Staff never see it; how many others asked for does not matter.
    pub fn send_password_reset(&self, actor: &Actor, id: UserId) -> Result<()> {
        actor.require(Right::People)?;
        let token = secrets::new_token()?;
        self.transact(actor.who(), |tx| {
            let user = store::account::user(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if user.disabled {
                return Err(AppError::conflict(
                    "This user is disabled. Enable them first.",
                ));
            }
            let new = NewLink {
                user: &user,
                asker: STAFF,
                token,
            };
            new.send(tx)?;
            tx.audit(Action::PasswordSend, Object::User(id), ("", ""))
        })
    }

    /// Can this reset link still be used?
    pub fn reset_is_good(&self, token: &str) -> Result<bool> {
        let now = self.now();
        let hash = secrets::hash(purpose::RESET, token);
        Ok(self
            .db
            .read(|conn| store::account::reset::reset_user(conn, &hash, now))?
            .is_some())
    }

    /// Sets a new password by a reset link, and ends every session of its owner.
    pub fn reset_password(&self, token: &str, new: &str, from: Origin<'_>) -> Result<()> {
        let gone =
            || AppError::conflict("This link has expired or was used already. Ask for a new one.");
        let (now, link) = (self.now(), secrets::hash(purpose::RESET, token));
        let whose = |conn: &mut Db| match store::account::reset::reset_user(conn, &link, now)? {
            Some(user) => store::account::user(conn, user),
            None => Ok(None),
        };
        let owner = self.db.read(whose)?.ok_or_else(gone)?;
        let new = self.new_password(new, &[&owner.email, &owner.name]);
        let new = new.map_err(AppError::field("password"))?;
        let hash = self.hasher.hash(new.expose())?;
        self.transact(PORTAL, |tx| {
            // The user before the link, as who changes a password takes them; that spoils the link.
            let owner = tx.able(owner.id)?.ok_or_else(gone)?;
            let user = store::account::reset::use_reset(tx.conn, &link, tx.now)?;
            let user = user.filter(|user| *user == owner.id).ok_or_else(gone)?;
            store::account::set_password(tx.conn, user, &hash)?;
            let ended = tx.end_what_is_bound(user, None)?;
            self.tell_password_changed(tx, &owner)?;
            let object = Object::User(user);
            let who = Who {
                name: &object.to_string(),
                address: from.address,
                user: Some(user),
            };
            tx.by(who)
                .audit(Action::PasswordReset, object, ("", &ended))
        })
    }
}
