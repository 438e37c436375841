//! Signing in and out, and sessions.

use crate::app::App;
use crate::app::context::{Actor, Tx, Who};
use crate::app::error::AppError;
use crate::app::secrets::{self, purpose};
use crate::domain::audit::{Action, Object};
use crate::domain::ids::SessionId;
use crate::domain::text::line;
use crate::domain::values::Email;
use crate::store;
use crate::store::account::User;
use crate::store::account::session::{NewSession, Session};
use crate::store::db::Db;

/// Failed sign-ins within [`WINDOW_S`] after which one has to wait: for one e-mail from one address, and for one address
/// in all. An e-mail alone never locks: that would let anyone lock a member out.
const FAILURES_SAME: i64 = 10;
const FAILURES_ADDRESS: i64 = 50;
const WINDOW_S: i64 = 15 * 60;
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
        let who = Who::named(&email, from.address);
        let Some(user) = user.filter(|_| right) else {
            self.transact_at(now, who, |tx| {
                store::account::session::insert_sign_in_failure(
                    tx.conn,
                    &email,
                    from.address,
                    tx.now,
                )?;
                tx.audit(Action::SignInRefused, Object::Session, ("", ""))
            })?;
            return Ok(None);
        };
        self.transact_at(now, who, |tx| self.begin_session(tx, user, from))
    }

    fn begin_session(
        &self,
        tx: &mut Tx<'_>,
        user: User,
        from: Origin<'_>,
    ) -> Result<Option<SignedIn>, AppError> {
        // Their access may have been taken away while the password was looked at.
        store::account::lock_writer(tx.conn, user.id, None)?;
        if store::account::user(tx.conn, user.id)?.is_none_or(|user| user.disabled) {
            return Ok(None);
        }
        let token = secrets::new_token()?;
        store::account::session::insert_session(
            tx.conn,
            &NewSession {
                hash: &secrets::hash(purpose::SESSION, &token),
                user_id: user.id,
                created_at: tx.now,
                seen_at: tx.now,
                expires_at: tx.now.plus_s(self.settings.session_s),
                address: from.address,
                user_agent: &line(from.user_agent, 200),
            },
        )?;
        tx.audit(Action::SignIn, Object::Session, ("", ""))?;
        Ok(Some(SignedIn { token, user }))
    }

    /// Who a session token belongs to, if the session has not ended.
    pub fn visitor(&self, token: &str) -> Result<Option<Visitor>, AppError> {
        let found = self.visit(token, |_, _| ())?;
        Ok(found.map(|(visitor, ())| visitor))
    }

    /// As [`App::visitor`], and by the same connection what `look` finds for them.
    pub fn visit<T>(
        &self,
        token: &str,
        look: impl FnOnce(&mut Db, &Visitor) -> T,
    ) -> Result<Option<(Visitor, T)>, AppError> {
        let now = self.now();
        let hash = secrets::hash(purpose::SESSION, token);
        let idle_since = now.plus_s(-self.settings.session_idle_s);
        let found = self.db.read(|conn| {
            let found = store::account::session::session(conn, &hash, now, idle_since)?;
            Ok::<_, AppError>(found.map(|(session, user)| {
                let visitor = Visitor { session, user };
                let seen = look(conn, &visitor);
                (visitor, seen)
            }))
        })?;
        if let Some((Visitor { session, .. }, _)) = &found
            && now.seconds_since(session.seen_at) > TOUCH_S
        {
            let id = session.id;
            self.db
                .write(|conn| store::account::session::touch_session(conn, id, now))?;
        }
        Ok(found)
    }

    pub fn sign_out(&self, visitor: &Visitor, address: &str) -> Result<(), AppError> {
        let actor = visitor.actor(address);
        self.transact(actor.who(), |tx| {
            store::account::session::end_session(tx.conn, visitor.user.id, visitor.session.id)?;
            tx.audit(Action::SignOut, Object::Session, ("", ""))
        })
    }

    /// Ends one other session, or with `None` all others.
    pub fn end_sessions(
        &self,
        visitor: &Visitor,
        which: Option<SessionId>,
        address: &str,
    ) -> Result<usize, AppError> {
        let actor = visitor.actor(address);
        self.transact(actor.who(), |tx| {
            let ended = match which {
                Some(id) => usize::from(store::account::session::end_session(
                    tx.conn,
                    visitor.user.id,
                    id,
                )?),
                None => store::account::session::end_sessions(
                    tx.conn,
                    visitor.user.id,
                    Some(visitor.session.id),
                )?,
            };
            if ended == 0 && which.is_some() {
                return Err(AppError::NotFound);
            }
            tx.audit(Action::SessionsEnd, Object::Session, ("", ended))?;
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
            let who = Who {
                name: &user.email,
                address,
                user: Some(user.id),
            };
            self.transact_at(asked, who, |tx| {
                store::account::session::insert_sign_in_failure(tx.conn, email, address, asked)?;
                tx.audit(Action::PasswordRefused, Object::User(user.id), ("", ""))
            })?;
            return Err(AppError::invalid(
                "password",
                "This is not your present password",
            ));
        }
        Ok(())
    }
}
