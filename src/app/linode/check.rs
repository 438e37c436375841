//! A Linode's checks: what its member wants to answer after a move, and asking it now.

use crate::app::App;
use crate::app::context::{Actor, Tx};
use crate::app::error::{AppError, Result};
use crate::app::linode::shared::own_linode;
use crate::app::ownership::change;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{JobId, LinodeId};
use crate::domain::job::JobKind;
use crate::domain::linode::LinodeStatus;
use crate::domain::linode::check::{Check, CheckPlan, MOST_CHECKS};
use crate::domain::text::line;
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::job::{Job, NewJob};
use crate::store::linode::check::CheckRow;
use crate::wire::{ASKS_CHECKS, CheckAnswer};

/// Of what a host says of one check.
const SAID_MOST: usize = 200;

/// Those whose address is the Linode's still.
pub(in crate::app) fn askable(conn: &mut Db, linode: LinodeId) -> Result<Vec<Check>, StoreError> {
    let own = store::linode::address::ips_of(conn, linode)?;
    let mut checks = all(conn, linode)?;
    checks.retain(|check| own.iter().any(|ip| ip.address == check.address));
    Ok(checks)
}

/// The answer to this check, if there is one, as it is kept.
pub(in crate::app) fn answer_to(
    answers: &[CheckAnswer],
    check: &Check,
) -> Option<(Option<bool>, String)> {
    let found = answers.iter().find(|it| it.check == *check);
    found.map(|it| (it.ok, line(&it.said, SAID_MOST)))
}

/// What the Linode's host says that they answer now.
pub(in crate::app) fn note(
    tx: &mut Tx<'_>,
    linode: LinodeId,
    answers: &[CheckAnswer],
) -> Result<()> {
    // Its member may change them at this moment.
    store::linode::lock(tx.conn, linode)?;
    for row in store::linode::check::of(tx.conn, linode)? {
        if let Some((ok, said)) = answer_to(answers, &row.check()) {
            let of = (linode, row.position);
            store::linode::check::answered(tx.conn, of, (ok, &said), tx.now)?;
        }
    }
    Ok(())
}

/// Asked by its member, and not by a move.
pub(in crate::app) fn answered(tx: &mut Tx<'_>, job: &Job, answers: &[CheckAnswer]) -> Result<()> {
    if change::is_current(tx.conn, job.linode_id, job)? {
        note(tx, job.linode_id, answers)?;
    }
    Ok(())
}

impl App {
    /// One that is there already is there once.
    pub fn add_check(&self, actor: &Actor, id: LinodeId, check: &Check) -> Result<()> {
        self.change_checks(actor, id, |tx, linode| {
            let own = store::linode::address::ips_of(tx.conn, linode)?;
            if !own.iter().any(|ip| ip.address == check.address) {
                let why = "Choose one of the Linode's own addresses";
                return Err(AppError::invalid("address", why));
            }
            let mut checks = all(tx.conn, linode)?;
            if checks.contains(check) {
                return Ok(());
            }
            if checks.len() >= MOST_CHECKS {
                let why = format!("A Linode has {MOST_CHECKS} checks at most: remove one first");
                return Err(AppError::invalid("port", why));
            }
            checks.push(check.clone());
            Ok(store::linode::check::replace(tx.conn, linode, &checks)?)
        })
    }

    /// Removed already, it is removed.
    pub fn remove_check(&self, actor: &Actor, id: LinodeId, check: &Check) -> Result<()> {
        self.change_checks(actor, id, |tx, linode| {
            let mut checks = all(tx.conn, linode)?;
            checks.retain(|it| it != check);
            Ok(store::linode::check::replace(tx.conn, linode, &checks)?)
        })
    }

    pub fn set_check_plan(&self, actor: &Actor, id: LinodeId, plan: CheckPlan) -> Result<()> {
        if !CheckPlan::LIMITS_S.contains(&plan.limit_s) {
            return Err(AppError::invalid(
                "limit",
                "Choose how long each has to pass",
            ));
        }
        self.change_checks(actor, id, |tx, linode| {
            Ok(store::linode::check::set_plan(tx.conn, linode, plan)?)
        })
    }

    fn change_checks(
        &self,
        actor: &Actor,
        id: LinodeId,
        change: impl FnOnce(&mut Tx<'_>, LinodeId) -> Result<()>,
    ) -> Result<()> {
        let account = actor.require_account()?;
        self.transact(actor.who(), |tx| {
            store::linode::lock(tx.conn, id)?;
            let linode = own_linode(tx.conn, account, id)?.id;
            let before = words(tx.conn, linode)?;
            change(tx, linode)?;
            let after = words(tx.conn, linode)?;
            if before == after {
                return Ok(());
            }
            tx.audit(Action::Checks, Object::Linode(linode), (&before, &after))
        })
    }

    /// Asks the Linode's host what its checks answer now. Asked for twice while it is under way, it is one job.
    pub fn ask_checks(&self, actor: &Actor, id: LinodeId) -> Result<JobId> {
        let account = actor.require_account()?;
        self.transact(actor.who(), |tx| {
            store::linode::lock(tx.conn, id)?;
            let linode = own_linode(tx.conn, account, id)?;
            if linode.status != LinodeStatus::Running {
                let why = "The Linode does not run: boot it, and ask again.";
                return Err(AppError::conflict(why));
            }
            if askable(tx.conn, linode.id)?.is_empty() {
                let why = if all(tx.conn, linode.id)?.is_empty() {
                    "It has no checks to ask."
                } else {
                    "No check has an address of this Linode any more: remove them, and add others."
                };
                return Err(AppError::conflict(why));
            }
            if !store::host::speaks(tx.conn, linode.host_id, ASKS_CHECKS)? {
                let why = "The agent of its host is of an older release, and asks no checks. Ask staff to upgrade it.";
                return Err(AppError::conflict(why));
            }
            let open = store::job::open_of_linode(tx.conn, linode.id, &[JobKind::Check])?;
            if let Some(open) = open {
                return Ok(open.id);
            }
            let new = NewJob::own(&linode, JobKind::Check, tx.now, Some(actor.user));
            Ok(store::job::enqueue(tx.conn, &new)?)
        })
    }
}

fn all(conn: &mut Db, linode: LinodeId) -> Result<Vec<Check>, StoreError> {
    let rows = store::linode::check::of(conn, linode)?;
    Ok(rows.iter().map(CheckRow::check).collect())
}

/// All of them on a line, for the trail.
fn words(conn: &mut Db, linode: LinodeId) -> Result<String> {
    let plan = store::linode::check::plan(conn, linode)?;
    let each: Vec<String> = all(conn, linode)?.iter().map(Check::words).collect();
    let then = if plan.goes_home { "goes home" } else { "tells" };
    Ok(format!(
        "{}; {then} after {} s",
        each.join(", "),
        plan.limit_s
    ))
}
