//! The second factor: set up and taken away, the second half of a sign-in, and who they are once more for what matters.

use super::guesser::Guesser;
use super::sign_in::{HALF_S, Origin, SignedIn, Visitor};
use crate::app::App;
use crate::app::context::{Actor, Tx, Who};
use crate::app::error::{AppError, Result};
use crate::app::mail::kinds::UserMail;
use crate::app::secrets::{self, purpose, random};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::UserId;
use crate::domain::second_factor::{Key, Policy, RECOVERY_CODES, Typed, recovery_code};
use crate::domain::time::Time;
use crate::store;
use crate::store::account::User;
use crate::store::account::second_factor::SecondFactor;
use crate::store::db::Db;

/// A set-up that was begun is good for so many seconds.
const SETUP_S: i64 = 30 * 60;

const NOT_RIGHT: &str = "This code is not right, or was used already. Type the one that your app shows now; if it keeps being refused, check your phone’s clock";
const NO_CODE: &str =
    "A code has six digits; a recovery code has sixteen letters and digits in groups of four";

/// A second factor that somebody may set up; nothing of it is stored before a code shows that their app has it.
#[derive(Clone)]
pub struct Setup {
    pub key: Key,
    /// The key, for the form, which only this portal reads.
    pub sealed: String,
}

/// How somebody's second factor stands.
pub struct Standing {
    pub since: Option<Time>,
    /// Recovery codes that were not used.
    pub codes: i64,
    /// They cannot be without one.
    pub required: bool,
}

/// What a code was.
enum Code {
    App,
    /// And how many are left.
    Recovery(i64),
    Wrong,
}

impl App {
    /// For a page about it: whoever is to change it shows first who they are.
    pub fn second_factor(&self, actor: &Actor) -> Result<Standing> {
        actor.require_proof()?;
        let (user, codes) = self.db.read(|conn| {
            let user = store::account::user(conn, actor.user)?.ok_or(AppError::SignIn)?;
            let codes = store::account::second_factor::count_recovery_codes(conn, user.id)?;
            Ok::<_, AppError>((user, codes))
        })?;
        Ok(Standing {
            since: user.second_factor_at,
            codes,
            required: self.must_have_one(&user),
        })
    }

    pub fn new_second_factor(&self, actor: &Actor) -> Result<Setup> {
        actor.require_proof()?;
        let key = Key::new(random()?);
        let until = self.now().plus_s(SETUP_S).utc().timestamp();
        let plain = [&until.to_le_bytes()[..], key.bytes()].concat();
        let of = actor.user.to_string();
        let sealed = self.secret.seal(purpose::SETUP, &of, &plain)?;
        Ok(Setup { key, sealed })
    }

    /// The set-up of a form that was sent, to be shown again.
    pub fn second_factor_of(&self, actor: &Actor, sealed: String) -> Result<Setup> {
        actor.require_proof()?;
        let of = actor.user.to_string();
        let plain = self.secret.open(purpose::SETUP, &of, &sealed);
        let key = plain.and_then(|plain| {
            let (until, key) = plain.split_first_chunk::<8>()?;
            let is_over = i64::from_le_bytes(*until) < self.now().utc().timestamp();
            Key::of_bytes(key).filter(|_| !is_over)
        });
        key.map(|key| Setup { key, sealed }).ok_or_else(|| {
            AppError::conflict(
                "This page was open for too long. Begin anew: its picture is not good any more.",
            )
        })
    }

    /// Sets it up, in place of one that there was; gives back the recovery codes, which are shown once. Other sessions end.
    pub fn set_second_factor(
        &self,
        actor: &Actor,
        setup: &Setup,
        code: &str,
    ) -> Result<Vec<String>> {
        actor.require_proof()?;
        let wrong = |message| AppError::invalid("code", message);
        let Some(Typed::App(code)) = Typed::parse(code) else {
            return Err(wrong("Type the six digits that your app shows now"));
        };
        self.transact(actor.who(), |tx| {
            let user = tx.still(actor)?;
            let step = setup.key.step_of(&code, tx.now, 0);
            let used_step = step.ok_or_else(|| wrong(NOT_RIGHT))?;
            let of = user.id.to_string();
            let bytes = setup.key.bytes();
            let before = store::account::second_factor::get(tx.conn, user.id)?;
            if before.is_some_and(|it| it.used_step == used_step) {
                // The same form sent again, or two codes of one half minute.
                return Err(wrong(NOT_RIGHT));
            }
            let factor = SecondFactor {
                user_id: user.id,
                sealed: self.secret.seal(purpose::SECOND_FACTOR, &of, bytes)?,
                used_step,
            };
            store::account::second_factor::set(tx.conn, &factor, tx.now)?;
            let keep = actor.session.as_ref().map(|session| session.id);
            store::account::session::end_sessions(tx.conn, user.id, keep)?;
            let what = "A second factor was set up: from now on, signing in takes a code besides the password. All other sessions have ended.";
            tx.mail(&user, UserMail::SecondFactor { what })?;
            tx.audit(Action::SecondFactorOn, Object::User(user.id), ("", ""))?;
            tx.give_recovery_codes(user.id)
        })
    }

