//! Owners set what the beta must come up to before it is ready to end.

use super::App;
use super::context::Actor;
use super::error::{AppError, Result};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::readiness::verdict::{Limits, NAMED};
use crate::domain::time::Time;
use crate::store;

impl App {
    /// Sets the limits. `seen`: when those that staff looked at had been changed last. Saving the same twice changes nothing.
    pub fn set_readiness_limits(
        &self,
        actor: &Actor,
        to: &Limits,
        seen: Option<Time>,
    ) -> Result<()> {
        actor.require(Right::Programme)?;
        for ((name, _, most), value) in NAMED.into_iter().zip(to.values()) {
            if !(0..=most).contains(&value) {
                let message = format!("Enter a number from 0 to {most}");
                return Err(AppError::invalid(name, message));
            }
        }
        self.transact(actor.who(), |tx| {
            store::programme::lock(tx.conn)?;
            let (before, changed) = store::readiness::limits(tx.conn)?;
            if before == *to {
                return Ok(());
            }
            if changed != seen {
                return Err(AppError::conflict(
                    "Someone else changed these limits while you looked at them. Look at them again.",
                ));
            }
            store::readiness::set_limits(tx.conn, to, tx.now)?;
            let (old, new) = (words(&before), words(to));
            tx.audit(Action::ReadinessLimits, Object::Programme, (&old, &new))
        })
    }
}

/// For the audit trail.
fn words(of: &Limits) -> String {
    let pairs = NAMED.into_iter().zip(of.values());
    let words: Vec<String> = pairs
        .map(|((name, ..), value)| format!("{name} {value}"))
        .collect();
    words.join(", ")
}
