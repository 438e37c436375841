//! Who asks for what is done here, and the line in the audit trail that says so.

use super::error::AppError;
use crate::domain::ids::{AccountId, HostId, UserId};
use crate::domain::time::Time;
use crate::domain::words::{HostState, UserRole};
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;

/// An agent that has proved which host it speaks for.
#[derive(Clone)]
pub struct Agent {
    pub host: HostId,
    pub name: String,
    pub state: HostState,
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

    #[must_use]
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

/// The portal itself, when a time has come.
pub const PORTAL: Who<'static> = Who {
    name: "portal",
    address: "",
    user: None,
};

pub(crate) fn audit(
    conn: &mut Db,
    now: Time,
    who: Who<'_>,
    action: &str,
    object: &str,
    (before, after): (&str, &str),
) -> Result<(), StoreError> {
    store::audit::append(
        conn,
        &store::audit::Entry {
            at: now,
            actor: who.name,
            address: who.address,
            action,
            object,
            before,
            after,
        },
    )
}
