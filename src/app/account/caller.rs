//! Who calls the API: the user whose token it is, as far as the token reaches.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::doors::Door;
use crate::app::error::Result;
use crate::app::secrets::{self, purpose};
use crate::domain::account::{TokenScope, UserRole};
use crate::store;
use crate::store::account::User;

/// A token's use is noted at most this often.
const NOTED_S: i64 = 60;

/// Somebody with a good token.
#[derive(Debug, Clone)]
pub struct Caller {
    pub user: User,
    pub scope: TokenScope,
    /// As a member: a token of somebody of the staff gives nothing of staff's.
    pub actor: Actor,
}

impl App {
    /// `None`: there is no such token, it was revoked or is at its end, or its user may not sign in.
    ///
    /// # Errors
    /// [`AppError::TooMany`] for an address that sent too many tokens that are not good: it is told before any is looked up.
    pub fn caller(&self, token: &str, address: &str) -> Result<Option<Caller>> {
        let hash = secrets::hash(purpose::API, token);
        let was_known = self.doors.is_known(&hash);
        if !was_known {
            self.doors.knock(Door::Api, address)?;
        }
        let now = self.now();
        let found = self
            .db
            .read(|conn| store::account::tokens::live(conn, &hash, now))?;
        if found.is_some() != was_known {
            self.doors.set_known(&hash, found.is_some());
        }
        let Some((token, user)) = found else {
            return Ok(None);
        };
        if token
            .used_at
            .is_none_or(|at| now.seconds_since(at) >= NOTED_S)
        {
            self.db
                .write(|conn| store::account::tokens::touch(conn, token.id, now))?;
        }
        let actor = Actor {
            role: UserRole::Member,
            staff_role: None,
            ..Actor::of(&user, address, None)
        };
        Ok(Some(Caller {
            user,
            scope: token.scope,
            actor,
        }))
    }
}
