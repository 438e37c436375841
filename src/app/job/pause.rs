//! Staff hold jobs back: of a host, of a kind, or of a kind on a host. Those in hand go on, and what brings a stopped Linode
//! up again never waits.

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::{AppError, Result};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{HostId, JobPauseId};
use crate::domain::job::JobKind;
use crate::store;
use crate::store::db::wake_on_commit;
use crate::store::job::pauses::{JobPause, NewPause};
use crate::store::wake::Wake;

const MOST_REASON: usize = 500;

impl App {
    pub fn pause_jobs(
        &self,
        actor: &Actor,
        (host, kind): (Option<HostId>, Option<JobKind>),
        reason: &str,
    ) -> Result<()> {
        actor.require(Right::Jobs)?;
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > MOST_REASON {
            let message = format!("Say why, in {MOST_REASON} characters or fewer");
            return Err(AppError::invalid("reason", message));
        }
        if host.is_none() && kind.is_none() {
            let message = "Choose a host, a kind, or both: not everything stops at once";
            return Err(AppError::invalid("host", message));
        }
        if kind.is_some_and(|kind| !kind.may_wait()) {
            let message = "It brings a Linode that was stopped up again, and never waits";
            return Err(AppError::invalid("kind", message));
        }
        self.transact(actor.who(), |tx| {
            if let Some(host) = host {
                store::host::host(tx.conn, host)?.ok_or(AppError::NotFound)?;
            }
            let new = NewPause {
                host_id: host,
                kind,
                reason,
                made_by: actor.user,
                made_at: tx.now,
            };
            store::job::pauses::insert(tx.conn, &new).map_err(|error| {
                if error.is_duplicate() {
                    AppError::conflict("These are paused already.")
                } else {
                    error.into()
                }
            })?;
            let after = format!("{} paused: {reason}", words(host, kind));
            tx.audit(Action::JobPause, object(host), ("", after))
        })
    }

    /// What waited goes on. One that has ended already is as asked.
    pub fn end_pause(&self, actor: &Actor, id: JobPauseId) -> Result<()> {
        actor.require(Right::Jobs)?;
        self.transact(actor.who(), |tx| {
            let Some(JobPause { host_id, kind, .. }) = store::job::pauses::end(tx.conn, id)? else {
                return Ok(());
            };
            // Without a host: each looks again by itself within seconds.
            if let Some(host) = host_id {
                wake_on_commit(tx.conn, Wake::Host(host))?;
            }
            let after = format!("{} go on", words(host_id, kind));
            tx.audit(Action::JobPause, object(host_id), ("", after))
        })
    }
}

fn object(host: Option<HostId>) -> Object<'static> {
    host.map_or(Object::Jobs, Object::Host)
}

/// Which jobs, for the trail.
fn words(host: Option<HostId>, kind: Option<JobKind>) -> String {
    let kind = kind.map_or_else(|| "all".to_owned(), |kind| kind.to_string());
    let host = host.map_or_else(|| "all hosts".to_owned(), |host| format!("host {host}"));
    format!("{kind} jobs of {host}")
}
