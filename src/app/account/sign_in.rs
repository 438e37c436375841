//! Signing in and out, and sessions.

use super::bound::{LOOKS, Proof};
use super::guesser::Guesser;
use super::password::Verdict;
use crate::app::App;
use crate::app::context::{Actor, Owes, Tx, Who};
use crate::app::doors::Door;
use crate::app::error::{AppError, Result};
use crate::app::secrets::{self, purpose};
use crate::domain::audit::{Action, Object};
use crate::domain::ids::SessionId;
use crate::domain::text::line;
use crate::domain::time::Time;
use crate::domain::values::Email;
use crate::store;
use crate::store::account::User;
use crate::store::account::session::{NewSession, Session};
use crate::store::db::Db;

/// `seen_at` is written at most this often.
const TOUCH_S: i64 = 60;

/// A session just begun; `token` and `device` go into cookies and nowhere else.
pub struct SignedIn {
    pub token: String,
    /// By which this device is known when it signs in next.
    pub device: String,
    pub user: User,
}

/// What a right password comes to.
pub enum Entry {
    In(Box<SignedIn>),
    /// A code is asked for besides: by this token, which goes into a cookie, for [`HALF_S`].
    Half(String),
}

impl Entry {
    /// The session, where no code is asked for.
    pub fn whole(self) -> Option<SignedIn> {
        match self {
            Self::In(signed_in) => Some(*signed_in),
            Self::Half(_) => None,
        }
    }
}

/// Seconds in which a code has to follow the password.
pub const HALF_S: i64 = 10 * 60;

enum Tried {
    Answered(Option<Entry>),
    /// The stored hash is another one meanwhile.
    Again,
}

/// The person behind a request, with their session.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub session: Session,
    pub user: User,
    pub owes: Option<Owes>,
}

impl Visitor {
    pub fn actor(&self, address: &str) -> Actor {
        Actor {
            owes: self.owes,
            ..Actor::of(&self.user, address, Some(self.session.clone()))
        }
    }
}

/// Where a request came from, for sessions and the audit trail.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    pub address: &'a str,
    pub user_agent: &'a str,
    /// What it shows of having signed somebody in before; empty for nothing.
    pub device: &'a str,
}

impl App {
    /// `Ok(None)`: e-mail or password are wrong, whichever; the time and the answer are the same for both.
    pub fn sign_in(&self, email: &str, password: &str, from: Origin<'_>) -> Result<Option<Entry>> {
        let email = Email::parse(email)
            .map(|email| email.as_str().to_owned())
            .unwrap_or_default();
        for _ in 0..LOOKS {
            match self.try_sign_in(&email, password, from)? {
                Tried::Answered(answer) => return Ok(answer),
                Tried::Again => {}
            }
        }
        Err(AppError::Busy { retry_after_s: 1 })
    }

    fn try_sign_in(&self, email: &str, password: &str, from: Origin<'_>) -> Result<Tried> {
        let now = self.now();
        let user = self
            .db
            .read(|conn| store::account::user_by_email(conn, email))?;
        let guesser = self.guesser(user.as_ref(), (from.address, from.device));
        self.doors.knock_as(Door::SignIn, guesser.asker())?;
        self.db.read(|conn| guesser.may_try(conn, (email, now)))?;
        let hash = user
            .as_ref()
            .filter(|user| !user.disabled)
            .and_then(|user| user.password_hash.as_deref());
        let verdict = self.hasher.look(password, hash)?;
        let who = Who::named(email, from.address);
        let proved = user.and_then(|user| Some((user.id, user.password_hash?)));
        let Some((user, hash)) = proved.filter(|_| verdict != Verdict::Wrong) else {
            self.transact_at(now, who, |tx| {
                guesser.note(tx, email)?;
                tx.audit(Action::SignInRefused, Object::Session, ("", ""))
            })?;
            return Ok(Tried::Answered(None));
        };
        let anew = match verdict {
            Verdict::RightAndOld => Some(self.hasher.hash(password)?),
            Verdict::Right | Verdict::Wrong => None,
        };
        self.transact_at(now, who, |tx| {
            let Some(mut user) = tx.able(user)? else {
                // Their access was taken away while the password was looked at.
                tx.audit(Action::SignInRefused, Object::Session, ("", ""))?;
                return Ok(Tried::Answered(None));
            };
            if user.password_hash.as_deref() != Some(hash.as_str()) {
                // Or it was changed: then this may be an old one.
                return Ok(Tried::Again);
            }
            if let Some(anew) = anew {
                store::account::set_password(tx.conn, user.id, &anew)?;
                user.password_hash = Some(anew);
            }
            let entry = if user.second_factor_at.is_some() {
                Entry::Half(tx.wait_for_code(user.id)?)
            } else {
                Entry::In(Box::new(self.begin_session(tx, (user, &guesser), from)?))
            };
            Ok(Tried::Answered(Some(entry)))
        })
    }

