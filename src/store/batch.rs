//! Batches: many of a kind that staff decide at once, what came of each, and whose members were told.

use std::collections::HashMap;

use diesel::prelude::*;

use super::db::{Db, columns};
use super::error::Result;
use super::schema::{batch_accounts, batch_items, batches, jobs, linodes, registrations, users};
use crate::domain::batch::{BatchKind, BatchState, ItemOutcome, Of};
use crate::domain::ids::{AccountId, BatchId, HostId, JobId, LinodeId, RegistrationId, UserId};
use crate::domain::time::Time;
use crate::store::limit::Limit;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = batches)]
pub struct Batch {
    pub id: BatchId,
    pub kind: BatchKind,
    pub state: BatchState,
    pub made_by: UserId,
    pub made_at: Time,
    /// Where it was made from.
    pub address: String,
    /// For the members.
    pub reason: String,
    pub ended_at: Option<Time>,
    /// The host that is emptied, of an evacuation.
    pub source_host_id: Option<HostId>,
    /// The time that staff chose for it.
    pub not_before: Option<Time>,
}

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = batches)]
pub struct NewBatch<'a> {
    pub kind: BatchKind,
    pub state: BatchState,
    pub made_by: UserId,
    pub made_at: Time,
    pub address: &'a str,
    pub reason: &'a str,
    pub once: &'a str,
    pub source_host_id: Option<HostId>,
    pub not_before: Option<Time>,
}

/// One of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = batch_items)]
pub struct Item {
    /// Of what [`BatchKind::of`] says.
    #[diesel(column_name = item_id)]
    pub id: i64,
    pub linode_id: LinodeId,
    /// Where it goes; `None`: the host proposed for it.
    #[diesel(column_name = destination_host_id)]
    pub to: Option<HostId>,
    /// Its last move may be confirmed for that.
    pub closes: bool,
}

/// One that a batch is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewItem {
    pub id: i64,
    pub to: Option<HostId>,
    pub closes: bool,
}

impl NewItem {
    pub fn of(id: i64) -> Self {
        Self {
            id,
            to: None,
            closes: false,
        }
    }
}

const ACCOUNTS: &str = "INSERT INTO batch_accounts (batch_id, account_id) \
    SELECT DISTINCT batch_id, account_id FROM batch_items WHERE batch_id = $1";

/// What this form made already, if it was sent before.
pub fn made(conn: &mut Db, by: UserId, once: &str) -> Result<Option<BatchId>> {
    Ok(batches::table
        .filter(batches::made_by.eq(by))
        .filter(batches::once.eq(once))
        .select(batches::id)
        .get_result(conn)
        .optional()?)
}

/// Those of these that are not there are left out.
pub fn insert(conn: &mut Db, new: &NewBatch<'_>, of: &[NewItem]) -> Result<BatchId> {
    let id: BatchId = diesel::insert_into(batches::table)
        .values(new)
        .returning(batches::id)
        .get_result(conn)?;
    for some in of.chunks(500) {
        let owners = owners(conn, new.kind.of(), some)?;
        let items: Vec<_> = some
            .iter()
            .filter_map(|item| Some((item, owners.get(&item.id)?)))
            .map(|(item, (linode, account))| {
                (
                    batch_items::batch_id.eq(id),
                    batch_items::item_id.eq(item.id),
                    batch_items::linode_id.eq(*linode),
                    batch_items::account_id.eq(*account),
                    batch_items::destination_host_id.eq(item.to),
                    batch_items::closes.eq(item.closes),
                )
            })
            .collect();
        // Diesel has no one statement for many rows on both databases together.
        match conn {
            Db::Pg(pg) => diesel::insert_into(batch_items::table)
                .values(&items)
                .execute(pg)?,
            Db::Sqlite(lite) => diesel::insert_into(batch_items::table)
                .values(&items)
                .execute(lite)?,
        };
    }
    // Of its own failures nobody was told, and so nobody is of what follows.
    if new.kind == BatchKind::Retry {
        return Ok(id);
    }
    let accounts = diesel::sql_query(ACCOUNTS).bind::<diesel::sql_types::BigInt, _>(id.0);
    match conn {
        Db::Pg(pg) => accounts.execute(pg)?,
        Db::Sqlite(lite) => accounts.execute(lite)?,
    };
    Ok(id)
}