    /// New recovery codes in place of those there were.
    pub fn new_recovery_codes(&self, actor: &Actor) -> Result<Vec<String>> {
        actor.require_proof()?;
        self.transact(actor.who(), |tx| {
            let user = tx.still(actor)?;
            if user.second_factor_at.is_none() {
                return Err(none_there());
            }
            let what = "New recovery codes were made. Those of before are not good any more.";
            tx.mail(&user, UserMail::SecondFactor { what })?;
            tx.audit(Action::RecoveryCodes, Object::User(user.id), ("", ""))?;
            tx.give_recovery_codes(user.id)
        })
    }

    /// Takes one's own away.
    pub fn remove_second_factor(&self, actor: &Actor) -> Result<()> {
        actor.require_proof()?;
        self.transact(actor.who(), |tx| {
            let user = tx.still(actor)?;
            if self.must_have_one(&user) {
                return Err(AppError::conflict(
                    "Staff need a second factor here. Set another one up in its place.",
                ));
            }
            tx.without_second_factor(&user)
        })
    }

    /// Takes somebody's away who has lost it; all that they had open ends.
    pub fn remove_second_factor_of(&self, actor: &Actor, id: UserId) -> Result<()> {
        actor.require(Right::People)?;
        if id == actor.user {
            return Err(AppError::conflict("Yours is on your own profile."));
        }
        self.transact(actor.who(), |tx| {
            let user = tx.as_owner(Some(actor), id)?;
            tx.without_second_factor(&user)?;
            tx.end_what_is_bound(id, None)?;
            Ok(())
        })
    }

    /// The second half of a sign-in. `Ok(None)`: the code is not right; the half is good for other tries.
    pub fn sign_in_by_code(
        &self,
        half: &str,
        typed: &str,
        from: Origin<'_>,
    ) -> Result<Option<SignedIn>> {
        let (now, half) = (self.now(), secrets::hash(purpose::HALF, half));
        let whose = |conn: &mut Db| match store::account::second_factor::half(conn, &half, now)? {
            Some(user) => store::account::user(conn, user),
            None => Ok(None),
        };
        let user = self.db.read(whose)?.ok_or(AppError::SignIn)?;
        let guesser = self.guesser(Some(&user), (from.address, from.device));
        let guesses = guesser.of_codes(&user);
        self.db
            .read(|conn| guesses.may_try(conn, (&user.email, now)))?;
        self.transact_at(now, Who::named(&user.email, from.address), |tx| {
            let user = tx.able(user.id)?.ok_or(AppError::SignIn)?;
            let there = store::account::second_factor::half(tx.conn, &half, now)?;
            there.ok_or(AppError::SignIn)?;
            if !tx.takes_code(&user, typed, &guesses)? {
                return Ok(None);
            }
            store::account::second_factor::end_half(tx.conn, &half)?;
            self.begin_session(tx, (user, &guesser), from).map(Some)
        })
    }

    /// Somebody signed in shows again who they are: by a code if they have a second factor, else by their password.
    /// `Ok(false)`: it is not right.
    pub fn prove(&self, visitor: &Visitor, address: &str, typed: &str) -> Result<bool> {
        let (actor, user) = (visitor.actor(address), &visitor.user);
        if user.second_factor_at.is_none() {
            let proof = match self.check_password(&actor, user, typed) {
                Err(AppError::Invalid { .. }) => return Ok(false),
                proof => proof?,
            };
            return self.transact(actor.who(), |tx| {
                let still = tx.still_proved(&actor, &proof)?;
                let is_right = still.is_some_and(|user| user.second_factor_at.is_none());
                tx.proved(visitor, is_right)
            });
        }
        let guesses = Guesser::within(&actor);
        let now = self.now();
        self.db
            .read(|conn| guesses.may_try(conn, (&user.email, now)))?;
        self.transact_at(now, actor.who(), |tx| {
            let user = tx.still(&actor)?;
            let is_right =
                user.second_factor_at.is_some() && tx.takes_code(&user, typed, &guesses)?;
            tx.proved(visitor, is_right)
        })
    }

