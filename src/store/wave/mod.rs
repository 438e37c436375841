//! Waves: many moves that staff let go one after the other; what became of each is in the rows of their moves. And the word
//! that holds all moves back.

pub mod list;
pub mod moves;

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::db::{Db, columns};
use super::error::Result;
use super::schema::{linodes, portal, wave_items, waves};
use crate::domain::ids::{
    AccountId, HostId, LinodeId, MigrationId, RegistrationId, UserId, WaveId,
};
use crate::domain::migration::MigrationKind;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::domain::wave::gate::Rules;
use crate::domain::wave::{
    self, Candidate, ItemState, Pace, Sequence, WaveKind, WaveState, Window,
};
use crate::store::limit::Limit;
use crate::store::migration::Migration;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = waves)]
pub struct Wave {
    pub id: WaveId,
    pub name: String,
    pub kind: WaveKind,
    pub state: WaveState,
    pub made_by: UserId,
    pub made_at: Time,
    /// In whose name it goes on, and from where.
    pub run_by: Option<UserId>,
    pub address: String,
    /// The host that is emptied, and why, for its members.
    pub source_host_id: Option<HostId>,
    pub reason: String,
    pub sequence: Sequence,
    pub canary: i32,
    /// How long the first ones are watched.
    pub watch_s: i32,
    pub at_once: i32,
    pub per_host: i32,
    pub out_most: i32,
    pub window_begins: Option<i32>,
    pub window_ends: Option<i32>,
    pub least: i32,
    pub failed_percent: i32,
    pub slow_percent: i32,
    pub bugs_most: i32,
    pub unfair_most: i32,
    pub started_at: Option<Time>,
    /// Gates count what ended since then.
    pub gate_from: Option<Time>,
    /// Why it is paused.
    pub why: String,
    pub paused_at: Option<Time>,
    pub ended_at: Option<Time>,
}

impl Wave {
    pub fn rules(&self) -> Rules {
        Rules {
            least: i64::from(self.least),
            failed_percent: i64::from(self.failed_percent),
            slow_percent: i64::from(self.slow_percent),
            bugs_most: i64::from(self.bugs_most),
            unfair_most: i64::from(self.unfair_most),
        }
    }

    pub fn pace(&self) -> Pace {
        Pace {
            canary: i64::from(self.canary),
            out_most: i64::from(self.out_most),
        }
    }

    pub fn window(&self) -> Option<Window> {
        let minutes = |of: Option<i32>| of.and_then(|it| u16::try_from(it).ok());
        Some(Window {
            begins: minutes(self.window_begins)?,
            ends: minutes(self.window_ends)?,
        })
    }
}

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = waves)]
pub struct NewWave<'a> {
    pub name: &'a str,
    pub kind: WaveKind,
    pub state: WaveState,
    pub made_by: UserId,
    pub made_at: Time,
    pub once: &'a str,
    pub address: &'a str,
    pub source_host_id: Option<HostId>,
    pub reason: &'a str,
    pub sequence: Sequence,
    pub canary: i32,
    pub watch_s: i32,
    pub at_once: i32,
    pub per_host: i32,
    pub out_most: i32,
    pub window_begins: Option<i32>,
    pub window_ends: Option<i32>,
    pub least: i32,
    pub failed_percent: i32,
    pub slow_percent: i32,
    pub bugs_most: i32,
    pub unfair_most: i32,
}

/// How the reason of a wave begins that no member of the staff paused.
pub const BY_ITSELF: &str = "It paused by itself: ";

/// One of a wave.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = wave_items)]
pub struct Item {
    pub linode_id: LinodeId,
    pub account_id: AccountId,
    pub registration_id: Option<RegistrationId>,
    pub place: i32,
    pub state: ItemState,
    pub migration_id: Option<MigrationId>,
}

