//! Signing in and out, sessions, and the reset of a forgotten password.

use crate::app::mail::compose;
use crate::app::secrets::{self, purpose};
use crate::app::{Actor, App, AppError, Who, audit};
use crate::domain::ids::SessionId;
use crate::domain::time::Time;
use crate::domain::values::{Email, NewPassword, PersonName};
use crate::domain::words::MailKind;
use crate::store;
use crate::store::account::User;
use crate::store::account::session::{NewSession, Session};
use crate::store::db::Db;

/// Failed sign-ins within [`WINDOW_S`] after which one has to wait: for one e-mail from one address, and for one address
/// in all. An e-mail alone never locks: that would let anyone lock a member out.
const FAILURES_SAME: i64 = 10;
const FAILURES_ADDRESS: i64 = 50;
const WINDOW_S: i64 = 15 * 60;
/// A reset link works once, for this long.
const RESET_S: i64 = 10 * 60;
/// Reset mails to one person in an hour; more are silently not sent.
const RESETS_PER_HOUR: i64 = 5;
/// `seen_at` is written at most this often.
const TOUCH_S: i64 = 60;

/// A session just begun; `token` goes into the cookie and nowhere else.
pub struct SignedIn {
    pub token: String,
    pub user: User,
}

/// The person behind a request, with their session.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub session: Session,
    pub user: User,
}

impl Visitor {
    #[must_use]
    pub fn actor(&self, address: &str) -> Actor {
        Actor {
            user: self.user.id,
            account: self.user.account_id,
            role: self.user.role,
            name: self.user.email.clone(),
            address: address.to_owned(),
        }
    }
}

/// Where a request came from, for sessions and the audit trail.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    pub address: &'a str,
    pub user_agent: &'a str,
}

impl App {
    /// `Ok(None)`: e-mail or password are wrong, whichever; the time and the answer are the same for both.
    pub fn sign_in(
        &self,
        email: &str,
        password: &str,
        from: Origin<'_>,
    ) -> Result<Option<SignedIn>, AppError> {
        let now = self.now();
        let email = Email::parse(email)
            .map(|email| email.as_str().to_owned())
            .unwrap_or_default();
        let (same, address) = self.db.read(|conn| {
            store::account::session::sign_in_failures(
                conn,
                &email,
                from.address,
                now.plus_s(-WINDOW_S),
            )
        })?;
        if same >= FAILURES_SAME || address >= FAILURES_ADDRESS {
            return Err(AppError::TooMany {
                retry_after_s: WINDOW_S.unsigned_abs(),
            });
        }
        let user = self
            .db
            .read(|conn| store::account::user_by_email(conn, &email))?;
        let hash = user
            .as_ref()
            .filter(|user| !user.disabled)
            .and_then(|user| user.password_hash.as_deref());
        let right = self.hasher.verify(password, hash)?;
        let who = Who {
            name: &email,
            address: from.address,
            user: None,
        };
        let Some(user) = user.filter(|_| right) else {
            self.db.write(|conn| {
                store::account::session::insert_sign_in_failure(conn, &email, from.address, now)?;
                audit(conn, now, who, "sign_in.refused", "session", ("", ""))
                    .map_err(AppError::from)
            })?;
            return Ok(None);
        };
        let token = secrets::new_token()?;
        self.db.write(|conn| {
            // Their access may have been taken away while the password was looked at.
            store::account::lock_writer(conn, user.id, None)?;
            if store::account::user(conn, user.id)?.is_none_or(|user| user.disabled) {
                return Ok(None);
            }
            store::account::session::insert_session(
                conn,
                &NewSession {
                    hash: &secrets::hash(purpose::SESSION, &token),
                    user_id: user.id,
                    created_at: now,
                    seen_at: now,
                    expires_at: now.plus_s(self.settings.session_s),
                    address: from.address,
                    user_agent: &clip(from.user_agent, 200),
                },
            )?;
            audit(conn, now, who, "sign_in", "session", ("", ""))?;
            Ok(Some(SignedIn {
                token: token.clone(),
                user: user.clone(),
            }))
        })
    }

