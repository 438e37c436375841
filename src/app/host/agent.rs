//! How an agent comes to speak for its host: enrolment, credentials, and what a new host has to find.

use crate::app::App;
use crate::app::context::{Agent, PORTAL, Who};
use crate::app::doors::Door;
use crate::app::error::{AppError, Result};
use crate::app::ownership::ledger;
use crate::app::secrets::{self, purpose};
use crate::domain::audit::{Action, Object};
use crate::domain::host::HostState;
use crate::domain::ids::HostId;
use crate::domain::job::JobKind;
use crate::domain::linode::LinodeStatus;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::host::Host;
use crate::store::host::credential::Enrolment;
use crate::store::job::NewJob;
use crate::wire::{Enrol, Enrolled, Rotated};

fn agent_of(host: Host) -> Agent {
    Agent {
        host: host.id,
        cap_mb_s: host.cap_mb_s.and_then(|cap| u32::try_from(cap).ok()),
        name: host.name,
    }
}

impl App {
    /// Gives a host's agent its credential for a one-use token.
    pub fn enrol(&self, ask: &Enrol, address: &str) -> Result<Enrolled> {
        check(ask)?;
        let credential = secrets::new_token()?;
        self.transact(PORTAL, |tx| {
            let host = store::host::credential::use_enrolment_token(
                tx.conn,
                &secrets::hash(purpose::ENROLMENT, &ask.token),
                tx.now,
            )?
            .ok_or(AppError::Forbidden)?;
            let host = store::host::host(tx.conn, host)?.ok_or(AppError::NotFound)?;
            if host.platform != ask.platform {
                let message = format!(
                    "this host is entered as {}, and the agent's driver is {}",
                    host.platform, ask.platform
                );
                return Err(AppError::invalid("platform", message));
            }
            ledger::may_enrol(tx.conn, &host, (ask.ledger.as_ref(), &ask.fingerprint))?;
            store::host::credential::set_enrolled(
                tx.conn,
                host.id,
                &Enrolment {
                    credential_hash: &secrets::hash(purpose::AGENT, &credential),
                    fingerprint: &ask.fingerprint,
                    transfer_address: &ask.transfer_address,
                    agent_version: &crate::domain::text::line(&ask.agent_version, 100),
                    now: tx.now,
                },
            )?;
            // Whatever was wrong with the ledger of before: this one it is from now on.
            store::host::unpin_ledger(tx.conn, host.id)?;
            if let Some(ledger) = &ask.ledger {
                store::host::pin_ledger(tx.conn, host.id, ledger, None)?;
            }
            adopt_all(tx.conn, tx.now, host.id)?;
            let who = Who::named(&host.name, address);
            tx.by(who).audit(
                Action::AgentEnrol,
                Object::Host(host.id),
                ("", &ask.fingerprint),
            )?;
            Ok(Enrolled {
                host: host.id,
                name: host.name,
                credential: credential.clone(),
            })
        })
    }

    /// As [`App::agent`], for a request from there: one with credentials that were never good is not looked up for ever.
    pub fn agent_at(&self, credential: &str, address: &str) -> Result<Option<Agent>> {
        let hash = secrets::hash(purpose::AGENT, credential);
        let was_known = self.doors.is_known(&hash);
        if !was_known {
            self.doors.knock(Door::Agent, address)?;
        }
        let agent = self.agent_by(&hash)?;
        if agent.is_some() != was_known {
            self.doors.set_known(&hash, agent.is_some());
        }
        Ok(agent)
    }

    /// The agent behind a credential; `None` if it was revoked or never given, or the host is quarantined.
    pub fn agent(&self, credential: &str) -> Result<Option<Agent>> {
        self.agent_by(&secrets::hash(purpose::AGENT, credential))
    }

    fn agent_by(&self, hash: &str) -> Result<Option<Agent>> {
        let Some((host, is_next)) = self
            .db
            .read(|conn| store::host::credential::by_credential(conn, hash))?
        else {
            return Ok(None);
        };
        if host.state == HostState::Quarantined {
            return Ok(None);
        }
        if is_next {
            self.db
                .write(|conn| store::host::credential::promote_credential(conn, host.id))?;
        }
        Ok(Some(agent_of(host)))
    }

    /// A new credential; the old one works until the new one is first used.
    pub fn rotate_credential(&self, agent: &Agent) -> Result<Rotated> {
        let credential = secrets::new_token()?;
        let who = Who::named(&agent.name, "");
        self.transact(who, |tx| {
            store::host::credential::set_next_credential(
                tx.conn,
                agent.host,
                &secrets::hash(purpose::AGENT, &credential),
            )?;
            tx.audit(Action::AgentRotate, Object::Host(agent.host), ("", ""))?;
            Ok(Rotated {
                credential: credential.clone(),
            })
        })
    }
}

fn check(ask: &Enrol) -> Result<()> {
    if ask.fingerprint.len() != 64
        || !ask
            .fingerprint
            .bytes()
            .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
    {
        return Err(AppError::invalid(
            "fingerprint",
            "64 lower-case hex digits are wanted",
        ));
    }
    if ask
        .transfer_address
        .parse::<std::net::SocketAddr>()
        .is_err()
    {
        return Err(AppError::invalid(
            "transfer_address",
            "an address with a port is wanted, like 192.0.2.1:7443",
        ));
    }
    Ok(())
}

/// Every Linode that an import put on this host is made known to its agent.
pub fn adopt_all(conn: &mut Db, now: Time, host: HostId) -> Result<()> {
    for linode in store::linode::linodes_on(conn, host)? {
        if linode.status == LinodeStatus::Provisioning
            && store::job::open_of_linode(conn, linode.id, &[JobKind::Adopt])?.is_none()
        {
            store::job::enqueue(conn, &NewJob::own(&linode, JobKind::Adopt, now, None))?;
        }
    }
    Ok(())
}
