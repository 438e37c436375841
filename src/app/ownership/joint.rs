//! What takes two staff (rules 14, 16 and 17): one asks with evidence, another one agrees, each with their password. Taking
//! a dead host over; not waiting for one that is off; trusting a ledger again.

use std::collections::BTreeMap;

use super::recovery;
use crate::app::App;
use crate::app::account::bound::{self, Proof};
use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::app::migration::event_details::{EventDetails, Words};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::host::HostState;
use crate::domain::ids::{HostId, JointActId, LinodeId, UserId};
use crate::domain::job::JobState;
use crate::domain::migration::{Event, MigrationKind, MigrationState};
use crate::domain::ownership::joint::{JointKind, JointState};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::{Db, wake_on_commit};
use crate::store::host::Host;
use crate::store::job::End;
use crate::store::migration::Migration;
use crate::store::ownership::joint::JointAct;
use crate::store::wake::Wake;

const MOST_EVIDENCE: usize = 2000;

/// What a takeover would do to one Linode.
#[derive(Debug, Clone)]
pub struct Consequence {
    pub linode: LinodeId,
    pub label: String,
    /// The host that starts it again, with the data as of when it was stopped there; `None`: no other host has its disks.
    pub goes_to: Option<(HostId, Time)>,
}

impl App {
    /// Asks for an act that another member of staff has to agree to. Asking again for what is asked for already gives that.
    pub fn ask_joint(
        &self,
        actor: &Actor,
        password: &str,
        (kind, host): (JointKind, HostId),
        evidence: &str,
    ) -> Result<JointActId> {
        let proof = self.is_still(actor, password)?;
        let evidence = evidence.trim();
        if evidence.is_empty() || evidence.chars().count() > MOST_EVIDENCE {
            return Err(AppError::invalid(
                "evidence",
                format!(
                    "Say what shows it, in at most {MOST_EVIDENCE} characters: who saw what, and when"
                ),
            ));
        }
        self.transact(actor.who(), |tx| {
            tx.still_proved(actor, &proof)?.ok_or_else(bound::changed)?;
            store::host::lock(tx.conn, host)?;
            let row = store::host::host(tx.conn, host)?.ok_or(AppError::NotFound)?;
            may_ask(tx.conn, &row, kind)?;
            if let Some((standing, _)) = store::ownership::joint::asked(tx.conn, Some(host))?
                .into_iter()
                .find(|(act, _)| act.kind == kind)
            {
                return Ok(standing.id);
            }
            let id = store::ownership::joint::insert(
                tx.conn,
                (kind, host),
                evidence,
                (actor.user, tx.now),
            )?;
            tx.audit(
                Action::joint(kind, JointState::Asked),
                Object::Host(host),
                ("", evidence),
            )?;
            Ok(id)
        })
    }

    /// Another one agrees, and it is done; or it is withdrawn, by anyone.
    pub fn decide_joint(
        &self,
        actor: &Actor,
        password: &str,
        id: JointActId,
        agree: bool,
    ) -> Result<JointAct> {
        let proof = self.is_still(actor, password)?;
        self.transact(actor.who(), |tx| {
            tx.still_proved(actor, &proof)?.ok_or_else(bound::changed)?;
            let act = store::ownership::joint::get(tx.conn, id)?.ok_or(AppError::NotFound)?;
            if agree && act.asked_by == actor.user {
                return Err(AppError::conflict(
                    "You asked for this yourself: another member of staff has to agree.",
                ));
            }
            if agree && !may_still_agree(tx.conn, act.asked_by)? {
                return Err(AppError::conflict(
                    "Who asked for this may not do so any more: withdraw it, and ask anew.",
                ));
            }
            let open = match (act.kind, agree) {
                // Registrations and migrations before hosts, as everyone takes them.
                (JointKind::Takeover, true) => touched(tx.conn, act.host_id)?,
                _ => Vec::new(),
            };
            // Before the act's row and the trail, as who asks for one takes them, and who sets the host's state.
            store::host::lock(tx.conn, act.host_id)?;
            let state = if agree {
                JointState::Done
            } else {
                JointState::Withdrawn
            };
            if !store::ownership::joint::decide(tx.conn, id, state, (actor.user, tx.now))? {
                return Err(AppError::conflict("This was decided already."));
            }
            let host = store::host::host(tx.conn, act.host_id)?.ok_or(AppError::NotFound)?;
            if agree && act.kind == JointKind::Takeover {
                shut_out(tx.conn, tx.now, act.host_id)?;
            }
            tx.audit(
                Action::joint(act.kind, state),
                Object::Host(act.host_id),
                ("", &act.evidence),
            )?;
            if agree {
                self.perform(tx, (act.kind, &host), &open)?;
            }
            Ok(act)
        })
    }

    fn perform(
        &self,
        tx: &mut Tx<'_>,
        (kind, host): (JointKind, &Host),
        open: &[Migration],
    ) -> Result<()> {
        match kind {
            JointKind::Waive => {
                let incarnation = store::ownership::memory::get(tx.conn)?.incarnation;
                store::host::set_waived(tx.conn, host.id, &incarnation)?;
            }
            JointKind::TrustLedger => store::host::unpin_ledger(tx.conn, host.id)?,
            JointKind::Takeover => self.take_over(tx, host, open)?,
        }
        wake_on_commit(tx.conn, Wake::Reconcile)?;
        wake_on_commit(tx.conn, Wake::Host(host.id))?;
        Ok(())
    }

