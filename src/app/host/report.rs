//! What agents report with every poll, and what is put right by the answer.

use std::collections::HashSet;

use crate::app::App;
use crate::app::context::{Agent, PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::app::host::reboot::{Boot, Reboot, Turn};
use crate::app::linode::power;
use crate::app::ownership::contradiction::{self, Contrary, Weight};
use crate::app::ownership::{change, hold, ledger, recovery};
use crate::domain::fairness::shares::{Claim, Rule};
use crate::domain::ids::{HostId, LinodeId};
use crate::domain::linode::LinodeStatus;
use crate::domain::ownership::Word;
use crate::domain::text::line;
use crate::domain::time::Time;
use crate::domain::values::is_kernel_id;
use crate::store;
use crate::store::catalogue::Plan;
use crate::store::db::{Db, wake_on_commit};
use crate::store::host::{Host, Memory, Seen};
use crate::store::job::Job;
use crate::store::linode::Linode;
use crate::store::wake::Wake;
use crate::wire::{Inventory, LinodeReport, Poll, PortalMark, Reported, SHOWS_LEDGER, Share};

/// Kernels of one host that are kept.
const MOST_KERNELS: usize = 100;
/// Linodes that a host has given up and has disks of: kept for the search for what was left behind.
const MOST_LEFT: usize = 2000;
/// For so long after the portal has set a status, a report may have been made before and be on its way still.
const ON_ITS_WAY_MS: i64 = 5_000;
/// More than any look at a host takes, and more than the clocks of two portals differ.
const LONGEST_LOOK_MS: i64 = 60_000;
/// Characters of a boot's name; Linux gives it 36.
const MOST_BOOT: usize = 64;

/// What one report says, beside the portal's rows, and what is to be written of it.
struct Findings {
    lost: Vec<Job>,
    statuses: Vec<Turn>,
    /// Their statuses may be newer than the report.
    newer: HashSet<LinodeId>,
    shares: Vec<(LinodeId, Share)>,
    ledger: ledger::Finding,
    contrary: Contrary,
    /// The portal's mark that the agent saw, if this portal cannot have shown it.
    ahead: Option<PortalMark>,
    /// It has not reported in this incarnation yet.
    incarnation: Option<String>,
    /// The disks here of Linodes that the host does not own, as JSON, if they changed.
    sealed_here: Option<String>,
    /// As JSON, if that changed.
    contrary_now: Option<String>,
    reboot: Reboot,
    seen_is_old: bool,
}

impl Findings {
    fn is_nothing(&self) -> bool {
        self.lost.is_empty()
            && self.statuses.is_empty()
            && !self.seen_is_old
            && self.ledger == ledger::Finding::AsKnown
            && self.contrary.proven.is_empty()
            && self.contrary.told.is_empty()
            && self.contrary.words.is_empty()
            && self.ahead.is_none()
            && self.incarnation.is_none()
            && self.sealed_here.is_none()
            && self.contrary_now.is_none()
            && self.reboot.is_nothing()
    }
}

impl App {
    /// Takes in what a poll reports: what the host has, and which jobs its agent holds. One transaction, and none at all
    /// if nothing is new. Answers with the shares that the host is to set.
    pub fn note_poll(&self, agent: &Agent, poll: &Poll) -> Result<Vec<(LinodeId, Share)>> {
        let heard = Heard {
            agent,
            inventory: &poll.inventory,
            poll: Some(poll),
        };
        Ok(self.note(&heard)?.shares)
    }

    /// As [`App::note_poll`], for a report that comes while a poll is open. It says nothing of jobs: one may be on its way
    /// in that poll's answer, and is not lost.
    pub fn note_report(&self, agent: &Agent, inventory: &Inventory) -> Result<Reported> {
        self.note(&Heard {
            agent,
            inventory,
            poll: None,
        })
    }

    fn note(&self, heard: &Heard<'_>) -> Result<Reported> {
        let now = self.now();
        let found = self.db.read(|conn| heard.find(conn, now))?;
        if !found.is_nothing() {
            self.lose_each(&found.lost, now, "The agent did not get it, or lost it.");
            self.transact_at(now, PORTAL, |tx| heard.write(tx, &found))?;
        }
        Ok(Reported {
            again: !found.newer.is_empty(),
            shares: found.shares,
        })
    }
}

/// What an agent says, with a poll or while one is open.
struct Heard<'a> {
    agent: &'a Agent,
    inventory: &'a Inventory,
    poll: Option<&'a Poll>,
}

