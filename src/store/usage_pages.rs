//! Series of usage as pages show them: a Linode's over a range, a host's Linodes. A fixed number of statements each.

use std::collections::BTreeMap;

use super::db::{Db, StoreError};
use super::fleet::{self, Linode};
use super::hosts::{self, Host};
use super::migrations::{self, Migration};
use super::usage::{self, rounds};
use super::usage_pack::{self, DAY_STEP};
use crate::domain::ids::{AccountId, HostId, LinodeId};
use crate::domain::usage::{Range, Stretch, Usage};

const TEN: i64 = 10;
const MINUTE: i64 = 60;
const DAY: i64 = 86_400;
/// Ten minutes are there so long after they ended, at the latest; before, there are their samples.
const ROLLED_AFTER: i64 = 1200;
/// How far a look before and after a move goes.
pub const AROUND: i64 = 7 * DAY;
/// The furthest look back, in days.
const MOST_DAYS: i64 = 400;

/// A member's Linode with what it used.
pub struct LinodeUsage {
    /// All of the account's, to choose from.
    pub all: Vec<Linode>,
    pub linode: Linode,
    pub host: Host,
    /// In the range asked for.
    pub series: Vec<Stretch>,
    /// The newest move that was finished, with what was used around it.
    pub moved: Option<Moved>,
}

pub struct Moved {
    pub migration: Migration,
    pub source: Host,
    pub destination: Host,
    pub around: Vec<Stretch>,
}

/// `which`: one of the account's, else its first. `None`: it has no such Linode, or none at all; the list tells which.
pub fn of_member(
    conn: &mut Db,
    account: AccountId,
    which: Option<LinodeId>,
    range: Range,
    now: i64,
) -> Result<Option<LinodeUsage>, StoreError> {
    let all = fleet::linodes_of(conn, account)?;
    let chosen = match which {
        Some(id) => all.iter().find(|linode| linode.id == id),
        None => all.first(),
    };
    let Some(linode) = chosen.cloned() else {
        return Ok(None);
    };
    let moves = migrations::of_linode(conn, linode.id)?;
    let hosts = hosts_of(&linode, &moves);
    let series = match range {
        Range::Hour => stretches(conn, linode.id, &hosts, TEN, (now - 3600, now))?,
        Range::Day => stretches(conn, linode.id, &hosts, MINUTE, (now - DAY, now))?,
        Range::Beta => long(conn, linode.id, &hosts, now - MOST_DAYS * DAY, now)?,
    };
    let known = hosts::all(conn)?;
    let host = named(&known, linode.host_id)?;
    let moved = moves
        .into_iter()
        .find(|row| row.finished_at.is_some() && row.committed_at.is_some());
    let moved = match moved {
        Some(migration) => Some(moved_of(conn, migration, &hosts, &known, now)?),
        None => None,
    };
    Ok(Some(LinodeUsage {
        all,
        linode,
        host,
        series,
        moved,
    }))
}

/// What a Linode used around a move that is finished; `source` and `destination` are the move's.
pub fn around(
    conn: &mut Db,
    migration: Migration,
    (source, destination): (Host, Host),
    now: i64,
) -> Result<Moved, StoreError> {
    let on = [source.id, destination.id];
    moved_of(conn, migration, &on, &[source, destination], now)
}

/// A move with what its Linode used around it.
fn moved_of(
    conn: &mut Db,
    migration: Migration,
    on: &[HostId],
    known: &[Host],
    now: i64,
) -> Result<Moved, StoreError> {
    let begun = migration
        .stopped_at
        .or(migration.started_at)
        .unwrap_or(migration.offered_at);
    let from = begun.utc().timestamp() - AROUND;
    let until = migration
        .finished_at
        .map_or(now, |at| at.utc().timestamp() + AROUND)
        .min(now);
    let mut around = long(conn, migration.linode_id, on, from, now)?;
    around.retain(|it| it.from < until);
    Ok(Moved {
        source: named(known, migration.source_host_id)?,
        destination: named(known, migration.destination_host_id)?,
        migration,
        around,
    })
}

