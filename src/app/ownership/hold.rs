//! Linodes of which hosts and the portal remember different things (rule 15): held, so that nothing is done to them, until
//! the hosts are believed. What is unambiguous is put right without anyone.

use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use std::collections::BTreeMap;

use super::change;
use super::contradiction::{Contrary, reason};
use super::recovery::should_report;
use crate::app::App;
use crate::app::context::{Actor, Agent, PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::app::migration::event_details::EventDetails;
use crate::domain::host::HostState;
use crate::domain::ids::{HostId, LinodeId};
use crate::domain::job::JobKind;
use crate::domain::linode::LinodeStatus;
use crate::domain::migration::Event;
use crate::domain::ownership::{self as rule, Believed, Contradiction, Doubt, Word, handover};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::{Db, wake_on_commit};
use crate::store::host::Host;
use crate::store::job::NewJob;
use crate::store::linode::Linode;
use crate::store::migration::{Change, Migration};
use crate::store::ownership::hold::{Hold, HoldWord};
use crate::store::wake::Wake;

/// Held Linodes that are looked at in one round.
const ROUND: i64 = 200;

/// Holds a Linode and notes what the host says.
pub(in crate::app) fn hold(
    tx: &mut Tx<'_>,
    agent: &Agent,
    linode: LinodeId,
    (word, found): (&Word, Contradiction),
) -> Result<()> {
    let contrary = Contrary {
        proven: vec![(linode, *word, found)],
        ..Contrary::default()
    };
    let new = note(tx.conn, tx.now, agent, &contrary)?;
    tell(tx, &new)
}

/// Holds what a host contradicts, and notes what it says of what is held. Gives back what is held from now on, with why:
/// for [`tell`], once all rows are written, as whoever puts one right has the hold before the trail.
pub(in crate::app) fn note(
    conn: &mut Db,
    now: Time,
    agent: &Agent,
    contrary: &Contrary,
) -> Result<Vec<(LinodeId, String)>> {
    // In one order, so that two hosts that speak of the same Linodes do not wait for each other.
    let mut all: BTreeMap<LinodeId, (Word, Option<Contradiction>)> = BTreeMap::new();
    all.extend(contrary.words.iter().map(|(id, word)| (*id, (*word, None))));
    let proven = contrary.proven.iter();
    all.extend(proven.map(|(id, word, found)| (*id, (*word, Some(*found)))));
    let mut new = Vec::new();
    for (id, (word, found)) in all {
        if let Some(found) = found
            && let Some(row) = store::linode::linode(conn, id)?
        {
            let reason = reason(&agent.name, &row, found);
            if store::ownership::hold::hold(conn, id, now, &reason)? {
                new.push((id, reason));
            }
        }
        // It may have been put right meanwhile.
        if store::ownership::hold::locked(conn, id)?.is_some() {
            store::ownership::hold::put_word(conn, &HoldWord::new(id, &word, now))?;
        }
    }
    Ok(new)
}

/// The trail of what is newly held.
pub(in crate::app) fn tell(tx: &mut Tx<'_>, new: &[(LinodeId, String)]) -> Result<()> {
    for (linode, reason) in new {
        tracing::error!(%linode, reason, "held: a host contradicts the portal");
        tx.by(PORTAL)
            .audit(Action::LinodeHold, Object::Linode(*linode), ("", reason))?;
        for open in store::migration::of_linode(tx.conn, *linode)? {
            wake_on_commit(tx.conn, Wake::Migration(open.id))?;
        }
        wake_on_commit(tx.conn, Wake::Reconcile)?;
    }
    Ok(())
}

/// A held Linode with the hosts' words side by side.
#[derive(Clone)]
pub struct Held {
    pub hold: Hold,
    pub linode: Linode,
    pub words: Vec<(String, HoldWord)>,
    /// Whom to believe, or why that is not clear.
    pub believed: Result<Believed, Doubt>,
    /// Hosts that have not reported since it is held.
    pub unheard: Vec<Host>,
    /// Hosts that were taken over: what they said last counts no more.
    pub lost: Vec<HostId>,
}

impl Held {
    /// Why it is not clear whom to believe, with the hosts' names.
    pub fn doubt(&self) -> Option<String> {
        let name = |id: HostId| {
            let said = self.words.iter().find(|(_, word)| word.host_id == id);
            said.map_or_else(|| format!("host {id}"), |(name, _)| name.clone())
        };
        Some(match self.believed.err()? {
            doubt @ (Doubt::Nothing | Doubt::NoDisks) => doubt.to_string(),
            Doubt::Two(one, other) => format!(
                "{} and {} both hold themselves for its owner",
                name(one),
                name(other)
            ),
            Doubt::Strayed(host) => format!(
                "it runs on {}, which does not hold itself for its owner",
                name(host)
            ),
            Doubt::Unknown(host) => format!("{} cannot say whether it runs there", name(host)),
        })
    }

    /// Was its owner told of an epoch that it has neither accepted nor sealed? Then it may still act on that.
    fn may_yet_accept(&self) -> bool {
        let words: Vec<Word> = self.words.iter().map(|(_, word)| word.word()).collect();
        !self.lost.contains(&self.linode.host_id)
            && handover::may_yet_accept(self.linode.row(), &words)
    }

    /// The highest epoch that anyone speaks of, lost hosts too.
    fn highest(&self) -> i64 {
        let said = self
            .words
            .iter()
            .map(|(_, word)| word.granted.max(word.sealed));
        said.max().unwrap_or(0).max(self.linode.epoch)
    }
}

fn held(conn: &mut Db, id: LinodeId) -> Result<Held> {
    let hold = store::ownership::hold::of(conn, id)?.ok_or(AppError::NotFound)?;
    let linode = store::linode::linode(conn, id)?.ok_or(AppError::NotFound)?;
    let said = store::ownership::hold::words(conn, &[id])?;
    let all = store::host::all(conn)?;
    let incarnation = store::ownership::memory::get(conn)?.incarnation;
    let unheard = all
        .iter()
        .filter(|host| {
            should_report(host)
                && host.waived_in.as_deref() != Some(incarnation.as_str())
                // What a ledger says that is not trusted counts for nothing.
                && (host.last_seen_at.is_none_or(|at| at <= hold.since)
                    || !host.ledger_fault.is_empty())
        })
        .cloned()
        .collect();
    let name = |id: HostId| {
        let host = all.iter().find(|host| host.id == id);
        host.map(|host| host.name.clone()).unwrap_or_default()
    };
    let lost: Vec<HostId> = all
        .iter()
        .filter(|host| host.state == HostState::Quarantined)
        .map(|host| host.id)
        .collect();
    let words: Vec<Word> = said
        .iter()
        .filter(|word| !lost.contains(&word.host_id))
        .map(HoldWord::word)
        .collect();
    Ok(Held {
        believed: rule::believe(&words),
        words: said
            .iter()
            .map(|word| (name(word.host_id), *word))
            .collect(),
        unheard,
        lost,
        hold,
        linode,
    })
}

impl App {
    pub fn held(&self, actor: &Actor, linode: LinodeId) -> Result<Held> {
        actor.require(Right::Read)?;
        self.db.read(|conn| held(conn, linode))
    }

    /// Staff believe the hosts: the one that holds the Linode is its owner; if all have sealed it, the one with its newest
    /// disks is granted it anew. Only once every host has reported since the Linode is held.
    pub fn believe(&self, actor: &Actor, linode: LinodeId) -> Result<Believed> {
        actor.require(Right::Hosts)?;
        self.transact(actor.who(), |tx| {
            let open = store::migration::locked_of_linode(tx.conn, linode)?;
            // Of two who believe at once the second finds that nothing is held any more.
            store::ownership::hold::locked(tx.conn, linode)?.ok_or(AppError::NotFound)?;
            let held = held(tx.conn, linode)?;
            if let Some(host) = held.unheard.first() {
                return Err(AppError::conflict(format!(
                    "{} has not reported since the Linode is held, and may run it. Wait for it; if it is off, two staff can say so on its page.",
                    host.name
                )));
            }
            if held.may_yet_accept() {
                return Err(AppError::conflict(
                    "Its owner was told to start it and has not said so yet: it may still do that. Wait for its word; if the host is lost, two staff can take it over.",
                ));
            }
            let believed = held.believed.map_err(|_| {
                let doubt = held.doubt().unwrap_or_default();
                AppError::conflict(format!(
                    "The hosts do not say who owns it: {doubt}. Mend that on the hosts first."
                ))
            })?;
            settle(tx, (&held, believed), &open)?;
            Ok(believed)
        })
    }

    /// Puts right what is unambiguous: every host has reported since, and one holds the Linode, or all of it fits again.
    pub(in crate::app) fn settle_holds(&self) -> Result<usize> {
        let ids = self
            .db
            .read(|conn| store::ownership::hold::ids(conn, ROUND))?;
        let mut settled = 0;
        for id in ids {
            let done = self.transact(PORTAL, |tx| {
                let open = store::migration::locked_of_linode(tx.conn, id)?;
                if store::ownership::memory::get(tx.conn)?
                    .recovery_since
                    .is_some()
                    || store::ownership::hold::locked(tx.conn, id)?.is_none()
                {
                    return Ok(false);
                }
                let held = held(tx.conn, id)?;
                match held.believed {
                    Ok(believed)
                        if believed.holds && held.unheard.is_empty() && !held.may_yet_accept() =>
                    {
                        settle(tx, (&held, believed), &open)?;
                        Ok::<_, AppError>(true)
                    }
                    _ => Ok(false),
                }
            });
            match done {
                Ok(done) => settled += usize::from(done),
                Err(error) => tracing::error!(linode = %id, %error, "a hold could not be settled"),
            }
        }
        Ok(settled)
    }
}

fn settle(tx: &mut Tx<'_>, (held, believed): (&Held, Believed), open: &[Migration]) -> Result<()> {
    let linode = &held.linode;
    let mut newest = believed;
    if !believed.holds {
        newest.epoch = believed.epoch.max(held.highest());
    }
    let (row, is_grant) = handover::settle(linode.row(), newest);
    let (to, holds) = ((row.host, row.epoch), !is_grant);
    if to == (linode.host_id, linode.epoch) {
        change::fetch(tx.conn, to.0, &[(linode.id, to.1)])?;
    } else {
        if !change::hand_over(tx, linode.id, (linode.row(), row))? {
            return Err(AppError::conflict(
                "The Linode changed hands at the same moment. Load the page anew.",
            ));
        }
        tell_migrations(tx, open, Relocated { to, holds })?;
    }
    start_or_note(tx, held, Believed { holds, ..believed })?;
    store::ownership::hold::release(tx.conn, linode.id)?;
    let said = format!("host {}, epoch {}", to.0, to.1);
    tx.audit(
        Action::LinodeBelieve,
        Object::Linode(linode.id),
        (&held.hold.reason, &said),
    )?;
    wake_on_commit(tx.conn, Wake::Host(to.0))?;
    wake_on_commit(tx.conn, Wake::Host(linode.host_id))?;
    wake_on_commit(tx.conn, Wake::Reconcile)?;
    Ok(())
}

/// Its migrations hear where it is, the newest first.
fn tell_migrations(tx: &mut Tx<'_>, open: &[Migration], found: Relocated) -> Result<()> {
    for row in open {
        let (event, epoch) = found.event(row);
        let given = EventDetails::with(Change {
            epoch: Some(epoch),
            ..Change::default()
        });
        // Refused where it changes nothing for that migration.
        let _applied = tx.apply(row.id, event, &given)?;
    }
    Ok(())
}

/// A new grant is a job; a Linode that its owner holds is as that host says.
fn start_or_note(tx: &mut Tx<'_>, held: &Held, believed: Believed) -> Result<()> {
    let (conn, now, id) = (&mut *tx.conn, tx.now, held.linode.id);
    if believed.holds {
        let owner = held
            .words
            .iter()
            .find(|(_, word)| word.host_id == believed.host);
        let status = match owner.and_then(|(_, word)| word.running) {
            Some(true) => LinodeStatus::Running,
            Some(false) => LinodeStatus::Offline,
            None => return Ok(()),
        };
        store::linode::set_status(conn, id, status, now)?;
        return Ok(());
    }
    let linode = store::linode::linode(conn, id)?.ok_or(AppError::NotFound)?;
    if linode.status == LinodeStatus::Running {
        store::linode::set_status(conn, id, LinodeStatus::Booting, now)?;
    }
    store::job::enqueue(conn, &NewJob::own(&linode, JobKind::Start, now, None))?;
    Ok(())
}

/// Where hosts say the Linode is.
#[derive(Debug, Clone, Copy)]
struct Relocated {
    to: (HostId, i64),
    holds: bool,
}

impl Relocated {
    /// What that means for a migration, and the epoch its source has the Linode under, or had.
    fn event(self, row: &Migration) -> (Event, i64) {
        let (host, epoch) = self.to;
        if host == row.destination_host_id {
            let sealed = if self.holds { epoch - 1 } else { row.epoch };
            (Event::FoundAtDestination, sealed)
        } else if host == row.source_host_id {
            (Event::FoundAtSource, epoch)
        } else {
            (Event::FoundElsewhere, row.epoch)
        }
    }
}