impl Heard<'_> {
    /// Hosts before holds before Linodes, and the trail last, as everyone takes them.
    fn write(&self, tx: &mut Tx<'_>, found: &Findings) -> Result<()> {
        let agent = self.agent;
        store::host::lock(tx.conn, agent.host)?;
        // Another agent of this credential may have been quicker, or another poll of this one.
        let host = store::host::host(tx.conn, agent.host)?.ok_or(AppError::NotFound)?;
        let ledger = self.judge(&host, tx.now)?;
        let is_believed = is_believed(&host, &ledger);
        let (mut new, mut interrupted) = (Vec::new(), Vec::new());
        if is_believed {
            new = hold::note(tx.conn, tx.now, agent, &found.contrary)?;
            for turn in &found.statuses {
                if self.turns(tx, turn)? && found.reboot.interrupted.contains(&turn.linode) {
                    interrupted.push(turn.linode);
                }
            }
            change::fetch(tx.conn, agent.host, &found.contrary.told)?;
        }
        seen(tx.conn, tx.now, agent.host, self.inventory)?;
        if is_believed {
            let unseen = found.reboot.unseen.as_deref().map(json);
            let memory = Memory {
                // A new incarnation may begin below; then this report counts for the old one, which is as well.
                reported_in: found.incarnation.as_deref(),
                contrary: found.contrary_now.as_deref(),
                sealed_here: found.sealed_here.as_deref(),
                boot: found.reboot.boot.as_deref(),
                unseen: unseen.as_deref(),
            };
            store::host::set_memory(tx.conn, agent.host, &memory)?;
            for linode in interrupted {
                power::boot_again(tx, agent.host, linode)?;
            }
        }
        if found.incarnation.is_some() || !found.contrary.words.is_empty() {
            wake_on_commit(tx.conn, Wake::Reconcile)?;
        }
        ledger::write(tx, agent, &ledger)?;
        hold::tell(tx, &new)?;
        if let Some(seen) = &found.ahead {
            let why = format!("{} has seen more of this portal than it knows.", agent.name);
            recovery::begin(tx, Some(seen), &why)?;
        }
        Ok(())
    }

    /// What its ledger is to the portal. One that a later poll has overtaken asks again.
    fn judge(&self, host: &Host, now: Time) -> Result<ledger::Finding> {
        let found = self.poll.map_or(ledger::Finding::AsKnown, |poll| {
            ledger::judge(host, poll, now)
        });
        if found == ledger::Finding::Overtaken {
            let why = "A later poll of this agent was heard already.";
            return Err(AppError::Later(why.to_owned()));
        }
        Ok(found)
    }

    /// Looks at a report without changing anything.
    fn find(&self, conn: &mut Db, now: Time) -> Result<Findings> {
        let (poll, id) = (self.poll, self.agent.host);
        let host = store::host::host(conn, id)?.ok_or(AppError::NotFound)?;
        let ledger = self.judge(&host, now)?;
        // What a ledger says that is not the host's own is not believed.
        let believed = is_believed(&host, &ledger);
        let lost = match poll {
            Some(poll) => store::job::lost(conn, id, &poll.held)?,
            None => Vec::new(),
        };
        let portal = store::ownership::memory::get(conn)?;
        let ahead = match poll.and_then(|poll| poll.seen.as_ref()) {
            Some(seen) if recovery::went_back(conn, &portal, seen)? => Some(seen.clone()),
            _ => None,
        };
        let recovers = portal.recovery_since.is_some();
        let mut findings = Findings {
            lost,
            statuses: Vec::new(),
            newer: HashSet::new(),
            shares: Vec::new(),
            ledger,
            contrary: Contrary::default(),
            // A report that was made before the agent knew of this life may be older than what a grant of then led to.
            incarnation: (poll.is_some_and(|poll| knows_life(poll, &portal.incarnation))
                && believed
                && ahead.is_none()
                && host.reported_in.as_deref() != Some(portal.incarnation.as_str()))
            .then_some(portal.incarnation),
            ahead,
            sealed_here: None,
            contrary_now: None,
            reboot: Reboot::default(),
            seen_is_old: host
                .last_seen_at
                .is_none_or(|seen| now.seconds_since(seen) >= 5),
        };
        if believed && (poll.is_some() || !self.inventory.linodes.is_empty()) {
            self.compare(conn, (&host, recovers), now, &mut findings)?;
        }
        Ok(findings)
    }

    /// May what it says have been seen before the portal set this status?
    fn may_be_older(&self, linode: &Linode, now: Time) -> bool {
        let on_its_way = i64::from(self.inventory.took_ms).min(LONGEST_LOOK_MS) + ON_ITS_WAY_MS;
        (-LONGEST_LOOK_MS..on_its_way).contains(&now.millis_since(linode.status_at))
    }

    /// Sets the status that was found, unless something was done with the Linode meanwhile: it is this host's as it was then,
    /// and as it was.
    fn turns(&self, tx: &mut Tx<'_>, turn: &Turn) -> Result<bool> {
        store::linode::lock(tx.conn, turn.linode)?;
        let row = store::linode::linode(tx.conn, turn.linode)?;
        let stands = row.is_some_and(|row| {
            (row.host_id, row.epoch, row.status) == (self.agent.host, turn.epoch, turn.was)
                && !self.may_be_older(&row, tx.now)
        });
        if stands {
            store::linode::set_status(tx.conn, turn.linode, turn.is, tx.now)?;
        }
        Ok(stands)
    }

    /// Which statuses are others than the portal's, and which of those may have been set since.
    fn sort_statuses(&self, linodes: &[Linode], now: Time, findings: &mut Findings) {
        for (linode, is) in changed_statuses(linodes, &self.inventory.linodes) {
            if self.may_be_older(linode, now) {
                findings.newer.insert(linode.id);
            } else {
                findings.statuses.push(Turn {
                    linode: linode.id,
                    epoch: linode.epoch,
                    was: linode.status,
                    is,
                });
            }
        }
    }

    /// Beside the rows of the Linodes that the portal has here.
    fn compare(
        &self,
        conn: &mut Db,
        (host, recovers): (&Host, bool),
        now: Time,
        findings: &mut Findings,
    ) -> Result<()> {
        let (poll, reports) = (self.poll, &self.inventory.linodes);
        let linodes = store::linode::linodes_on(conn, host.id)?;
        if reports.iter().any(|report| report.share.is_some()) {
            let (rule, own) = (
                store::fairness::weights::rule(conn)?,
                store::fairness::weights::own_on(conn, host.id)?,
            );
            let due = |linode: &Linode, plan: &Plan| {
                share_due(rule, claim(plan, own.get(&linode.id).copied()))
            };
            let plans = store::catalogue::plans(conn)?;
            findings.shares = wrong_shares(&linodes, &plans, reports, due);
        }
        self.sort_statuses(&linodes, now, findings);
        let may_forget = findings.ahead.is_some() || findings.incarnation.is_some();
        if poll.is_some() {
            let seen = reports.iter().map(|report| report.linode);
            let boot = Boot {
                host,
                id: line(&self.inventory.boot, MOST_BOOT),
                seen: seen.filter(|id| !findings.newer.contains(id)).collect(),
                ended: &findings.statuses,
            };
            findings.reboot = boot.look(&linodes, may_forget);
        }
        let mut words = words_of(host.id, self.inventory);
        let speaks = poll.is_some_and(|poll| poll.protocol >= SHOWS_LEDGER);
        if speaks {
            add_forgotten(&mut words, host.id, &linodes);
        }
        let before: Vec<LinodeId> = serde_json::from_str(&host.contrary).unwrap_or_default();
        let weight = match poll {
            None => Weight::One,
            Some(_) if speaks && recovers && findings.incarnation.is_some() => Weight::OfThisLife,
            Some(_) => Weight::After(&before),
        };
        let contrary = contradiction::compare(conn, (&words, weight), host.id, &linodes)?;
        if poll.is_some() {
            let now_contrary = json(&contrary.once);
            findings.contrary_now = (now_contrary != host.contrary).then_some(now_contrary);
            let sealed_here = json(&left_here(&words));
            findings.sealed_here = (sealed_here != host.sealed_here).then_some(sealed_here);
        }
        findings.contrary = contrary;
        Ok(())
    }
}