    /// Who a session token belongs to, if the session has not ended.
    pub fn visitor(&self, token: &str) -> Result<Option<Visitor>, AppError> {
        let now = self.now();
        let hash = secrets::hash(purpose::SESSION, token);
        let idle_since = now.plus_s(-self.settings.session_idle_s);
        let found = self
            .db
            .read(|conn| store::account::session::session(conn, &hash, now, idle_since))?;
        if let Some((session, _)) = &found
            && now.seconds_since(session.seen_at) > TOUCH_S
        {
            let id = session.id;
            self.db
                .write(|conn| store::account::session::touch_session(conn, id, now))?;
        }
        Ok(found.map(|(session, user)| Visitor { session, user }))
    }

    pub fn sign_out(&self, visitor: &Visitor, address: &str) -> Result<(), AppError> {
        let now = self.now();
        self.db.write(|conn| {
            store::account::session::end_session(conn, visitor.user.id, visitor.session.id)?;
            audit(
                conn,
                now,
                visitor.actor(address).who(),
                "sign_out",
                "session",
                ("", ""),
            )
            .map_err(AppError::from)
        })
    }

    /// Ends one other session, or with `None` all others.
    pub fn end_sessions(
        &self,
        visitor: &Visitor,
        which: Option<SessionId>,
        address: &str,
    ) -> Result<usize, AppError> {
        let now = self.now();
        self.db.write(|conn| {
            let ended = match which {
                Some(id) => usize::from(store::account::session::end_session(
                    conn,
                    visitor.user.id,
                    id,
                )?),
                None => store::account::session::end_sessions(
                    conn,
                    visitor.user.id,
                    Some(visitor.session.id),
                )?,
            };
            if ended == 0 && which.is_some() {
                return Err(AppError::NotFound);
            }
            audit(
                conn,
                now,
                visitor.actor(address).who(),
                "sessions.end",
                "session",
                ("", &ended.to_string()),
            )?;
            Ok(ended)
        })
    }

