//! Who asks for what is done here, and the line in the audit trail that says so.

use super::App;
use super::error::AppError;
use crate::domain::account::UserRole;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{AccountId, HostId, UserId};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store;
use crate::store::account::session::Session;
use crate::store::db::Db;
use crate::store::error::StoreError;

/// An agent that has proved which host it speaks for.
#[derive(Clone)]
pub struct Agent {
    pub host: HostId,
    pub name: String,
    pub cap_mb_s: Option<u32>,
}

/// Who does something, and from where: for permission and for the audit trail.
#[derive(Debug, Clone)]
pub struct Actor {
    pub user: UserId,
    pub account: Option<AccountId>,
    pub role: UserRole,
    /// What the audit trail calls them: their e-mail address.
    pub name: String,
    /// The address the request came from.
    pub address: String,
    /// By which they ask; `None` for commands.
    pub session: Option<Session>,
}

impl Actor {
    pub fn require_staff(&self) -> Result<(), AppError> {
        match self.role {
            UserRole::Staff => Ok(()),
            UserRole::Member => Err(AppError::Forbidden),
        }
    }

    /// The account whose things they may touch as a member.
    pub fn require_account(&self) -> Result<AccountId, AppError> {
        self.account.ok_or(AppError::Forbidden)
    }

    pub fn who(&self) -> Who<'_> {
        Who {
            name: &self.name,
            address: &self.address,
            user: Some(self.user),
        }
    }
}

/// The actor of an audit entry: a person, an agent, or the portal itself.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    pub name: &'a str,
    pub address: &'a str,
    pub user: Option<UserId>,
}

impl<'a> Who<'a> {
    /// Whom the trail knows by a name only: an agent, or who is not signed in.
    pub(in crate::app) fn named(name: &'a str, address: &'a str) -> Self {
        Self {
            name,
            address,
            user: None,
        }
    }
}

/// The portal itself, when a time has come.
pub const PORTAL: Who<'static> = Who {
    name: "portal",
    address: "",
    user: None,
};

/// A use case at work: its transaction, the moment it began, and who acts. What it does is done in this one transaction.
pub struct Tx<'a> {
    pub app: &'a App,
    pub conn: &'a mut Db,
    pub now: Time,
    pub who: Who<'a>,
}

impl App {
    /// Runs a use case in one transaction: all of it is kept, or nothing.
    pub(in crate::app) fn transact<T, E: From<StoreError>>(
        &self,
        who: Who<'_>,
        run: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact_at(self.now(), who, run)
    }

    /// As [`App::transact`], at a moment that something was looked at before.
    pub fn transact_at<T, E: From<StoreError>>(
        &self,
        now: Time,
        who: Who<'_>,
        run: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.db.write(|conn| {
            run(&mut Tx {
                app: self,
                conn,
                now,
                who,
            })
        })
    }
}

impl Tx<'_> {
    /// The same transaction, for what somebody else does in it.
    pub(in crate::app) fn by<'b>(&'b mut self, who: Who<'b>) -> Tx<'b> {
        Tx {
            app: self.app,
            conn: self.conn,
            now: self.now,
            who,
        }
    }

    /// A line in the audit trail.
    pub(in crate::app) fn audit(
        &mut self,
        action: Action,
        object: Object<'_>,
        (before, after): (impl ToString, impl ToString),
    ) -> Result<(), AppError> {
        Ok(store::audit::append(
            self.conn,
            self.app.secret.trail_key(),
            &store::audit::Entry {
                at: self.now,
                actor: self.who.name,
                address: self.who.address,
                action: action.as_str(),
                object: &object.to_string(),
                before: &before.to_string(),
                after: &after.to_string(),
            },
        )?)
    }
}
