//! Who may guess how often. An e-mail alone never locks: that would let anyone lock a member out. A device that somebody
//! signed in on before has a budget of its own, so that those who share its address cannot lock it out either.

use subtle::ConstantTimeEq;

use crate::app::App;
use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::app::secrets::{self, purpose};
use crate::domain::network::Asker;
use crate::domain::time::Time;
use crate::store;
use crate::store::account::User;
use crate::store::account::session::{FailedAt, Failures};
use crate::store::db::Db;

/// Failed sign-ins within [`WINDOW_S`] after which one has to wait: for one e-mail by one asker, by one asker in all, and
/// from the network around.
const FAILURES_SAME: usize = 10;
const FAILURES_ASKER: usize = 50;
const FAILURES_NETWORK: usize = 200;
const WINDOW_S: i64 = 15 * 60;

/// Whose failures are counted together.
#[derive(Clone)]
pub(in crate::app) struct Guesser {
    asker: Asker,
    /// What a device is known by.
    device: Option<String>,
}

impl Guesser {
    /// Of one's own password, by a session: others' failures do not keep its owner from it.
    pub(super) fn within(actor: &Actor) -> Self {
        Self {
            asker: Asker::alone(match &actor.session {
                Some(session) => format!("session {}", session.id),
                None => actor.address.clone(),
            }),
            device: None,
        }
    }

    /// Of somebody's codes, with their password: all strangers together, however many addresses they have. A device that
    /// signed them in before is not kept from it by those.
    pub(super) fn of_codes(&self, user: &User) -> Self {
        if self.is_known() {
            return self.clone();
        }
        Self {
            asker: Asker::alone(format!("codes of {}", user.id)),
            device: None,
        }
    }

    /// What it is counted by: a known device for itself, others by their address.
    pub(super) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(super) fn is_known(&self) -> bool {
        self.device.is_some()
    }

    /// # Errors
    /// [`AppError::TooMany`], with the time until the oldest of those failures counts no more.
    pub(super) fn may_try(&self, conn: &mut Db, (email, now): (&str, Time)) -> Result<()> {
        let mut until = None;
        let mut bounds = vec![
            (Failures::Same(email, &self.asker.own), FAILURES_SAME),
            (Failures::Asker(&self.asker.own), FAILURES_ASKER),
        ];
        if let Some(network) = &self.asker.wide {
            bounds.push((Failures::Network(network), FAILURES_NETWORK));
        }
        for (of, most) in bounds {
            let since = now.plus_s(-WINDOW_S);
            let oldest = store::account::session::failures_reach(conn, of, most, since)?;
            until = until.max(oldest);
        }
        match until {
            None => Ok(()),
            Some(oldest) => {
                let wait = oldest.plus_s(WINDOW_S).seconds_since(now).max(0);
                Err(AppError::TooMany {
                    retry_after_s: wait.unsigned_abs() + 1,
                })
            }
        }
    }

    pub(super) fn note(&self, tx: &mut Tx<'_>, email: &str) -> Result<()> {
        let from = FailedAt {
            asker: &self.asker.own,
            network: self.asker.wide.as_deref().unwrap_or_default(),
        };
        let at = tx.now;
        Ok(store::account::session::insert_sign_in_failure(
            tx.conn, email, from, at,
        )?)
    }
}

impl App {
    /// Whoever wants to be `user`: a device that signed them in before, or whoever has that address.
    pub(super) fn guesser(&self, user: Option<&User>, (address, device): (&str, &str)) -> Guesser {
        if let Some(name) = user.and_then(|user| self.known_device(user, device)) {
            return Guesser {
                asker: Asker::alone(format!("device {name}")),
                device: Some(name.to_owned()),
            };
        }
        Guesser {
            asker: Asker::of(address),
            device: None,
        }
    }

    /// The device's name, if it signed this user in since their password was set.
    fn known_device<'a>(&self, user: &User, shown: &'a str) -> Option<&'a str> {
        let (name, proof) = shown.split_once('.')?;
        let is = self.device_proof(user, name);
        bool::from(is.as_bytes().ct_eq(proof.as_bytes())).then_some(name)
    }

    fn device_proof(&self, user: &User, name: &str) -> String {
        let hash = user.password_hash.as_deref().unwrap_or_default();
        self.secret
            .derive(purpose::DEVICE, &[&user.id.to_string(), name, hash])
    }

    /// What the device shows from now on.
    pub(super) fn device_of(&self, user: &User, guesser: &Guesser) -> Result<String> {
        let name = match &guesser.device {
            Some(name) => name.clone(),
            None => secrets::new_token()?.chars().take(24).collect(),
        };
        let proof = self.device_proof(user, &name);
        Ok(format!("{name}.{proof}"))
    }
}