/// Whose they are, by number: Linode and account.
fn owners(conn: &mut Db, of: Of, some: &[NewItem]) -> Result<HashMap<i64, (LinodeId, AccountId)>> {
    let ids = || some.iter().map(|item| item.id);
    Ok(match of {
        Of::Registrations => registrations::table
            .filter(registrations::id.eq_any(ids().map(RegistrationId).collect::<Vec<_>>()))
            .select((
                registrations::id,
                registrations::linode_id,
                registrations::account_id,
            ))
            .load::<(RegistrationId, LinodeId, AccountId)>(conn)?
            .into_iter()
            .map(|(id, linode, account)| (id.0, (linode, account)))
            .collect(),
        Of::Linodes => linodes::table
            .filter(linodes::id.eq_any(ids().map(LinodeId).collect::<Vec<_>>()))
            .select((linodes::id, linodes::account_id))
            .load::<(LinodeId, AccountId)>(conn)?
            .into_iter()
            .map(|(id, account)| (id.0, (id, account)))
            .collect(),
        Of::Jobs => jobs::table
            .inner_join(linodes::table)
            .filter(jobs::id.eq_any(ids().map(JobId).collect::<Vec<_>>()))
            .select((jobs::id, linodes::id, linodes::account_id))
            .load::<(JobId, LinodeId, AccountId)>(conn)?
            .into_iter()
            .map(|(id, linode, account)| (id.0, (linode, account)))
            .collect(),
    })
}

pub fn batch(conn: &mut Db, id: BatchId) -> Result<Option<Batch>> {
    Ok(batches::table
        .find(id)
        .select(columns::<Batch>())
        .get_result(conn)
        .optional()?)
}

/// Those that go on, and those that were stopped by then and whose members are not all told; oldest first, at most 20.
pub fn unfinished(conn: &mut Db, stopped_by: Time) -> Result<Vec<Batch>> {
    let untold = batch_accounts::table
        .filter(batch_accounts::batch_id.eq(batches::id))
        .filter(batch_accounts::told_at.is_null());
    let stopped = batches::state
        .eq(BatchState::Stopped)
        .and(batches::ended_at.le(stopped_by))
        .and(diesel::dsl::exists(untold));
    Ok(batches::table
        .filter(batches::state.eq(BatchState::Running).or(stopped))
        .order(batches::id)
        .select(columns::<Batch>())
        .at_most::<20>()
        .load(conn)?)
}

/// The next ones of a batch, by account: at most 50.
pub fn open(conn: &mut Db, id: BatchId) -> Result<Vec<Item>> {
    Ok(batch_items::table
        .filter(batch_items::batch_id.eq(id))
        .filter(batch_items::outcome.is_null())
        .order((batch_items::account_id, batch_items::item_id))
        .select(Item::as_select())
        .at_most::<50>()
        .load(conn)?)
}

/// `false`: another portal has done it, or the batch was stopped.
pub fn settle(
    conn: &mut Db,
    (batch, item): (BatchId, i64),
    outcome: ItemOutcome,
    why: &str,
) -> Result<bool> {
    let goes_on = diesel::dsl::exists(
        batches::table
            .filter(batches::id.eq(batch))
            .filter(batches::state.eq(BatchState::Running)),
    );
    let open = batch_items::table
        .find((batch, item))
        .filter(batch_items::outcome.is_null())
        .filter(goes_on);
    let set = (
        batch_items::outcome.eq(Some(outcome)),
        batch_items::why.eq(why),
    );
    Ok(diesel::update(open).set(set).execute(conn)? == 1)
}

/// What came of it, where [`settle`] claimed it in this transaction.
pub fn set_outcome(
    conn: &mut Db,
    (batch, item): (BatchId, i64),
    outcome: ItemOutcome,
) -> Result<()> {
    diesel::update(batch_items::table.find((batch, item)))
        .set(batch_items::outcome.eq(Some(outcome)))
        .execute(conn)?;
    Ok(())
}

/// Accounts of the batch whose members are to be told now: nothing of theirs is open, or the batch has stopped; at most 50.
pub fn untold(conn: &mut Db, of: &Batch) -> Result<Vec<AccountId>> {
    let open = batch_items::table
        .filter(batch_items::batch_id.eq(of.id))
        .filter(batch_items::account_id.eq(batch_accounts::account_id))
        .filter(batch_items::outcome.is_null());
    let all = batch_accounts::table
        .filter(batch_accounts::batch_id.eq(of.id))
        .filter(batch_accounts::told_at.is_null())
        .order(batch_accounts::account_id)
        .select(batch_accounts::account_id);
    Ok(match of.state {
        BatchState::Stopped => all.at_most::<50>().load(conn)?,
        BatchState::Running | BatchState::Ended => all
            .filter(diesel::dsl::not(diesel::dsl::exists(open)))
            .at_most::<50>()
            .load(conn)?,
    })
}