/// What this form made already, if it was sent before.
pub fn made(conn: &mut Db, by: UserId, once: &str) -> Result<Option<WaveId>> {
    Ok(waves::table
        .filter(waves::made_by.eq(by))
        .filter(waves::once.eq(once))
        .select(waves::id)
        .get_result(conn)
        .optional()?)
}

/// With these Linodes, in this order.
pub fn insert(conn: &mut Db, new: &NewWave<'_>, of: &[Candidate]) -> Result<WaveId> {
    let id: WaveId = diesel::insert_into(waves::table)
        .values(new)
        .returning(waves::id)
        .get_result(conn)?;
    let mut place = 0;
    for some in of.chunks(500) {
        let ids: Vec<LinodeId> = some.iter().map(|it| it.linode).collect();
        let accounts: HashMap<LinodeId, AccountId> = linodes::table
            .filter(linodes::id.eq_any(ids))
            .select((linodes::id, linodes::account_id))
            .load(conn)?
            .into_iter()
            .collect();
        let mut items = Vec::with_capacity(some.len());
        for it in some {
            let Some(account) = accounts.get(&it.linode) else {
                continue;
            };
            place += 1;
            items.push((
                wave_items::wave_id.eq(id),
                wave_items::linode_id.eq(it.linode),
                wave_items::account_id.eq(*account),
                wave_items::registration_id.eq(it.registration),
                wave_items::place.eq(place),
                wave_items::state.eq(ItemState::Waiting),
            ));
        }
        // Diesel has no one statement for many rows on both databases together.
        match conn {
            Db::Pg(pg) => diesel::insert_into(wave_items::table)
                .values(&items)
                .execute(pg)?,
            Db::Sqlite(lite) => diesel::insert_into(wave_items::table)
                .values(&items)
                .execute(lite)?,
        };
    }
    Ok(id)
}

/// Linodes that wait in a wave that is not over.
pub fn taken(conn: &mut Db) -> Result<HashSet<LinodeId>> {
    let open = waves::table
        .filter(waves::state.eq_any(WaveState::those(wave::is_open)))
        .select(waves::id);
    Ok(wave_items::table
        .filter(wave_items::wave_id.eq_any(open))
        .filter(wave_items::state.eq(ItemState::Waiting))
        .select(wave_items::linode_id)
        .load(conn)?
        .into_iter()
        .collect())
}

pub fn wave(conn: &mut Db, id: WaveId) -> Result<Option<Wave>> {
    Ok(waves::table
        .find(id)
        .select(columns::<Wave>())
        .get_result(conn)
        .optional()?)
}

/// Those in these states, oldest first, at most 200.
pub fn in_states(conn: &mut Db, states: &[WaveState]) -> Result<Vec<Wave>> {
    Ok(waves::table
        .filter(waves::state.eq_any(states.to_vec()))
        .order(waves::id)
        .select(columns::<Wave>())
        .at_most::<200>()
        .load(conn)?)
}

/// How many are in each state.
pub fn counts(conn: &mut Db) -> Result<Vec<(WaveState, i64)>> {
    Ok(waves::table
        .group_by(waves::state)
        .select((waves::state, diesel::dsl::count_star()))
        .load(conn)?)
}

/// What is written of a wave as its state changes.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = waves)]
pub struct Change<'a> {
    pub run_by: Option<UserId>,
    pub address: Option<&'a str>,
    pub started_at: Option<Time>,
    pub gate_from: Option<Time>,
    pub why: Option<&'a str>,
    pub paused_at: Option<Option<Time>>,
    pub ended_at: Option<Time>,
}

/// `false`: it is in another state meanwhile.
pub fn advance(
    conn: &mut Db,
    id: WaveId,
    (from, to): (WaveState, WaveState),
    change: &Change<'_>,
) -> Result<bool> {
    let row = waves::table.find(id).filter(waves::state.eq(from));
    Ok(diesel::update(row)
        .set((waves::state.eq(to), change))
        .execute(conn)?
        == 1)
}

