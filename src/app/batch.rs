//! Batches: staff decide many of a kind by one form. Each is a transaction of its own with its outcome in it, so that a
//! portal that dies leaves nothing half done and any other goes on; an account's members get one mail.

use std::time::{Duration, Instant};

use super::App;
use super::context::{Actor, Tx};
use super::error::AppError;
use super::mail::kinds::{LinodeMail, UserMail};
use super::{evacuation, graduation, idempotency, job, migration, registration};
use crate::domain::audit::{Action, Object};
use crate::domain::batch::{BatchKind, BatchState, ItemOutcome};
use crate::domain::ids::{AccountId, BatchId, HostId, JobId, LinodeId, RegistrationId};
use crate::domain::migration::MigrationKind;
use crate::domain::time::Time;
use crate::store;
use crate::store::batch::{Batch, Item, NewBatch, NewItem, Progress};

/// Items that one may have.
pub const MOST: usize = 5000;
/// So many are done while their form is answered; of more a page says how far they are.
pub const FEW: usize = 50;
/// How long their answer waits for them.
const UNTIL_DONE: Duration = Duration::from_secs(5);
/// After a stop, what another portal had in hand is settled by then, and its members are told of it, too.
const SETTLED_S: i64 = 60;

/// What staff ask for.
#[derive(Debug, Clone)]
pub struct NewOrder {
    pub kind: BatchKind,
    pub of: Vec<NewItem>,
    pub reason: String,
    /// Of an evacuation: the host, and the time that staff chose.
    pub off: Option<(HostId, Option<Time>)>,
    /// The form's own mark.
    pub once: String,
}

impl App {
    /// Begins one; a form that was sent before gives what it made then.
    pub fn begin_batch(&self, actor: &Actor, order: &NewOrder) -> Result<BatchId, AppError> {
        actor.require(order.kind.right())?;
        idempotency::check_once(&order.once)?;
        let reason = match order.kind {
            BatchKind::Decline => registration::reason(&order.reason, "the member")?,
            // Checked, with the host and the time, by `App::evacuate`.
            BatchKind::Evacuate => order.reason.as_str(),
            BatchKind::Approve | BatchKind::Configure | BatchKind::Graduate | BatchKind::Retry => {
                ""
            }
        };
        if order.of.is_empty() || order.of.len() > MOST {
            let message = format!("Choose at least one, and at most {MOST} at once");
            return Err(AppError::invalid("", message));
        }
        self.transact(actor.who(), |tx| {
            tx.still(actor)?;
            if let Some(made) = store::batch::made(tx.conn, actor.user, &order.once)? {
                return Ok(made);
            }
            let new = NewBatch {
                kind: order.kind,
                state: BatchState::Running,
                made_by: actor.user,
                made_at: tx.now,
                address: &actor.address,
                reason,
                once: &order.once,
                source_host_id: order.off.map(|(host, _)| host),
                not_before: order.off.and_then(|(_, at)| at),
            };
            let id = store::batch::insert(tx.conn, &new, &order.of)?;
            let words = format!("{}: {} in all", order.kind, order.of.len());
            tx.audit(Action::Batch, Object::Batch(id), ("", words))?;
            Ok(id)
        })
    }

    /// As [`App::begin_batch`], and works on it: of a few until they are done, of more for so long; says how far that came.
    pub fn carry_out_batch(
        &self,
        actor: &Actor,
        order: &NewOrder,
        until_shown: Duration,
    ) -> Result<Progress, AppError> {
        let id = self.begin_batch(actor, order)?;
        let is_few = order.of.len() <= FEW;
        self.work_on(id, if is_few { UNTIL_DONE } else { until_shown })?;
        let progress = self.db.read(|conn| store::batch::progress(conn, id))?;
        progress.ok_or(AppError::NotFound)
    }

    /// What is not done by now is not done.
    pub fn stop_batch(&self, actor: &Actor, id: BatchId) -> Result<(), AppError> {
        self.transact(actor.who(), |tx| {
            let batch = store::batch::batch(tx.conn, id)?.ok_or(AppError::NotFound)?;
            actor.require(batch.kind.right())?;
            if store::batch::end(tx.conn, id, BatchState::Stopped, tx.now)? {
                let states = (BatchState::Running, BatchState::Stopped);
                tx.audit(Action::Batch, Object::Batch(id), states)?;
            }
            Ok(())
        })
    }

