//! Staff hold all moves back at once: none begins, in waves or beside them. What is under way ends, and ways back, also those
//! that begin by themselves, go on: they bring a Linode home.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::{AppError, Result};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::placement::Link;
use crate::store;
use crate::store::db::{Db, lock_scheduler, wake_on_commit};
use crate::store::wake::Wake;
use crate::store::wave::MovesPaused;

const MOST_WHY: usize = 500;

impl App {
    /// Paused again, they are paused for the new reason; since when stays.
    pub fn pause_moves(&self, actor: &Actor, why: &str) -> Result<()> {
        actor.require(Right::Moves)?;
        let why = why.trim();
        if why.is_empty() || why.chars().count() > MOST_WHY {
            let message = format!("Say why, in {MOST_WHY} characters or fewer");
            return Err(AppError::invalid("why", message));
        }
        self.transact(actor.who(), |tx| {
            lock_scheduler(tx.conn)?;
            let before = store::wave::moves_paused(tx.conn)?;
            let paused = MovesPaused {
                since: before.as_ref().map_or(tx.now, |it| it.since),
                by: actor.name.clone(),
                why: why.to_owned(),
            };
            if before.as_ref() == Some(&paused) {
                return Ok(());
            }
            store::wave::set_moves_paused(tx.conn, Some(&paused))?;
            let before = before.map_or_else(|| "they go on".to_owned(), |it| it.why);
            let after = format!("no new move begins: {why}");
            tx.audit(Action::MovesPause, Object::Programme, (before, after))
        })
    }

    /// They go on; twice is once.
    pub fn let_moves_go_on(&self, actor: &Actor) -> Result<()> {
        actor.require(Right::Moves)?;
        self.transact(actor.who(), |tx| {
            lock_scheduler(tx.conn)?;
            let Some(before) = store::wave::moves_paused(tx.conn)? else {
                return Ok(());
            };
            store::wave::set_moves_paused(tx.conn, None)?;
            wake_on_commit(tx.conn, Wake::Reconcile)?;
            let after = "they go on";
            tx.audit(Action::MovesPause, Object::Programme, (before.why, after))
        })
    }
}

/// Those of the queue that may begin, as far as that goes.
pub(in crate::app) fn unpaused(conn: &mut Db, mut waiting: Vec<Link>) -> Result<Vec<Link>> {
    if store::wave::moves_paused(conn)?.is_some() {
        waiting.retain(|link| link.is_back);
    }
    Ok(waiting)
}