/// The next one that is not put off.
pub fn next_item(conn: &mut Db, id: WaveId, now: Time) -> Result<Option<Item>> {
    let due = wave_items::again_at
        .is_null()
        .or(wave_items::again_at.le(now));
    Ok(wave_items::table
        .filter(wave_items::wave_id.eq(id))
        .filter(wave_items::state.eq(ItemState::Waiting))
        .filter(due)
        .order(wave_items::place)
        .select(Item::as_select())
        .one(conn)?)
}

pub fn item(conn: &mut Db, wave: WaveId, linode: LinodeId) -> Result<Option<Item>> {
    Ok(wave_items::table
        .find((wave, linode))
        .select(columns::<Item>())
        .get_result(conn)
        .optional()?)
}

pub fn waits(conn: &mut Db, id: WaveId) -> Result<bool> {
    let waiting = wave_items::table
        .filter(wave_items::wave_id.eq(id))
        .filter(wave_items::state.eq(ItemState::Waiting));
    Ok(diesel::select(diesel::dsl::exists(waiting)).get_result(conn)?)
}

/// What a wave does with one that waits. `false`: it waits no more.
pub fn settle(
    conn: &mut Db,
    (wave, linode): (WaveId, LinodeId),
    to: &Settled<'_>,
    now: Time,
) -> Result<bool> {
    let waiting = wave_items::table
        .find((wave, linode))
        .filter(wave_items::state.eq(ItemState::Waiting));
    let changed = match to {
        Settled::Given(migration) => diesel::update(waiting)
            .set((
                wave_items::state.eq(ItemState::Given),
                wave_items::migration_id.eq(Some(*migration)),
                wave_items::given_at.eq(Some(now)),
                wave_items::why.eq(""),
            ))
            .execute(conn)?,
        Settled::Skipped => diesel::update(waiting)
            .set(wave_items::state.eq(ItemState::Skipped))
            .execute(conn)?,
        Settled::Refused(why) => diesel::update(waiting)
            .set((
                wave_items::state.eq(ItemState::Refused),
                wave_items::why.eq(*why),
            ))
            .execute(conn)?,
        Settled::PutOff(why, until) => diesel::update(waiting)
            .set((
                wave_items::why.eq(*why),
                wave_items::again_at.eq(Some(*until)),
            ))
            .execute(conn)?,
    };
    Ok(changed == 1)
}