    pub(super) fn must_have_one(&self, user: &User) -> bool {
        user.staff_role.is_some() && self.settings.second_factor == Policy::Required
    }
}

fn none_there() -> AppError {
    AppError::conflict("There is no second factor. It may have been taken away meanwhile.")
}

impl Tx<'_> {
    /// The password was right: a code is waited for. Gives back what it is waited for by.
    pub(super) fn wait_for_code(&mut self, user: UserId) -> Result<String> {
        let token = secrets::new_token()?;
        let until = self.now.plus_s(HALF_S);
        let hash = secrets::hash(purpose::HALF, &token);
        store::account::second_factor::insert_half(self.conn, &hash, user, until)?;
        self.audit(Action::CodeAsked, Object::Session, ("", ""))?;
        Ok(token)
    }

    /// Uses a code up, if it is right; else counts the try.
    fn takes_code(&mut self, user: &User, typed: &str, guesses: &Guesser) -> Result<bool> {
        let left = match self.code(user, typed)? {
            Code::App => return Ok(true),
            Code::Recovery(left) => left,
            Code::Wrong => {
                guesses.note(self, &user.email)?;
                self.audit(Action::CodeRefused, Object::User(user.id), ("", ""))?;
                return Ok(false);
            }
        };
        let what = format!(
            "A recovery code was used. {left} are left; make new ones on your profile before they run out."
        );
        self.mail(user, UserMail::SecondFactor { what: &what })?;
        let left = format!("{left} left");
        self.audit(Action::RecoveryCodeUsed, Object::User(user.id), ("", &left))?;
        Ok(true)
    }

    fn proved(&mut self, visitor: &Visitor, is_right: bool) -> Result<bool> {
        if is_right {
            store::account::session::set_proved(self.conn, visitor.session.id, self.now)?;
            self.audit(Action::Proved, Object::Session, ("", ""))?;
        }
        Ok(is_right)
    }

    /// The user is locked: of two that use one code at once, the second finds it used.
    fn code(&mut self, user: &User, typed: &str) -> Result<Code> {
        let typed = Typed::parse(typed).ok_or_else(|| AppError::invalid("code", NO_CODE))?;
        let code = match typed {
            Typed::Recovery(code) => {
                let hash = recovery_hash(user.id, &code);
                if !store::account::second_factor::use_recovery_code(self.conn, user.id, &hash)? {
                    return Ok(Code::Wrong);
                }
                let left = store::account::second_factor::count_recovery_codes(self.conn, user.id)?;
                return Ok(Code::Recovery(left));
            }
            Typed::App(code) => code,
        };
        let Some(factor) = store::account::second_factor::get(self.conn, user.id)? else {
            return Ok(Code::Wrong);
        };
        let of = user.id.to_string();
        let secret = &self.app.secret;
        let plain = secret.open(purpose::SECOND_FACTOR, &of, &factor.sealed);
        let key = plain.and_then(|plain| Key::of_bytes(&plain)).ok_or_else(|| {
            AppError::conflict("The portal’s secret has changed since your second factor was set up, so its codes cannot be checked. Use a recovery code, or ask an owner of this portal to take the second factor away.")
        })?;
        let Some(step) = key.step_of(&code, self.now, factor.used_step) else {
            return Ok(Code::Wrong);
        };
        let is_first = store::account::second_factor::use_step(self.conn, user.id, step)?;
        Ok(if is_first { Code::App } else { Code::Wrong })
    }

    fn give_recovery_codes(&mut self, user: UserId) -> Result<Vec<String>> {
        let codes = (0..RECOVERY_CODES)
            .map(|_| random().map(recovery_code))
            .collect::<Result<Vec<String>, _>>()?;
        let hashes: Vec<String> = codes
            .iter()
            .map(|code| recovery_hash(user, &code.replace('-', "")))
            .collect();
        store::account::second_factor::set_recovery_codes(self.conn, user, &hashes)?;
        Ok(codes)
    }

    fn without_second_factor(&mut self, user: &User) -> Result<()> {
        if user.second_factor_at.is_none() {
            return Err(none_there());
        }
        store::account::second_factor::remove(self.conn, user.id)?;
        let what = "The second factor was taken away: signing in takes the password alone.";
        self.mail(user, UserMail::SecondFactor { what })?;
        self.audit(Action::SecondFactorOff, Object::User(user.id), ("", ""))
    }
}

fn recovery_hash(user: UserId, code: &str) -> String {
    secrets::hash(purpose::RECOVERY, &format!("{user} {code}"))
}