    /// Is this the user's password? Tries are counted as those of signing in are.
    pub(in crate::app) fn check_password(
        &self,
        user: &User,
        password: &str,
        address: &str,
    ) -> Result<(), AppError> {
        // A session that somebody else got hold of must not be a place to guess at.
        let (asked, email) = (self.now(), user.email.as_str());
        let (same, _) = self.db.read(|conn| {
            store::account::session::sign_in_failures(conn, email, address, asked.plus_s(-WINDOW_S))
        })?;
        if same >= FAILURES_SAME {
            return Err(AppError::TooMany {
                retry_after_s: WINDOW_S.unsigned_abs(),
            });
        }
        if !self
            .hasher
            .verify(password, user.password_hash.as_deref())?
        {
            self.db.write(|conn| {
                store::account::session::insert_sign_in_failure(conn, email, address, asked)?;
                let object = format!("user {}", user.id);
                let who = Who {
                    name: &user.email,
                    address,
                    user: Some(user.id),
                };
                audit(conn, asked, who, "password.refused", &object, ("", ""))
                    .map_err(AppError::from)
            })?;
            return Err(AppError::Invalid {
                field: "password",
                message: "This is not your present password".to_owned(),
            });
        }
        Ok(())
    }

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
        let now = self.now();
        self.db.write(|conn| {
            store::account::set_password(conn, visitor.user.id, &hash)?;
            store::account::reset::spoil_resets(conn, visitor.user.id, now)?;
            store::account::session::end_sessions(conn, visitor.user.id, Some(visitor.session.id))?;
            self.tell_password_changed(conn, now, &visitor.user)?;
            let object = format!("user {}", visitor.user.id);
            audit(
                conn,
                now,
                visitor.actor(address).who(),
                "password.change",
                &object,
                ("", ""),
            )
            .map_err(AppError::from)
        })
    }

    /// A notice that always goes: whoever did not do it themselves must hear of it.
    fn tell_password_changed(&self, conn: &mut Db, now: Time, user: &User) -> Result<(), AppError> {
        let mut facts = compose::facts_for(self, user);
        facts.when = compose::moment(now, &user.timezone);
        compose::post(conn, now, MailKind::PasswordChanged, &user.email, &facts)
    }

    /// Name and time zone.
    pub fn change_profile(
        &self,
        actor: &Actor,
        name: &str,
        timezone: &str,
    ) -> Result<(), AppError> {
        let name = PersonName::parse(name).map_err(AppError::field("name"))?;
        if timezone.parse::<chrono_tz::Tz>().is_err() {
            return Err(AppError::Invalid {
                field: "timezone",
                message: "Choose a time zone like Europe/Vienna or UTC".to_owned(),
            });
        }
        let now = self.now();
        self.db.write(|conn| {
            store::account::set_profile(conn, actor.user, name.as_str(), timezone)?;
            let object = format!("user {}", actor.user);
            audit(
                conn,
                now,
                actor.who(),
                "profile.change",
                &object,
                ("", timezone),
            )
            .map_err(AppError::from)
        })
    }

    /// Sends a reset mail if there is such a user. The answer is the same either way.
    pub fn forgot_password(&self, email: &str, from: Origin<'_>) -> Result<(), AppError> {
        let Ok(email) = Email::parse(email) else {
            return Ok(());
        };
        let now = self.now();
        let token = secrets::new_token()?;
        self.db.write(|conn| {
            let who = Who {
                name: email.as_str(),
                address: from.address,
                user: None,
            };
            let user =
                store::account::user_by_email(conn, email.as_str())?.filter(|user| !user.disabled);
            if let Some(user) = &user {
                // One after another, so that each counts those before it.
                store::account::lock_writer(conn, user.id, None)?;
            }
            if let Some(user) = user
                && store::account::reset::resets_since(conn, user.id, now.plus_s(-3600))?
                    < RESETS_PER_HOUR
            {
                let until = now.plus_s(RESET_S);
                store::account::reset::insert_reset(
                    conn,
                    &secrets::hash(purpose::RESET, &token),
                    user.id,
                    now,
                    until,
                )?;
                let mut facts = compose::facts_for(self, &user);
                facts.until = compose::moment(until, &user.timezone);
                facts.reset = crate::mail::ResetToken(token.clone());
                compose::post_until(
                    conn,
                    now,
                    MailKind::PasswordReset,
                    &user.email,
                    &facts,
                    until,
                )?;
            }
            audit(conn, now, who, "password.forgot", "session", ("", "")).map_err(AppError::from)
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
        let now = self.now();
        self.db.write(|conn| {
            let user =
                store::account::reset::use_reset(conn, &secrets::hash(purpose::RESET, token), now)?
                    .ok_or_else(gone)?;
            store::account::set_password(conn, user, &hash)?;
            store::account::reset::spoil_resets(conn, user, now)?;
            store::account::session::end_sessions(conn, user, None)?;
            if let Some(owner) = store::account::user(conn, user)? {
                self.tell_password_changed(conn, now, &owner)?;
            }
            let object = format!("user {user}");
            let who = Who {
                name: &object,
                address: from.address,
                user: Some(user),
            };
            audit(conn, now, who, "password.reset", &object, ("", "")).map_err(AppError::from)
        })
    }

    /// The form token of a session: bound to it, the same in all its forms.
    #[must_use]
    pub fn form_token(&self, session_token: &str) -> String {
        self.secret.derive(purpose::FORM, &[session_token])
    }
}

/// The first `limit` characters, without control characters.
pub(crate) fn clip(text: &str, limit: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(limit)
        .collect()
}