/// `false`: they were told.
pub fn tell(conn: &mut Db, batch: BatchId, account: AccountId, now: Time) -> Result<bool> {
    let untold = batch_accounts::table
        .find((batch, account))
        .filter(batch_accounts::told_at.is_null());
    Ok(diesel::update(untold)
        .set(batch_accounts::told_at.eq(Some(now)))
        .execute(conn)?
        == 1)
}

/// What the batch has done of an account, with its Linodes' labels, by these.
pub fn done_of(conn: &mut Db, batch: BatchId, account: AccountId) -> Result<Vec<(Item, String)>> {
    Ok(batch_items::table
        .inner_join(linodes::table)
        .filter(batch_items::batch_id.eq(batch))
        .filter(batch_items::account_id.eq(account))
        .filter(batch_items::outcome.eq(Some(ItemOutcome::Done)))
        .order((linodes::label, linodes::id))
        .select((Item::as_select(), linodes::label))
        .load(conn)?)
}

/// `false`: it has ended, or was stopped.
pub fn end(conn: &mut Db, id: BatchId, state: BatchState, now: Time) -> Result<bool> {
    let running = batches::table
        .find(id)
        .filter(batches::state.eq(BatchState::Running));
    let set = (batches::state.eq(state), batches::ended_at.eq(Some(now)));
    Ok(diesel::update(running).set(set).execute(conn)? == 1)
}

/// A batch with how far it is.
pub struct Progress {
    pub batch: Batch,
    pub made_by: String,
    pub counts: Vec<(Option<ItemOutcome>, i64)>,
    /// Linodes that were refused, with why, by label: at most 1,000.
    pub refused: Vec<(LinodeId, String, String)>,
}

impl Progress {
    pub fn count(&self, of: Option<ItemOutcome>) -> i64 {
        let fitting = self.counts.iter().filter(|(it, _)| *it == of);
        fitting.map(|(_, count)| *count).sum()
    }

    pub fn in_all(&self) -> i64 {
        self.counts.iter().map(|(_, count)| *count).sum()
    }
}

pub fn progress(conn: &mut Db, id: BatchId) -> Result<Option<Progress>> {
    let Some(batch) = batch(conn, id)? else {
        return Ok(None);
    };
    let made_by = users::table
        .find(batch.made_by)
        .select(users::email)
        .get_result(conn)?;
    Ok(Some(Progress {
        made_by,
        counts: batch_items::table
            .filter(batch_items::batch_id.eq(id))
            .group_by(batch_items::outcome)
            .select((batch_items::outcome, diesel::dsl::count_star()))
            .load(conn)?,
        refused: batch_items::table
            .inner_join(linodes::table)
            .filter(batch_items::batch_id.eq(id))
            .filter(batch_items::outcome.eq(Some(ItemOutcome::Refused)))
            .order((linodes::label, linodes::id))
            .select((linodes::id, linodes::label, batch_items::why))
            .at_most::<1000>()
            .load(conn)?,
        batch,
    }))
}

/// A batch in a list.
pub struct BatchRow {
    pub batch: Batch,
    pub made_by: String,
    pub counts: Vec<(Option<ItemOutcome>, i64)>,
}

/// Newest first; `before`: the key of the last row seen.
pub fn list(conn: &mut Db, before: Option<BatchId>, limit: i64) -> Result<Vec<BatchRow>> {
    let rows: Vec<(Batch, String)> = batches::table
        .inner_join(users::table)
        .filter(batches::id.lt(before.unwrap_or(BatchId(i64::MAX))))
        .order(batches::id.desc())
        .select((Batch::as_select(), users::email))
        .limited(limit)
        .load(conn)?;
    let ids: Vec<BatchId> = rows.iter().map(|(batch, _)| batch.id).collect();
    let counts: Vec<(BatchId, Option<ItemOutcome>, i64)> = batch_items::table
        .filter(batch_items::batch_id.eq_any(ids))
        .group_by((batch_items::batch_id, batch_items::outcome))
        .select((
            batch_items::batch_id,
            batch_items::outcome,
            diesel::dsl::count_star(),
        ))
        .load(conn)?;
    let counts_of = |id: BatchId| {
        let own = counts.iter().filter(|(of, ..)| *of == id);
        own.map(|(_, outcome, count)| (*outcome, *count)).collect()
    };
    Ok(rows
        .into_iter()
        .map(|(batch, made_by)| BatchRow {
            counts: counts_of(batch.id),
            batch,
            made_by,
        })
        .collect())
}