fn named(known: &[Host], id: HostId) -> Result<Host, StoreError> {
    let found = known.iter().find(|host| host.id == id).cloned();
    found.ok_or_else(|| StoreError::Data(format!("host {id} does not exist")))
}

fn hosts_of(linode: &Linode, moves: &[Migration]) -> Vec<HostId> {
    let mut hosts = vec![linode.host_id];
    for row in moves {
        hosts.extend([row.source_host_id, row.destination_host_id]);
    }
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// A Linode's part of its hosts' rounds.
fn stretches(
    conn: &mut Db,
    linode: LinodeId,
    hosts: &[HostId],
    step: i64,
    (from, until): (i64, i64),
) -> Result<Vec<Stretch>, StoreError> {
    let mut found = Vec::new();
    for round in rounds(conn, step, hosts, (from, until))? {
        let all = usage_pack::unpack_round(step, &round.data)?;
        let own = all.into_iter().find(|(of, _)| *of == linode);
        found.extend(own.map(|(_, usage)| Stretch {
            from: round.slot,
            seconds: step,
            host: round.host,
            usage,
        }));
    }
    found.sort_by_key(|it| (it.from, it.host));
    Ok(found)
}

/// Ten minutes each, from days and from what is not packed yet; the newest in samples of ten seconds.
fn long(
    conn: &mut Db,
    linode: LinodeId,
    hosts: &[HostId],
    from: i64,
    now: i64,
) -> Result<Vec<Stretch>, StoreError> {
    let rolled = (now - ROLLED_AFTER).div_euclid(DAY_STEP) * DAY_STEP;
    let mut all: BTreeMap<(i64, HostId), Stretch> = BTreeMap::new();
    for (day, data) in usage::days(conn, linode, (from.div_euclid(DAY), now / DAY + 1))? {
        for part in usage_pack::unpack_day(&data)? {
            let start = day * DAY + i64::from(part.index) * DAY_STEP;
            let stretch = Stretch {
                from: start,
                seconds: DAY_STEP,
                host: part.host,
                usage: part.usage,
            };
            all.insert((start, part.host), stretch);
        }
    }
    let unpacked = from.max(now - 3 * DAY);
    let mut rest = stretches(conn, linode, hosts, DAY_STEP, (unpacked, rolled))?;
    rest.extend(stretches(
        conn,
        linode,
        hosts,
        TEN,
        (rolled.max(from), now),
    )?);
    all.extend(rest.into_iter().map(|it| ((it.from, it.host), it)));
    Ok(all.into_values().filter(|it| it.from >= from).collect())
}

/// What each Linode of a host used over a range (the last three days for the longest), by Linode.
pub fn of_host(
    conn: &mut Db,
    host: HostId,
    range: Range,
    now: i64,
) -> Result<BTreeMap<LinodeId, Usage>, StoreError> {
    // Where the shorter intervals take over: the longer ones before it are all there.
    let (long, back, short, joint) = match range {
        Range::Hour => (MINUTE, 3600, TEN, cut(now - 120, MINUTE)),
        Range::Day => (DAY_STEP, DAY, MINUTE, cut(now - ROLLED_AFTER, DAY_STEP)),
        Range::Beta => (DAY_STEP, 3 * DAY, MINUTE, cut(now - ROLLED_AFTER, DAY_STEP)),
    };
    let mut sums: BTreeMap<LinodeId, Usage> = BTreeMap::new();
    for (step, span) in [(long, (now - back, joint)), (short, (joint, now))] {
        for round in rounds(conn, step, &[host], span)? {
            for (linode, usage) in usage_pack::unpack_round(step, &round.data)? {
                *sums.entry(linode).or_default() += usage;
            }
        }
    }
    Ok(sums)
}

fn cut(at: i64, step: i64) -> i64 {
    at.div_euclid(step) * step
}