    /// The host never comes back: whatever waits for it is told.
    fn take_over(&self, tx: &mut Tx<'_>, host: &Host, open: &[Migration]) -> Result<()> {
        for row in open {
            // Ways back are newer than what they belong to, and tell it: so each row is read anew.
            let Some(row) = store::migration::migration(tx.conn, row.id)? else {
                continue;
            };
            let Some(event) = lost(tx.conn, host.id, &row)? else {
                continue;
            };
            let given = EventDetails {
                message: format!("{} is lost, and was taken over by staff.", host.name),
                ..EventDetails::failure(Words {
                    public: &format!("The host {} is lost.", host.name),
                    detail: "taken over by two staff",
                })
            };
            // Refused where it changes nothing for that migration.
            let _applied = tx.apply(row.id, event, &given)?;
        }
        Ok(())
    }

    /// What a takeover would do, Linode by Linode.
    pub fn takeover_preview(&self, actor: &Actor, host: HostId) -> Result<Vec<Consequence>> {
        actor.require(Right::Read)?;
        self.db.read(|conn| {
            let kept = newest_of_each(store::migration::brought_to(conn, host)?);
            let of = store::linode::linodes_on(conn, host)?;
            Ok(of
                .into_iter()
                .map(|linode| Consequence {
                    linode: linode.id,
                    label: linode.label,
                    goes_to: kept
                        .get(&linode.id)
                        .and_then(|row| Some((row.source_host_id, row.stopped_at?))),
                })
                .collect())
        })
    }

    /// The same person, by their password: what counts is asked again.
    fn is_still(&self, actor: &Actor, password: &str) -> Result<Proof> {
        actor.require(Right::Hosts)?;
        let user = self
            .db
            .read(|conn| store::account::user(conn, actor.user))?;
        let user = user.ok_or(AppError::SignIn)?;
        self.check_password(actor, &user, password)
    }
}

/// Its credential and its jobs end. Before the trail, as who commits or grants something has its jobs, and the portal's
/// revision, before that.
fn shut_out(conn: &mut Db, now: Time, host: HostId) -> Result<()> {
    store::host::set_state(conn, host, HostState::Quarantined)?;
    store::host::credential::revoke_credential(conn, host)?;
    let end = End {
        state: JobState::Cancelled,
        message: "The host was taken over.",
        detail: "",
        now,
    };
    store::job::end_all_of_host(conn, host, &end)?;
    store::ownership::memory::count_up(conn)?;
    Ok(())
}

/// Every migration that is not over, or whose old disks stand, and has the host on either side; locked, newest first.
fn touched(conn: &mut Db, host: HostId) -> Result<Vec<Migration>> {
    let mut of: Vec<LinodeId> = store::migration::with_host(conn, host)?;
    of.extend(
        store::linode::linodes_on(conn, host)?
            .into_iter()
            .map(|it| it.id),
    );
    of.sort_unstable();
    of.dedup();
    let mut open = store::migration::locked_of_linodes(conn, &of)?;
    // One that is confirmed is not among those that are open.
    let kept = newest_of_each(store::migration::brought_to(conn, host)?);
    open.extend(
        kept.into_values()
            .filter(|row| of.contains(&row.linode_id))
            .filter(|row| open.iter().all(|other| other.id != row.id))
            .collect::<Vec<_>>(),
    );
    Ok(open)
}

fn newest_of_each(rows: Vec<Migration>) -> BTreeMap<LinodeId, Migration> {
    let mut newest = BTreeMap::new();
    for row in rows {
        newest.entry(row.linode_id).or_insert(row);
    }
    newest
}

/// What the loss of the host is to a migration.
fn lost(conn: &mut Db, host: HostId, row: &Migration) -> Result<Option<Event>> {
    let linode = store::linode::linode(conn, row.linode_id)?.ok_or(AppError::NotFound)?;
    let is_over = matches!(
        row.state,
        MigrationState::Finished | MigrationState::Confirmed
    );
    if row.destination_host_id == host {
        // Of what is over, only the move that brought the Linode to where it is now.
        let brought =
            linode.host_id == host && row.committed_at.is_some() && row.purged_at.is_none();
        return Ok((!is_over || brought).then_some(Event::DestinationLost));
    }
    // The way back of a Linode whose host is lost ends, and what it belongs to hears next.
    let gives_up = row.source_host_id == host && (!is_over || row.kind == MigrationKind::Return);
    Ok(gives_up.then_some(Event::SourceLost))
}

fn may_ask(conn: &mut Db, host: &Host, kind: JointKind) -> Result<()> {
    let conflict = |why: &str| Err(AppError::conflict(format!("{}: {why}", host.name)));
    match kind {
        JointKind::Takeover if host.state == HostState::Quarantined => {
            conflict("it was taken over already.")
        }
        JointKind::Waive if !recovery::should_report(host) => {
            conflict("nothing waits for it: it takes no part.")
        }
        JointKind::Waive
            if host.waived_in.as_deref()
                == Some(store::ownership::memory::get(conn)?.incarnation.as_str()) =>
        {
            conflict("nothing waits for it any more: that is decided.")
        }
        JointKind::TrustLedger if host.ledger_fault.is_empty() => {
            conflict("its ledger is trusted.")
        }
        JointKind::Takeover | JointKind::Waive | JointKind::TrustLedger => Ok(()),
    }
}

/// It takes two who are staff when it is done, not when it was asked for.
fn may_still_agree(conn: &mut Db, user: UserId) -> Result<bool> {
    let user = store::account::user(conn, user)?;
    Ok(user.is_some_and(|it| !it.disabled && it.may(Right::Hosts)))
}

/// May this person agree?
pub fn may_agree(act: &JointAct, user: UserId) -> bool {
    act.asked_by != user
}