/// Nothing is being done to it.
fn is_settled(status: LinodeStatus) -> bool {
    matches!(status, LinodeStatus::Running | LinodeStatus::Offline)
}

fn is_believed(host: &Host, ledger: &ledger::Finding) -> bool {
    host.ledger_fault.is_empty() && !matches!(ledger, ledger::Finding::Fault(_))
}

/// Agents of the last release cannot say.
fn knows_life(poll: &Poll, incarnation: &str) -> bool {
    poll.protocol < SHOWS_LEDGER
        || poll
            .seen
            .as_ref()
            .is_some_and(|seen| seen.incarnation == incarnation)
}

fn json<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).unwrap_or_else(|_| "[]".to_owned())
}

/// What the host says of each Linode in its ledger.
fn words_of(host: HostId, inventory: &Inventory) -> Vec<(LinodeId, Word)> {
    let looked_at = inventory.linodes.iter().map(|report| {
        let word = Word {
            host,
            granted: report.granted,
            sealed: report.sealed,
            generation: report.generation,
            running: Some(report.running),
        };
        (report.linode, word)
    });
    let unsure = inventory.unsure.iter().map(|marked| {
        let word = Word {
            host,
            granted: marked.granted,
            sealed: marked.sealed,
            generation: marked.generation,
            running: None,
        };
        (marked.linode, word)
    });
    looked_at.chain(unsure).collect()
}

