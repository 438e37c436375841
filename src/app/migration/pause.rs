//! Staff pause all new moves at once: whoever asked for them, none begins. Those that have begun go on, and so does what
//! brings a Linode home. Clicks and chosen times are kept.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::{AppError, Result};
use crate::app::registration;
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::store;
use crate::store::db::{lock_scheduler, wake_on_commit};
use crate::store::migration::pause::MovePause;
use crate::store::wake::Wake;

impl App {
    /// None begins after this has answered: it waits for a portal that begins some just now.
    pub fn pause_moves(&self, actor: &Actor, reason: &str) -> Result<()> {
        actor.require(Right::Moves)?;
        let reason = registration::reason(reason, "the others of the staff")?;
        self.transact(actor.who(), |tx| {
            lock_scheduler(tx.conn)?;
            let new = MovePause {
                reason: reason.to_owned(),
                made_by: actor.user,
                made_at: tx.now,
            };
            store::migration::pause::insert(tx.conn, &new).map_err(|error| {
                if error.is_duplicate() {
                    AppError::conflict("New moves are paused already.")
                } else {
                    error.into()
                }
            })?;
            let after = format!("new moves paused: {reason}");
            tx.audit(Action::MovePause, Object::Programme, ("", after))
        })
    }

    /// What waited begins. Doing so twice is doing so once.
    pub fn resume_moves(&self, actor: &Actor) -> Result<()> {
        actor.require(Right::Moves)?;
        self.transact(actor.who(), |tx| {
            lock_scheduler(tx.conn)?;
            if !store::migration::pause::end(tx.conn)? {
                return Ok(());
            }
            wake_on_commit(tx.conn, Wake::Reconcile)?;
            tx.audit(
                Action::MovePause,
                Object::Programme,
                ("", "new moves go on"),
            )
        })
    }
}
