//! A portal that went back (rule 16): what agents have seen of it, and the database itself, say whether its memory is whole.
//! Until every host has reported, nothing changes who may run a Linode.

use crate::app::context::{PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::app::{App, secrets};
use crate::domain::audit::{Action, Object};
use crate::domain::ids::HostId;
use crate::domain::ownership;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::{Db, wake_on_commit};
use crate::store::host::Host;
use crate::store::ownership::memory::Portal;
use crate::store::wake::Wake;
use crate::wire::PortalMark;

/// How a recovery stands.
#[derive(Clone)]
pub struct Recovery {
    pub since: Time,
    pub why: String,
    /// Hosts that have not reported since.
    pub waits_for: Vec<Host>,
}

/// Did the portal that showed an agent this mark know more than this one?
pub(in crate::app) fn went_back(conn: &mut Db, portal: &Portal, seen: &PortalMark) -> Result<bool> {
    if seen.incarnation == portal.incarnation {
        return Ok(seen.revision > portal.revision);
    }
    let lives = store::ownership::memory::incarnations(conn)?;
    let shown = (seen.incarnation.as_str(), seen.revision);
    Ok(ownership::went_back(&lives, portal.revision, shown))
}

/// Begins a new incarnation, and a recovery with it. Its revisions are above all that this portal and that agent have seen.
pub(in crate::app) fn begin(tx: &mut Tx<'_>, seen: Option<&PortalMark>, why: &str) -> Result<()> {
    let portal = store::ownership::memory::locked(tx.conn)?;
    // Another request may have found the same out meanwhile.
    if let Some(seen) = seen
        && !went_back(tx.conn, &portal, seen)?
    {
        return Ok(());
    }
    let above = seen.map_or(0, |seen| seen.revision).max(portal.revision);
    let id: String = secrets::new_token()?.chars().take(32).collect();
    store::ownership::memory::begin(tx.conn, &id, above.saturating_add(1), (tx.now, why))?;
    tx.by(PORTAL).audit(
        Action::RecoveryBegin,
        Object::Portal,
        (&portal.incarnation, &format!("{id}: {why}")),
    )?;
    tracing::error!(
        why,
        "the portal's memory went back: nothing changes hands until every host has reported"
    );
    wake_on_commit(tx.conn, Wake::Reconcile)?;
    Ok(())
}

/// Hosts whose report a recovery waits for: they take part, their agent is enrolled, and nobody has said that they are off.
fn waits_for(conn: &mut Db, incarnation: &str) -> Result<Vec<Host>> {
    let waits = |host: &Host| {
        should_report(host)
            && host.reported_in.as_deref() != Some(incarnation)
            && host.waived_in.as_deref() != Some(incarnation)
    };
    Ok(store::host::all(conn)?.into_iter().filter(waits).collect())
}

/// Does it take part, with an agent that was heard of?
pub(in crate::app) fn should_report(host: &Host) -> bool {
    crate::domain::host::HostState::TAKING_PART.contains(&host.state) && host.fingerprint.is_some()
}

/// May this host leave those that take part? Not while a recovery waits for it: that takes two staff.
pub(in crate::app) fn may_leave(conn: &mut Db, host: HostId) -> Result<()> {
    let portal = store::ownership::memory::get(conn)?;
    if portal.recovery_since.is_some()
        && waits_for(conn, &portal.incarnation)?
            .iter()
            .any(|it| it.id == host)
    {
        return Err(AppError::conflict(
            "The portal waits for this host's report, as it may own Linodes that the portal has forgotten. If it is off for good, two staff can say so.",
        ));
    }
    Ok(())
}

/// As [`App::recovery`].
pub fn standing(conn: &mut Db) -> Result<Option<Recovery>> {
    let portal = store::ownership::memory::get(conn)?;
    let Some(since) = portal.recovery_since else {
        return Ok(None);
    };
    Ok(Some(Recovery {
        since,
        why: portal.recovery_why,
        waits_for: waits_for(conn, &portal.incarnation)?,
    }))
}

impl App {
    /// The mark that goes into answers to agents.
    pub fn mark(&self) -> Result<PortalMark> {
        let mark = self
            .db
            .read(|conn| Ok::<_, AppError>(store::ownership::memory::get(conn)?.mark()))?;
        if let Some(file) = &self.db.mark_file {
            file.keep(&mark)?;
        }
        Ok(mark)
    }

    /// What agents were shown last, where that is known beside the database.
    fn shown(&self) -> Result<Option<PortalMark>> {
        Ok(match &self.db.mark_file {
            Some(file) => file.last()?,
            None => None,
        })
    }

    /// `None`: the portal's memory is whole.
    pub fn recovery(&self) -> Result<Option<Recovery>> {
        self.db.read(standing)
    }

    /// For `xenbeta restore`: what is in the database is from before.
    pub fn begin_recovery(&self, why: &str) -> Result<()> {
        let (now, shown) = (self.now(), self.shown()?);
        self.transact_at(now, PORTAL, |tx| {
            let portal = store::ownership::memory::get(tx.conn)?;
            let ahead = match &shown {
                Some(shown) if went_back(tx.conn, &portal, shown)? => Some(shown),
                _ => None,
            };
            begin(tx, ahead, why)
        })
    }

    /// Is this the database that it was, and as new as what agents were shown? PostgreSQL says when it was promoted or put in
    /// another's place.
    pub fn look_at_database(&self) -> Result<()> {
        let shown = self.shown()?;
        let (mark, known, is_older) = self.db.read(|conn| {
            let portal = store::ownership::memory::get(conn)?;
            let is_older = match &shown {
                Some(shown) => went_back(conn, &portal, shown)?,
                None => false,
            };
            Ok::<_, AppError>((
                store::ownership::memory::database_mark(conn)?,
                portal.database_mark,
                is_older,
            ))
        })?;
        if is_older {
            let now = self.now();
            let why =
                "The database is older than what hosts were told: a copy was put in its place.";
            self.transact_at(now, PORTAL, |tx| begin(tx, shown.as_ref(), why))?;
        }
        if mark == known || mark.ends_with("standby") {
            return Ok(());
        }
        self.transact(PORTAL, |tx| {
            let portal = store::ownership::memory::locked(tx.conn)?;
            if portal.database_mark == mark {
                return Ok(());
            }
            store::ownership::memory::set_database_mark(tx.conn, &mark)?;
            if portal.database_mark.is_empty() {
                return Ok(());
            }
            begin(tx, None, "The database is another one than before: a standby was promoted, or a dump was put in its place.")
        })
    }

    /// Ends a recovery that waits for nobody any more; what hosts contradict is held by then.
    pub(in crate::app) fn end_recovery(&self) -> Result<usize> {
        let waits = self.recovery()?.map(|it| it.waits_for.len());
        if waits != Some(0) {
            return Ok(0);
        }
        self.transact(PORTAL, |tx| {
            let portal = store::ownership::memory::locked(tx.conn)?;
            let Some(since) = portal.recovery_since else {
                return Ok(0);
            };
            if !waits_for(tx.conn, &portal.incarnation)?.is_empty() {
                return Ok(0);
            }
            store::ownership::memory::end_recovery(tx.conn)?;
            let after = format!("after {} s", tx.now.seconds_since(since));
            tx.audit(Action::RecoveryEnd, Object::Portal, ("", &after))?;
            // Jobs that were held back may go out.
            for host in store::host::all(tx.conn)? {
                wake_on_commit(tx.conn, Wake::Host(host.id))?;
            }
            tracing::warn!("every host has reported: the portal's memory is whole again");
            Ok(1)
        })
    }
}
