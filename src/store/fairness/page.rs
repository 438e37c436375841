//! Series of usage as pages show them: a Linode's over a range, a host's Linodes. A fixed number of statements each.

use std::collections::BTreeMap;

use super::pack::{self, DAY_STEP};
use super::usage::{self, Packed, rounds};
use crate::domain::fairness::usage::{Range, Stretch, Usage};
use crate::domain::ids::{AccountId, HostId, LinodeId};
use crate::store::db::Db;
use crate::store::error::{Result, StoreError};
use crate::store::host::{self, Host};
use crate::store::linode::page::{Wanted, labels};
use crate::store::linode::{self, Linode};
use crate::store::migration::{self, Migration};

const TEN: i64 = 10;
const MINUTE: i64 = 60;
const DAY: i64 = 86_400;
/// Intervals of ten minutes are kept so long, in seconds; before, there are days.
const TENS_KEPT: i64 = 3 * DAY;
/// How far a look before and after a move goes.
pub const AROUND: i64 = 7 * DAY;
/// The furthest look back, in days.
const MOST_DAYS: i64 = 400;

/// Linodes that a page offers to choose from at the most.
pub const MOST_CHOICES: usize = 12;

/// A member's Linode with what it used.
pub struct LinodeUsage {
    /// Some of the account's by label: those with the text that was looked for, else the first ones. One more than are
    /// offered says that there are more.
    pub some: Vec<(LinodeId, String)>,
    pub linode: Linode,
    /// All that it was on.
    pub hosts: Vec<Host>,
    /// In the range asked for.
    pub series: Vec<Stretch>,
    /// Newest first.
    pub moves: Vec<Migration>,
    /// The newest move that was finished, with what was used around it.
    pub moved: Option<Moved>,
}

pub struct Moved {
    pub migration: Migration,
    pub source: Host,
    pub destination: Host,
    pub around: Vec<Stretch>,
}

/// `which`: the only one that the text finds, else that of the account's, else its first. `every`: in the shortest intervals
/// that are kept of the range, else in such as a page adds up anyway. `None`: it has no such Linode, or none at all; `which`
/// tells which.
pub fn of_member(
    conn: &mut Db,
    account: AccountId,
    (which, q): (Option<LinodeId>, &str),
    (range, every): (Range, bool),
    now: i64,
) -> Result<Option<LinodeUsage>> {
    let mut wanted = Wanted {
        q: q.to_owned(),
        most: MOST_CHOICES + 1,
        ..Wanted::default()
    };
    let some = labels(conn, account, &wanted)?;
    let is_text = !q.trim().is_empty();
    let named = some.iter().find(|(_, label)| label == q.trim());
    let only = named.or(some.first().filter(|_| some.len() == 1));
    let mut chosen = only.map(|(id, _)| *id).filter(|_| is_text).or(which);
    if chosen.is_none() {
        let first = if is_text {
            (wanted.q, wanted.most) = (String::new(), 1);
            labels(conn, account, &wanted)?
        } else {
            some.clone()
        };
        chosen = first.first().map(|(id, _)| *id);
    }
    let linode = chosen.map(|id| linode::linode_of(conn, account, id));
    let Some(linode) = linode.transpose()?.flatten() else {
        return Ok(None);
    };
    let moves = migration::of_linode(conn, linode.id)?;
    let hosts = hosts_of(&linode, &moves);
    let series = match (range, every) {
        (Range::Hour, false) => series(conn, linode.id, &hosts, &[MINUTE, TEN], (now - 3600, now))?,
        (Range::Hour, true) => series(conn, linode.id, &hosts, &[TEN], (now - 3600, now))?,
        (Range::Day, false) => {
            let steps = [DAY_STEP, MINUTE, TEN];
            series(conn, linode.id, &hosts, &steps, (now - DAY, now))?
        }
        (Range::Day, true) => series(conn, linode.id, &hosts, &[MINUTE, TEN], (now - DAY, now))?,
        (Range::Beta, _) => long(conn, linode.id, &hosts, (now - MOST_DAYS * DAY, now), now)?,
    };
    let moved = moves
        .iter()
        .find(|row| row.finished_at.is_some() && row.committed_at.is_some());
    let hosts = host::some(conn, &hosts)?;
    let moved = match moved.cloned() {
        Some(migration) => Some(moved_of(conn, migration, &hosts, now)?),
        None => None,
    };
    Ok(Some(LinodeUsage {
        some,
        linode,
        hosts,
        series,
        moves,
        moved,
    }))
}

