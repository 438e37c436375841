//! What the portal does: one function a use case, one transaction each, with its audit entry and its mail in it.
//!
//! Everything here is blocking; web handlers call it through `web::block`, loops in `work` from threads of their own.

pub mod account;
mod alert;
pub mod audit;
pub mod batch;
pub mod bug;
pub mod bulk;
pub mod clock;
pub mod context;
pub mod doors;
pub mod error;
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
pub mod placement;
pub mod programme;
pub mod readiness;
pub mod receipt;
pub mod reconcile;
mod refusals;
pub mod registration;
mod retention;
pub mod secrets;
pub mod trial;
pub mod wave;

use std::sync::Arc;

use clock::Clock;
use secrets::Secret;

use crate::domain::second_factor::Policy;
use crate::domain::time::Time;
use crate::store::db::Database;

/// The portal's use cases with what they need: a database, a clock, a secret, and a few settings.
#[derive(Clone)]
pub struct App {
    pub db: Database,
    pub clock: Clock,
    /// When this process looked at the clock last.
    pub watch: clock::Watch,
    pub secret: Arc<Secret>,
    pub settings: Arc<Settings>,
    pub hasher: Arc<account::password::Hasher>,
    pub doors: Arc<doors::Doors>,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// Scheme and authority of the pages, for links in mails; no trailing slash.
    pub base_url: String,
    pub programme_name: String,
    /// The bare address that mail comes from; the organizer in calendar files.
    pub mail_from: String,
    /// Who gets the audit trail's head every day.
    pub audit_head_to: Vec<String>,
    /// A session ends after this long without a request, and after `session_s` in any case.
    pub session_idle_s: i64,
    pub session_s: i64,
    /// Whoever showed longer ago who they are is asked again, where it matters.
    pub proof_s: i64,
    /// Of staff.
    pub second_factor: Policy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:8080".to_owned(),
            programme_name: "Xen Public Beta".to_owned(),
            mail_from: "portal@localhost".to_owned(),
            audit_head_to: Vec::new(),
            session_idle_s: 12 * 3600,
            session_s: 14 * 86_400,
            proof_s: 14 * 86_400,
            second_factor: Policy::Offered,
        }
    }
}

impl App {
    pub fn now(&self) -> Time {
        self.clock.now()
    }
}
