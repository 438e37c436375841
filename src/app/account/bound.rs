//! What is bound to a password: whoever proved one proved it against a hash that may have been changed since, by a session
//! that may have ended since. So whatever is done by it looks at both again, under lock; and what was opened by it ends
//! with it.

use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::domain::ids::{SessionId, UserId};
use crate::store;
use crate::store::account::User;

/// How often a password is looked at anew because its hash was changed meanwhile.
pub(super) const LOOKS: usize = 3;

/// What is said when it was changed again and again.
pub(in crate::app) fn changed() -> AppError {
    AppError::conflict(
        "Your password was changed at this moment, by another request. Nothing else was done: load the page anew.",
    )
}

/// The stored hash that a password was found right by.
pub(in crate::app) struct Proof(pub(super) String);

/// What ended with a password, or with somebody's access.
pub(in crate::app) struct Ended {
    pub sessions: usize,
    pub tokens: usize,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sessions, tokens } = self;
        write!(f, "{sessions} sessions ended, {tokens} API tokens revoked")
    }
}

impl Tx<'_> {
    /// The user as they are now, locked: two that would change what signs them in follow each other. `None` if they may not
    /// sign in any more.
    pub(in crate::app) fn able(&mut self, user: UserId) -> Result<Option<User>> {
        store::account::lock_writer(self.conn, user, None)?;
        let user = store::account::user(self.conn, user)?;
        Ok(user.filter(|user| !user.disabled))
    }

    /// The user, if the session that asks still lives. Actors without one (commands, the demo) have nothing that could end.
    pub(in crate::app) fn still(&mut self, actor: &Actor) -> Result<User> {
        let row = self.able(actor.user)?.ok_or(AppError::SignIn)?;
        match &actor.session {
            Some(session)
                if !store::account::session::lives(self.conn, actor.user, session, self.now)? =>
            {
                Err(AppError::SignIn)
            }
            _ => Ok(row),
        }
    }

    /// As [`Tx::still`], if the hash that they proved a password by is the stored one still. `None`: it was changed, or made
    /// anew by a sign-in.
    pub(in crate::app) fn still_proved(
        &mut self,
        actor: &Actor,
        proof: &Proof,
    ) -> Result<Option<User>> {
        let row = self.still(actor)?;
        Ok((row.password_hash.as_deref() == Some(proof.0.as_str())).then_some(row))
    }

    /// Sessions but `keep`, sign-ins that wait for a code, API tokens, and links for a new password: none of them outlives what opened it.
    pub(in crate::app) fn end_what_is_bound(
        &mut self,
        user: UserId,
        keep: Option<SessionId>,
    ) -> Result<Ended> {
        store::account::reset::spoil_resets(self.conn, user, self.now)?;
        store::account::second_factor::end_halves(self.conn, user)?;
        Ok(Ended {
            sessions: store::account::session::end_sessions(self.conn, user, keep)?,
            tokens: store::account::tokens::revoke_all(self.conn, user, self.now)?,
        })
    }
}