    pub(super) fn begin_session(
        &self,
        tx: &mut Tx<'_>,
        (user, guesser): (User, &Guesser),
        from: Origin<'_>,
    ) -> Result<SignedIn> {
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
                proved_at: Some(tx.now),
            },
        )?;
        tx.audit(Action::SignIn, Object::Session, ("", ""))?;
        let device = self.device_of(&user, guesser)?;
        Ok(SignedIn {
            token,
            device,
            user,
        })
    }

    /// Who a session token belongs to, if the session has not ended.
    pub fn visitor(&self, token: &str) -> Result<Option<Visitor>> {
        let found = self.visit(token, |_, _| ())?;
        Ok(found.map(|(visitor, ())| visitor))
    }

    /// As [`App::visitor`], and by the same connection what `look` finds for them.
    pub fn visit<T>(
        &self,
        token: &str,
        look: impl FnOnce(&mut Db, &Visitor) -> T,
    ) -> Result<Option<(Visitor, T)>> {
        let now = self.now();
        let hash = secrets::hash(purpose::SESSION, token);
        let idle_since = now.plus_s(-self.settings.session_idle_s);
        let found = self.db.read(|conn| {
            let found = store::account::session::session(conn, &hash, now, idle_since)?;
            Ok::<_, AppError>(found.map(|(session, user)| {
                let visitor = Visitor {
                    owes: self.owed(&session, &user, now),
                    session,
                    user,
                };
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

    /// What somebody has to do before they act as one of the staff, or change what signs them in.
    fn owed(&self, session: &Session, user: &User, now: Time) -> Option<Owes> {
        let long_ago = |at: Time| now.seconds_since(at) > self.settings.proof_s;
        let proof = session.proved_at.is_none_or(long_ago);
        if self.must_have_one(user) && user.second_factor_at.is_none() {
            return Some(Owes::SecondFactor { proof });
        }
        proof.then_some(Owes::Proof)
    }

    pub fn sign_out(&self, visitor: &Visitor, address: &str) -> Result<()> {
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
    ) -> Result<usize> {
        let actor = visitor.actor(address);
        self.transact(actor.who(), |tx| {
            // One that has ended ends no others.
            tx.still(&actor)?;
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
        actor: &Actor,
        user: &User,
        password: &str,
    ) -> Result<Proof> {
        // A session that somebody else got hold of must not be a place to guess at.
        let (asked, email) = (self.now(), user.email.as_str());
        let guesser = Guesser::within(actor);
        self.db.read(|conn| guesser.may_try(conn, (email, asked)))?;
        let right = self
            .hasher
            .verify(password, user.password_hash.as_deref())?;
        if let (true, Some(hash)) = (right, &user.password_hash) {
            return Ok(Proof(hash.clone()));
        }
        let who = Who {
            name: &user.email,
            address: &actor.address,
            user: Some(user.id),
        };
        self.transact_at(asked, who, |tx| {
            guesser.note(tx, email)?;
            tx.audit(Action::PasswordRefused, Object::User(user.id), ("", ""))
        })?;
        Err(AppError::invalid(
            "password",
            "This is not your present password",
        ))
    }
}