/// An agent of this release names every Linode of its ledger: one that it leaves out it knows nothing of.
fn add_forgotten(words: &mut Vec<(LinodeId, Word)>, host: HostId, here: &[Linode]) {
    let named: HashSet<LinodeId> = words.iter().map(|(id, _)| *id).collect();
    let left_out = here.iter().filter(|linode| !named.contains(&linode.id));
    words.extend(left_out.map(|linode| {
        let nothing = Word {
            host,
            granted: 0,
            sealed: 0,
            generation: None,
            running: None,
        };
        (linode.id, nothing)
    }));
}

/// Disks of Linodes that the host gave up: their epoch's name, and what it has sealed. At most so many as a row keeps.
fn left_here(words: &[(LinodeId, Word)]) -> Vec<(LinodeId, i64, i64)> {
    words
        .iter()
        .filter(|(_, word)| !word.claims())
        .filter_map(|(id, word)| Some((*id, word.generation?, word.sealed)))
        .take(MOST_LEFT)
        .collect()
}

fn seen(conn: &mut Db, now: Time, host: HostId, inventory: &Inventory) -> Result<()> {
    let unknown: Vec<String> = inventory
        .unknown
        .iter()
        .take(100)
        .map(|name| line(name, 200))
        .collect();
    let kernels: Vec<_> = inventory
        .kernels
        .iter()
        .take(MOST_KERNELS)
        .filter(|kernel| is_kernel_id(&kernel.id) && kernel.label == line(&kernel.label, 200))
        .collect();
    store::host::set_seen(
        conn,
        host,
        &Seen {
            agent_version: &line(&inventory.agent_version, 100),
            disk_free_mb: (inventory.disk_total_mb > 0).then_some(inventory.disk_free_mb),
            tells_changes: inventory.tells_changes,
            unknown_disks: &json(&unknown),
            kernels: &json(&kernels),
            now,
        },
    )?;
    Ok(())
}

/// Linodes of the host whose status the report contradicts. Only the owner's word under the present epoch counts, and
/// not while something is being done to the Linode.
fn changed_statuses<'a>(
    linodes: &'a [Linode],
    reports: &[LinodeReport],
) -> Vec<(&'a Linode, LinodeStatus)> {
    let mut changed = Vec::new();
    for linode in linodes {
        let Some(report) = reports.iter().find(|report| report.linode == linode.id) else {
            continue;
        };
        if !is_settled(linode.status)
            || report.granted != linode.epoch
            || report.granted <= report.sealed
        {
            continue;
        }
        let status = if report.running {
            LinodeStatus::Running
        } else {
            LinodeStatus::Offline
        };
        if status != linode.status {
            changed.push((linode, status));
        }
    }
    changed
}

/// The shares which a host gives otherwise than the plan says: someone changed the plan, or the host.
fn wrong_shares(
    linodes: &[Linode],
    plans: &[Plan],
    reports: &[LinodeReport],
    share_due: impl Fn(&Linode, &Plan) -> Share,
) -> Vec<(LinodeId, Share)> {
    let due = |linode: &Linode| {
        let plan = plans.iter().find(|plan| plan.id == linode.plan_id)?;
        Some(share_due(linode, plan))
    };
    linodes
        .iter()
        .filter_map(|linode| {
            let report = reports.iter().find(|report| report.linode == linode.id)?;
            let due = due(linode)?;
            (report.share? != due).then_some((linode.id, due))
        })
        .collect()
}

/// A Linode's claim by its plan, and by staff's hand.
pub fn claim(plan: &Plan, own_weight: Option<i64>) -> Claim {
    Claim {
        ram_mb: plan.ram_mb,
        plan_weight: plan.cpu_weight,
        own_weight,
    }
}

/// What a Linode is due of its host.
pub fn share_due(rule: Rule, claim: Claim) -> Share {
    let due = rule.due(claim);
    Share {
        cpu_weight: due.weight,
        io_priority: due.io_priority,
    }
}
