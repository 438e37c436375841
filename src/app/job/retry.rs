//! Staff try a job again that failed.

use crate::app::App;
use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::app::migration::retry;
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::JobId;
use crate::store;

impl App {
    /// Staff give a job that used up its tries new ones, if somebody still waits for it.
    pub fn retry_job(&self, actor: &Actor, id: JobId) -> Result<()> {
        actor.require(Right::Jobs)?;
        self.transact(actor.who(), |tx| retry_one(tx, id))
    }
}

pub(in crate::app) fn retry_one(tx: &mut Tx<'_>, id: JobId) -> Result<()> {
    retry::may_job(tx.conn, id)?;
    if !store::job::revive(tx.conn, id)? {
        return Err(AppError::conflict("Only a failed job can be tried again."));
    }
    tx.audit(Action::JobRetry, Object::Job(id), ("failed", "pending"))
}
