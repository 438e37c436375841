//! Registrations: at most one live one per Linode, which the schema enforces.

pub mod list;

use std::collections::HashMap;

use diesel::prelude::*;

use super::db::{Db, by_key, columns};
use super::error::Result;
use super::schema::{self, registrations};
use crate::domain::ids::{AccountId, LinodeId, RegistrationId, UserId};
use crate::domain::registration::{self, RegistrationState};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store::limit::Limit;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = registrations)]
pub struct Registration {
    pub id: RegistrationId,
    pub linode_id: LinodeId,
    pub account_id: AccountId,
    pub state: RegistrationState,
    /// Why it was declined, in words for the member.
    pub reason: String,
    pub requested_at: Time,
}

#[derive(Insertable)]
#[diesel(table_name = registrations)]
pub struct NewRegistration {
    pub linode_id: LinodeId,
    pub account_id: AccountId,
    pub requested_by: UserId,
    pub state: RegistrationState,
    pub requested_at: Time,
}

/// Fails with a duplicate ([`StoreError::is_duplicate`]) if the Linode has a live registration.
pub fn insert(conn: &mut Db, new: &NewRegistration) -> Result<Registration> {
    Ok(diesel::insert_into(registrations::table)
        .values(new)
        .returning(columns::<Registration>())
        .get_result(conn)?)
}

pub fn registration(conn: &mut Db, id: RegistrationId) -> Result<Option<Registration>> {
    Ok(by_key!(conn, registrations, id, Registration))
}

/// When this account registered a Linode first.
pub fn first_of_account(conn: &mut Db, account: AccountId) -> Result<Option<Time>> {
    Ok(registrations::table
        .filter(registrations::account_id.eq(account))
        .order(registrations::id)
        .select(registrations::requested_at)
        .at_most::<1>()
        .get_result(conn)
        .optional()?)
}

/// The row, locked for this transaction on PostgreSQL. Whatever gives a Linode's registration an offer, takes one up or
/// ends the registration takes this first, and looks at the row then; a migration's row is locked after it, never before.
pub fn locked(conn: &mut Db, id: RegistrationId) -> Result<Option<Registration>> {
    if let Db::Pg(pg) = conn {
        return Ok(registrations::table
            .find(id)
            .select(columns::<Registration>())
            .for_no_key_update()
            .get_result(pg)
            .optional()?);
    }
    registration(conn, id)
}

/// As [`locked`], the live ones of several Linodes, in one order.
pub fn locked_live(conn: &mut Db, of: &[LinodeId]) -> Result<Vec<Registration>> {
    let live = registrations::table
        .filter(registrations::linode_id.eq_any(of.to_vec()))
        .filter(registrations::state.eq_any(RegistrationState::those(registration::is_live)))
        .order(registrations::id)
        .select(columns::<Registration>());
    Ok(match conn {
        Db::Pg(pg) => live.for_no_key_update().load(pg)?,
        Db::Sqlite(lite) => live.load(lite)?,
    })
}

/// The newest registration of a Linode.
pub fn newest_of(conn: &mut Db, linode: LinodeId) -> Result<Option<Registration>> {
    Ok(registrations::table
        .filter(registrations::linode_id.eq(linode))
        .order(registrations::id.desc())
        .select(Registration::as_select())
        .one(conn)?)
}

pub struct Decision<'a> {
    pub from: RegistrationState,
    pub to: RegistrationState,
    pub reason: &'a str,
    /// `None`: the portal itself.
    pub by: Option<UserId>,
    pub at: Time,
}

/// `false` if the registration is no longer in `from`.
pub fn decide(conn: &mut Db, id: RegistrationId, decision: &Decision<'_>) -> Result<bool> {
    Ok(diesel::update(
        registrations::table
            .find(id)
            .filter(registrations::state.eq(decision.from)),
    )
    .set((
        registrations::state.eq(decision.to),
        registrations::reason.eq(decision.reason),
        registrations::decided_at.eq(decision.at),
        registrations::decided_by.eq(decision.by),
    ))
    .execute(conn)?
        == 1)
}

/// How many take a place.
pub fn count_live(conn: &mut Db) -> Result<i64> {
    Ok(registrations::table
        .filter(registrations::state.eq_any(RegistrationState::those(registration::is_live)))
        .count()
        .get_result(conn)?)
}

pub fn count(conn: &mut Db, state: RegistrationState) -> Result<i64> {
    Ok(registrations::table
        .filter(registrations::state.eq(state))
        .count()
        .get_result(conn)?)
}

/// How many requests were made before this one and still wait: its position in the queue is one more.
pub fn waiting_before(conn: &mut Db, of: &Registration) -> Result<i64> {
    Ok(registrations::table
        .filter(registrations::state.eq(RegistrationState::Requested))
        .filter(
            registrations::requested_at
                .lt(of.requested_at)
                .or(registrations::requested_at
                    .eq(of.requested_at)
                    .and(registrations::id.lt(of.id))),
        )
        .count()
        .get_result(conn)?)
}

/// The places of these registrations in the queue for review, counted from 1. Looks at the first 10,000 of the queue;
/// whoever waits further back is not in the answer.
pub fn positions(conn: &mut Db, of: &[RegistrationId]) -> Result<HashMap<RegistrationId, usize>> {
    if of.is_empty() {
        return Ok(HashMap::new());
    }
    let queue: Vec<RegistrationId> = schema::registrations::table
        .filter(schema::registrations::state.eq(RegistrationState::Requested))
        .order((
            schema::registrations::requested_at,
            schema::registrations::id,
        ))
        .select(schema::registrations::id)
        .at_most::<10_000>()
        .load(conn)?;
    Ok(queue
        .into_iter()
        .enumerate()
        .filter(|(_, id)| of.contains(id))
        .map(|(before, id)| (id, before + 1))
        .collect())
}

/// How long the last decisions took from request to answer, in seconds, newest first: at most 50.
pub fn recent_waits(conn: &mut Db) -> Result<Vec<i64>> {
    let rows: Vec<(Time, Option<Time>)> = schema::registrations::table
        .filter(schema::registrations::state.eq(RegistrationState::Approved))
        .filter(schema::registrations::decided_at.is_not_null())
        .order(schema::registrations::id.desc())
        .select((
            schema::registrations::requested_at,
            schema::registrations::decided_at,
        ))
        .at_most::<50>()
        .load(conn)?;
    Ok(rows
        .into_iter()
        .filter_map(|(from, to)| to.map(|to| to.seconds_since(from)))
        .collect())
}
