//! Hosts: adding one, enrolling its agent, and what staff set on it.

pub mod agent;
pub mod liveness;
pub mod reboot;
pub mod report;
pub mod silence;

use super::App;
use super::context::{Actor, Who};
use super::error::{AppError, Result};
use super::ownership::recovery;
use super::secrets::{self, purpose};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::host::{HostRole, HostState};
use crate::domain::ids::{HostId, PlanId};
use crate::domain::placement;
use crate::domain::platform::Platform;
use crate::domain::values::HostName;
use crate::store;
use crate::store::db::wake_on_commit;
use crate::store::host::{Host, NewHost};
use crate::store::wake::Wake;

/// An enrolment token works once, for this long.
const TOKEN_S: i64 = 15 * 60;

#[derive(Debug, Clone)]
pub struct AddHost {
    pub name: String,
    pub platform: Platform,
    pub role: HostRole,
    /// Production hosts take Linodes of one plan; others of any.
    pub plan: Option<PlanId>,
    pub memory_mb: i64,
    pub disk_mb: i64,
    pub slots: i32,
    pub cap_mb_s: Option<i32>,
}

/// What a host takes part in, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostLimits {
    /// Migrations at once.
    pub slots: i32,
    /// On copying, in MB/s; `None`: no cap.
    pub cap_mb_s: Option<i32>,
}

impl App {
    /// Adds a host; gives it back with a one-use enrolment token for its agent.
    pub fn add_host(&self, who: Who<'_>, new: &AddHost) -> Result<(Host, String)> {
        let name = HostName::parse(&new.name).map_err(AppError::field("name"))?;
        check(new)?;
        let token = secrets::new_token()?;
        let taken = || AppError::invalid("name", "There is a host of this name already");
        self.transact(who, |tx| {
            if store::host::by_name(tx.conn, name.as_str())?.is_some() {
                return Err(taken());
            }
            let host = store::host::insert(
                tx.conn,
                &NewHost {
                    name: name.as_str(),
                    platform: new.platform,
                    role: new.role,
                    plan_id: new.plan,
                    state: HostState::Enabled,
                    memory_mb: new.memory_mb,
                    disk_mb: new.disk_mb,
                    slots: new.slots,
                    cap_mb_s: new.cap_mb_s,
                    created_at: tx.now,
                },
            )
            // Another one of the same moment was first.
            .map_err(AppError::if_taken(taken))?;
            store::host::credential::insert_enrolment_token(
                tx.conn,
                &secrets::hash(purpose::ENROLMENT, &token),
                host.id,
                tx.now.plus_s(TOKEN_S),
            )?;
            tx.audit(Action::HostAdd, Object::Host(host.id), ("", name.as_str()))?;
            Ok((host, token.clone()))
        })
    }

    /// A new enrolment token; the ones before it stop working.
    pub fn new_enrolment_token(&self, who: Who<'_>, id: HostId) -> Result<String> {
        let token = secrets::new_token()?;
        self.transact(who, |tx| {
            store::host::host(tx.conn, id)?.ok_or(AppError::NotFound)?;
            store::host::credential::insert_enrolment_token(
                tx.conn,
                &secrets::hash(purpose::ENROLMENT, &token),
                id,
                tx.now.plus_s(TOKEN_S),
            )?;
            tx.audit(Action::HostToken, Object::Host(id), ("", ""))?;
            Ok(token.clone())
        })
    }

    /// Ends the agent's credential: its next request is refused. Its guests run on; nothing new is started there.
    pub fn revoke_host(&self, actor: &Actor, id: HostId) -> Result<()> {
        actor.require(Right::Hosts)?;
        self.transact(actor.who(), |tx| {
            store::host::host(tx.conn, id)?.ok_or(AppError::NotFound)?;
            store::host::credential::revoke_credential(tx.conn, id)?;
            tx.audit(Action::HostRevoke, Object::Host(id), ("", ""))
        })
    }