/// What a Linode used around a move that is finished; `source` and `destination` are the move's.
pub fn around(
    conn: &mut Db,
    migration: Migration,
    (source, destination): (Host, Host),
    now: i64,
) -> Result<Moved> {
    moved_of(conn, migration, &[source, destination], now)
}

/// A move with what its Linode used around it.
fn moved_of(conn: &mut Db, migration: Migration, known: &[Host], now: i64) -> Result<Moved> {
    let begun = migration
        .stopped_at
        .or(migration.started_at)
        .unwrap_or(migration.offered_at);
    let from = begun.utc().timestamp() - AROUND;
    let until = migration
        .finished_at
        .map_or(now, |at| at.utc().timestamp() + AROUND)
        .min(now);
    let on = [migration.source_host_id, migration.destination_host_id];
    let around = long(conn, migration.linode_id, &on, (from, until), now)?;
    Ok(Moved {
        source: named(known, migration.source_host_id)?,
        destination: named(known, migration.destination_host_id)?,
        migration,
        around,
    })
}

fn named(known: &[Host], id: HostId) -> Result<Host> {
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

/// Rounds of these hosts, in intervals of the first step for as long as there are any, then of the next: a longer interval
/// is there some time after its end. With their steps.
fn joint(
    conn: &mut Db,
    hosts: &[HostId],
    steps: &[i64],
    (from, until): (i64, i64),
) -> Result<Vec<(i64, Packed)>> {
    let mut found = Vec::new();
    let mut next = from;
    for step in steps {
        let all = rounds(conn, *step, hosts, (next, until))?;
        let ends = all.iter().map(|round| round.slot + step);
        next = ends.max().unwrap_or(next);
        found.extend(all.into_iter().map(|round| (*step, round)));
    }
    Ok(found)
}

/// A Linode's part of its hosts' rounds, in order.
fn series(
    conn: &mut Db,
    linode: LinodeId,
    hosts: &[HostId],
    steps: &[i64],
    span: (i64, i64),
) -> Result<Vec<Stretch>> {
    let mut found = Vec::new();
    for (step, round) in joint(conn, hosts, steps, span)? {
        let all = pack::readable(step, round.host, round.slot, &round.data);
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

/// Ten minutes each, from the Linode's own days and, where these are not packed yet, from its hosts' rounds; the newest in
/// shorter intervals.
fn long(
    conn: &mut Db,
    linode: LinodeId,
    hosts: &[HostId],
    (from, until): (i64, i64),
    now: i64,
) -> Result<Vec<Stretch>> {
    let mut all: BTreeMap<(i64, HostId), Stretch> = BTreeMap::new();
    let days = (from.div_euclid(DAY), (until - 1).div_euclid(DAY) + 1);
    for (day, data) in usage::days(conn, linode, days)? {
        for part in pack::readable_day(linode, day, &data) {
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
    let unpacked = from.max(now - TENS_KEPT);
    if unpacked < until {
        let steps = [DAY_STEP, MINUTE, TEN];
        let rest = series(conn, linode, hosts, &steps, (unpacked, until))?;
        all.extend(rest.into_iter().map(|it| ((it.from, it.host), it)));
    }
    let inside = |it: &Stretch| it.from >= from && it.from < until;
    Ok(all.into_values().filter(inside).collect())
}

/// What each Linode of a host used over a range (the last three days for the longest), by Linode.
pub fn of_host(
    conn: &mut Db,
    host: HostId,
    range: Range,
    now: i64,
) -> Result<BTreeMap<LinodeId, Usage>> {
    let (steps, back): (&[i64], i64) = match range {
        Range::Hour => (&[MINUTE, TEN], 3600),
        Range::Day => (&[DAY_STEP, MINUTE, TEN], DAY),
        Range::Beta => (&[DAY_STEP, MINUTE, TEN], TENS_KEPT),
    };
    let mut sums: BTreeMap<LinodeId, Usage> = BTreeMap::new();
    for (step, round) in joint(conn, &[host], steps, (now - back, now))? {
        for (linode, usage) in pack::readable(step, round.host, round.slot, &round.data) {
            *sums.entry(linode).or_default() += usage;
        }
    }
    Ok(sums)
}