    /// Works some of each that goes on, for so long in all; says whether anything was there.
    pub fn work_batches(&self, most: Duration) -> Result<bool, AppError> {
        let stopped_by = self.now().plus_s(-SETTLED_S);
        let some = self
            .db
            .read(|conn| store::batch::unfinished(conn, stopped_by))?;
        let each = most / u32::try_from(some.len().max(1)).unwrap_or(1);
        for batch in &some {
            self.work_batch(batch, Instant::now() + each)?;
        }
        Ok(!some.is_empty())
    }

    /// Works one off, for so long: what is small is done before its page is shown.
    pub fn work_on(&self, id: BatchId, most: Duration) -> Result<(), AppError> {
        let until = Instant::now() + most;
        while let Some(batch) = self.db.read(|conn| store::batch::batch(conn, id))?
            && batch.state == BatchState::Running
            && Instant::now() < until
        {
            self.work_batch(&batch, until)?;
        }
        Ok(())
    }

    /// Some of one batch, and its end.
    fn work_batch(&self, of: &Batch, until: Instant) -> Result<(), AppError> {
        if of.state == BatchState::Stopped {
            return self.tell_batch(of);
        }
        let Some(actor) = self.who_may(of)? else {
            return self.end_batch(of, BatchState::Stopped);
        };
        let open = self.db.read(|conn| store::batch::open(conn, of.id))?;
        for item in &open {
            self.work_item(of, &actor, item)?;
            if Instant::now() >= until {
                break;
            }
        }
        self.tell_batch(of)?;
        if open.is_empty() {
            self.end_batch(of, BatchState::Ended)?;
        }
        Ok(())
    }

    /// Who made it, if they may still decide: looked at again and again, as it goes on without them.
    fn who_may(&self, of: &Batch) -> Result<Option<Actor>, AppError> {
        let user = self
            .db
            .read(|conn| store::account::user(conn, of.made_by))?;
        let able = user.filter(|user| !user.disabled && user.may(of.kind.right()));
        Ok(able.map(|user| Actor::of(&user, &of.address, None)))
    }

    fn work_item(&self, of: &Batch, actor: &Actor, it: &Item) -> Result<(), AppError> {
        let item = (of.id, it.id);
        let done = self.transact(actor.who(), |tx| {
            if !store::batch::settle(tx.conn, item, ItemOutcome::Done, "")? {
                return Ok(());
            }
            match decide(&mut tx.quietly(), of, actor, it)? {
                Ok(ItemOutcome::Done) => Ok(()),
                Ok(outcome) => Ok(store::batch::set_outcome(tx.conn, item, outcome)?),
                // What was written before it was refused goes with the transaction.
                Err(why) => Err(AppError::Conflict(why)),
            }
        });
        let why = match done {
            Ok(()) => return Ok(()),
            Err(away @ AppError::Away(_)) => return Err(away),
            Err(AppError::Conflict(why) | AppError::Later(why)) => why,
            Err(AppError::Invalid { message, .. }) => message,
            Err(AppError::NotFound) => {
                "There is no such thing, or no such host, any more.".to_owned()
            }
            // One that is broken does not hold up those behind it.
            Err(error) => {
                tracing::error!(item = it.id, batch = %of.id, %error, "it could not be decided");
                "It could not be done: the portal's log has the cause.".to_owned()
            }
        };
        self.transact(actor.who(), |tx| {
            store::batch::settle(tx.conn, item, ItemOutcome::Refused, &why)?;
            Ok(())
        })
    }

    fn end_batch(&self, of: &Batch, state: BatchState) -> Result<(), AppError> {
        self.transact(super::context::PORTAL, |tx| {
            if store::batch::end(tx.conn, of.id, state, tx.now)? {
                let states = (BatchState::Running, state);
                tx.audit(Action::Batch, Object::Batch(of.id), states)?;
            }
            Ok::<_, AppError>(())
        })?;
        Ok(())
    }

    /// Tells the members of accounts that it is done with: each is one transaction, so that each is told once.
    fn tell_batch(&self, of: &Batch) -> Result<(), AppError> {
        loop {
            let some = self.db.read(|conn| store::batch::untold(conn, of))?;
            for account in &some {
                self.transact(super::context::PORTAL, |tx| tell(tx, of, *account))?;
            }
            if some.is_empty() {
                return Ok(());
            }
        }
    }
}