    /// `seen`: the state that the form showed. Setting the same twice changes nothing.
    pub fn set_host_state(
        &self,
        actor: &Actor,
        id: HostId,
        (seen, state): (HostState, HostState),
    ) -> Result<()> {
        actor.require(Right::Hosts)?;
        self.transact(actor.who(), |tx| {
            // A takeover of this moment is either before this or after it.
            store::host::lock(tx.conn, id)?;
            let host = store::host::host(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if host.state == HostState::Quarantined {
                return Err(AppError::conflict(
                    "A quarantined host cannot come back: add it anew under another name.",
                ));
            }
            if host.state == state {
                return Ok(());
            }
            if host.state != seen {
                return Err(AppError::conflict(format!(
                    "Someone else changed the host while you looked at it: it is {} now. Look at it again.",
                    host.state
                )));
            }
            if !HostState::TAKING_PART.contains(&state) {
                recovery::may_leave(tx.conn, id)?;
            }
            store::host::set_state(tx.conn, id, state)?;
            // Offers of places on it are called off.
            wake_on_commit(tx.conn, Wake::Reconcile)?;
            tx.audit(Action::HostState, Object::Host(id), (host.state, state))
        })
    }

    /// The cap reaches running copies too. `seen`: the limits that the form showed. Saving the same twice changes nothing.
    pub fn set_host_limits(
        &self,
        actor: &Actor,
        id: HostId,
        (seen, to): (HostLimits, HostLimits),
    ) -> Result<()> {
        actor.require(Right::Hosts)?;
        check_limits(to)?;
        self.transact(actor.who(), |tx| {
            store::host::lock(tx.conn, id)?;
            let host = store::host::host(tx.conn, id)?.ok_or(AppError::NotFound)?;
            let before = HostLimits {
                slots: host.slots,
                cap_mb_s: host.cap_mb_s,
            };
            if before == to {
                return Ok(());
            }
            if before != seen {
                return Err(AppError::conflict(
                    "Someone else changed these limits while you looked at them. Look at them again.",
                ));
            }
            store::host::set_limits(tx.conn, id, to.slots, to.cap_mb_s)?;
            let text = |of: HostLimits| format!("{} slots, cap {:?} MB/s", of.slots, of.cap_mb_s);
            let (before, after) = (text(before), text(to));
            tx.audit(Action::HostLimits, Object::Host(id), (&before, &after))
        })
    }
}

fn check(new: &AddHost) -> Result<()> {
    if !(1..=100_000_000).contains(&new.memory_mb) {
        return Err(AppError::invalid(
            "memory_mb",
            "Give the memory for guests in MiB, 1 or more",
        ));
    }
    if !(1..=10_000_000_000).contains(&new.disk_mb) {
        return Err(AppError::invalid(
            "disk_mb",
            "Give the disk space for guests in MiB, 1 or more",
        ));
    }
    check_limits(HostLimits {
        slots: new.slots,
        cap_mb_s: new.cap_mb_s,
    })?;
    if let Some(platform) = placement::platform_of(new.role)
        && platform != new.platform
    {
        let name = platform.offers().name;
        let why = format!("A {} host must be a {name} host", new.role);
        return Err(AppError::invalid("platform", why));
    }
    match (new.role, new.plan) {
        (HostRole::Production, None) => {
            return Err(AppError::invalid(
                "plan",
                "Choose the plan this production host is for",
            ));
        }
        (HostRole::Source | HostRole::Beta, Some(_)) => {
            return Err(AppError::invalid(
                "plan",
                "Only a production host is for one plan",
            ));
        }
        _ => {}
    }
    Ok(())
}

fn check_limits(of: HostLimits) -> Result<()> {
    let HostLimits { slots, cap_mb_s } = of;
    if !(0..=1000).contains(&slots) {
        return Err(AppError::invalid("slots", "Migrations at once: 0 to 1000"));
    }
    if cap_mb_s.is_some_and(|cap| !(1..=1_000_000).contains(&cap)) {
        return Err(AppError::invalid(
            "cap_mb_s",
            "The cap is 1 MB/s or more; leave it empty for none",
        ));
    }
    Ok(())
}
