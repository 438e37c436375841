//! What the portal does: one function a use case, one transaction each, with its audit entry and its mail in it.
//!
//! Everything here is blocking; web handlers call it through `web::block`, loops in `work` from threads of their own.

pub mod account;
mod alert;
pub mod audit;
pub mod bug;
pub mod bulk;
pub mod clock;
pub mod evacuation;
pub mod fairness;
pub mod faq;
pub mod graduation;
pub mod host;
mod idempotency;
pub mod import;
pub mod job;
pub mod linode;
pub mod mail;
pub mod migration;
pub mod ownership;
pub mod programme;
pub mod reconcile;
pub mod registration;
mod retention;
pub mod secrets;

use std::sync::Arc;

use clock::Clock;
use secrets::Secret;

use crate::domain::ids::{AccountId, UserId};
use crate::domain::time::Time;
use crate::domain::values::Invalid;
use crate::domain::words::UserRole;
use crate::store;
use crate::store::db::{Database, Db, StoreError};

/// The portal's use cases with what they need: a database, a clock, a secret, and a few settings.
#[derive(Clone)]
pub struct App {
    pub db: Database,
    pub clock: Clock,
    /// When this process looked at the clock last.
    pub watch: ownership::watch::Watch,
    pub secret: Arc<Secret>,
    pub settings: Arc<Settings>,
    pub hasher: Arc<account::password::Hasher>,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// Scheme and authority of the pages, for links in mails; no trailing slash.
    pub base_url: String,
    pub programme_name: String,
    /// The bare address that mail comes from; the organizer in calendar files.
    pub mail_from: String,
    /// A session ends after this long without a request, and after `session_s` in any case.
    pub session_idle_s: i64,
    pub session_s: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:8080".to_owned(),
            programme_name: "Xen Public Beta".to_owned(),
            mail_from: "portal@localhost".to_owned(),
            session_idle_s: 12 * 3600,
            session_s: 14 * 86_400,
        }
    }
}

impl App {
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }
}

/// Why a use case did nothing. Everything but `Fault` is for the person who asked; `Fault`'s cause is for the log.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is no such thing, or it is somebody else's: the two look the same.
    #[error("not found")]
    NotFound,
    /// A field cannot be as it is: its form name, and what to do.
    #[error("{field}: {message}")]
    Invalid {
        field: &'static str,
        message: String,
    },
    /// Things are no longer (or not yet) so that this can be done; says how they are.
    #[error("{0}")]
    Conflict(String),
    /// It will be possible, and is not yet: the portal recovers its memory, or hosts contradict it. Agents ask again.
    #[error("{0}")]
    Later(String),
    #[error("not signed in")]
    SignIn,
    #[error("not allowed")]
    Forbidden,
    #[error("too many attempts")]
    TooMany { retry_after_s: u64 },
    #[error("{0}")]
    Fault(String),
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.to_string())
    }
}

impl AppError {
    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self::Conflict(text.into())
    }

    pub(crate) fn field(field: &'static str) -> impl FnOnce(Invalid) -> Self {
        move |invalid| Self::Invalid {
            field,
            message: invalid.0,
        }
    }
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