/// What came of it, or why it is refused.
fn decide(
    tx: &mut Tx<'_>,
    of: &Batch,
    actor: &Actor,
    it: &Item,
) -> Result<Result<ItemOutcome, String>, AppError> {
    let id = RegistrationId(it.id);
    match of.kind {
        BatchKind::Approve => registration::approve_one(tx, id),
        BatchKind::Decline => registration::decline_one(tx, id, &of.reason),
        BatchKind::Configure => {
            if registration::waits(tx.conn, id)?
                && let Err(why) = registration::approve_one(tx, id)?
            {
                return Ok(Err(why));
            }
            migration::offer::offer_one(tx, actor, id, it.to)?;
            new_or_not(tx, it.linode_id).map(Ok)
        }
        BatchKind::Graduate => match graduation::offer_one(tx, actor, it)? {
            Ok(()) => new_or_not(tx, it.linode_id).map(Ok),
            Err(why) => Ok(Err(why)),
        },
        BatchKind::Evacuate => match evacuation::evacuate_one(tx, actor, (of, it))? {
            Ok(()) => new_or_not(tx, it.linode_id).map(Ok),
            Err(why) => Ok(Err(why)),
        },
        BatchKind::Retry => {
            job::retry::retry_one(tx, JobId(it.id))?;
            Ok(Ok(ItemOutcome::Done))
        }
    }
}

/// Was one of a Linode's moves made just now?
fn new_or_not(tx: &mut Tx<'_>, linode: LinodeId) -> Result<ItemOutcome, AppError> {
    let moves = store::migration::of_linode(tx.conn, linode)?;
    let is_new = moves.iter().any(|row| row.offered_at == tx.now);
    Ok(if is_new {
        ItemOutcome::Done
    } else {
        ItemOutcome::Before
    })
}

/// One Linode's mail says more than a list of one; but what staff empty is told as one list.
fn tell(tx: &mut Tx<'_>, of: &Batch, account: AccountId) -> Result<(), AppError> {
    if !store::batch::tell(tx.conn, of.id, account, tx.now)? {
        return Ok(());
    }
    let done = store::batch::done_of(tx.conn, of.id, account)?;
    let line = |(item, label): (Item, String)| Told {
        linode: item.linode_id,
        line: if item.closes {
            format!("{label} (its last move is confirmed with this, and its way back closed)")
        } else {
            label
        },
    };
    let lines: Vec<Told> = done.into_iter().map(line).collect();
    let act = Act {
        kind: of.kind,
        reason: &of.reason,
        at: of.not_before,
    };
    tell_account(tx, account, act, &lines)
}

/// What members of an account are told of one of its Linodes.
pub(super) struct Told {
    pub linode: LinodeId,
    pub line: String,
}

/// What was done with each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act<'a> {
    pub kind: BatchKind,
    pub reason: &'a str,
    pub at: Option<Time>,
}

/// One mail for all of an account, to each of its members.
pub(super) fn tell_account(
    tx: &mut Tx<'_>,
    account: AccountId,
    act: Act<'_>,
    done: &[Told],
) -> Result<(), AppError> {
    if let [only] = done
        && act.kind != BatchKind::Evacuate
    {
        return tell_of_one(tx, act, only.linode);
    }
    if done.is_empty() {
        return Ok(());
    }
    let lines: Vec<&str> = done.iter().map(|it| it.line.as_str()).collect();
    let lines = lines.join("\n");
    for user in store::account::users_of_account(tx.conn, account)? {
        let mail = UserMail::Batch {
            kind: act.kind,
            count: done.len(),
            linodes: &lines,
            reason: act.reason,
            at: act.at,
        };
        tx.mail(&user, mail)?;
    }
    Ok(())
}

fn tell_of_one(tx: &mut Tx<'_>, act: Act<'_>, linode: LinodeId) -> Result<(), AppError> {
    let Some(linode) = store::linode::linode(tx.conn, linode)? else {
        return Ok(());
    };
    match act.kind {
        BatchKind::Approve => tx.mail_about(&linode, LinodeMail::Approved),
        BatchKind::Decline => tx.mail_about(&linode, LinodeMail::Declined { reason: act.reason }),
        BatchKind::Evacuate | BatchKind::Retry => Ok(()),
        BatchKind::Configure | BatchKind::Graduate => {
            let newest = store::migration::of_linode(tx.conn, linode.id)?;
            match newest.first() {
                Some(row) if row.kind == MigrationKind::Graduation => {
                    tx.mail_about(&linode, LinodeMail::GraduationReady(row))
                }
                Some(row) => tx.mail_about(&linode, LinodeMail::OfferReady(row)),
                None => Ok(()),
            }
        }
    }
}