/// What becomes of one that waits.
#[derive(Debug, Clone, Copy)]
pub enum Settled<'a> {
    Given(MigrationId),
    Skipped,
    Refused(&'a str),
    PutOff(&'a str, Time),
}

/// Those that were put off are looked at again at once.
pub fn bring_forward(conn: &mut Db, id: WaveId) -> Result<()> {
    let waiting = wave_items::table
        .filter(wave_items::wave_id.eq(id))
        .filter(wave_items::state.eq(ItemState::Waiting));
    diesel::update(waiting)
        .set(wave_items::again_at.eq(None::<Time>))
        .execute(conn)?;
    Ok(())
}

/// An offer stands again as another one: the wave goes by that one.
pub fn follow(conn: &mut Db, before: MigrationId, after: MigrationId) -> Result<()> {
    diesel::update(wave_items::table.filter(wave_items::migration_id.eq(before)))
        .set(wave_items::migration_id.eq(Some(after)))
        .execute(conn)?;
    Ok(())
}

/// Accounts of a wave whose members were not told of all that it gave them, with when the first of it was given; at most 50.
pub fn untold(conn: &mut Db, id: WaveId) -> Result<Vec<(AccountId, Option<Time>)>> {
    Ok(wave_items::table
        .filter(wave_items::wave_id.eq(id))
        .filter(wave_items::told_at.is_null())
        .filter(wave_items::given_at.is_not_null())
        .group_by(wave_items::account_id)
        .order(wave_items::account_id)
        .select((
            wave_items::account_id,
            diesel::dsl::min(wave_items::given_at),
        ))
        .at_most::<50>()
        .load(conn)?)
}

/// Does one of this account still wait in the wave, and is not put off?
pub fn account_waits(conn: &mut Db, (id, account): (WaveId, AccountId), now: Time) -> Result<bool> {
    let due = wave_items::again_at
        .is_null()
        .or(wave_items::again_at.le(now));
    let waiting = wave_items::table
        .filter(wave_items::wave_id.eq(id))
        .filter(wave_items::state.eq(ItemState::Waiting))
        .filter(wave_items::account_id.eq(account))
        .filter(due);
    Ok(diesel::select(diesel::dsl::exists(waiting)).get_result(conn)?)
}

/// Waves that have given something of which members were not told.
pub fn with_untold(conn: &mut Db) -> Result<Vec<WaveId>> {
    Ok(wave_items::table
        .filter(wave_items::told_at.is_null())
        .filter(wave_items::given_at.is_not_null())
        .group_by(wave_items::wave_id)
        .order(wave_items::wave_id)
        .select(wave_items::wave_id)
        .at_most::<50>()
        .load(conn)?)
}

/// Takes what this account is to be told of: its Linodes with their labels, by these. None: another portal did.
pub fn take_untold(
    conn: &mut Db,
    (id, account): (WaveId, AccountId),
    now: Time,
) -> Result<Vec<(Item, String)>> {
    let untold = || {
        wave_items::table
            .filter(wave_items::wave_id.eq(id))
            .filter(wave_items::account_id.eq(account))
            .filter(wave_items::told_at.is_null())
            .filter(wave_items::given_at.is_not_null())
    };
    let taken: Vec<LinodeId> = diesel::update(untold())
        .set(wave_items::told_at.eq(Some(now)))
        .returning(wave_items::linode_id)
        .get_results(conn)?;
    Ok(wave_items::table
        .inner_join(linodes::table)
        .filter(wave_items::wave_id.eq(id))
        .filter(wave_items::linode_id.eq_any(taken))
        .order((linodes::label, linodes::id))
        .select((Item::as_select(), linodes::label))
        .load(conn)?)
}

// All moves at once.

/// Staff hold all moves back: since when, who, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovesPaused {
    pub since: Time,
    pub by: String,
    pub why: String,
}

/// What holds a move back that is offered or queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBack {
    /// All moves are, since then.
    All(Time),
    /// Those of its wave are.
    Wave(WaveId),
}

/// `all`: since when staff hold all moves back, as the portal's row says.
pub fn held_back(conn: &mut Db, of: &Migration, all: Option<Time>) -> Result<Option<HeldBack>> {
    if of.kind == MigrationKind::Return {
        return Ok(None);
    }
    if let Some(since) = all {
        return Ok(Some(HeldBack::All(since)));
    }
    let wave = moves::wave_of(conn, of.id)?.filter(|(_, _, state)| *state == WaveState::Paused);
    Ok(wave.map(|(id, ..)| HeldBack::Wave(id)))
}

pub fn moves_paused(conn: &mut Db) -> Result<Option<MovesPaused>> {
    let (since, by, why): (Option<Time>, String, String) = portal::table
        .find(1_i64)
        .select((
            portal::moves_paused_at,
            portal::moves_paused_by,
            portal::moves_paused_why,
        ))
        .get_result(conn)?;
    Ok(since.map(|since| MovesPaused { since, by, why }))
}

/// `None`: they go on.
pub fn set_moves_paused(conn: &mut Db, to: Option<&MovesPaused>) -> Result<()> {
    diesel::update(portal::table.find(1_i64))
        .set((
            portal::moves_paused_at.eq(to.map(|it| it.since)),
            portal::moves_paused_by.eq(to.map_or("", |it| it.by.as_str())),
            portal::moves_paused_why.eq(to.map_or("", |it| it.why.as_str())),
        ))
        .execute(conn)?;
    Ok(())
}
