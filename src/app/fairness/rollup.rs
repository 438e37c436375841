//! Rolls usage up into longer intervals and forgets what is past its time, a bounded batch a call. A batch makes its interval
//! anew from all there is of the shorter ones, so that it does not matter how often, by whom, or how late it is done.

use std::collections::{BTreeMap, BTreeSet};

use super::ingest::{LATE_S, STEP_S};
use crate::app::App;
use crate::app::error::Result;
use crate::domain::fairness::judge::{Part, standing};
use crate::domain::fairness::usage::Usage;
use crate::domain::ids::{HostId, LinodeId};
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::fairness::Interval;
use crate::store::fairness::pack::{DAY_STEP, DayPart};
use crate::store::fairness::usage::Packed;

pub const MINUTE: i64 = 60;
pub const DAY: i64 = 86_400;
/// Hosts of one batch.
const MOST_HOSTS: i64 = 100;
/// So long after its end an interval is rolled up first; what comes later is rolled up again.
const MINUTE_GRACE_S: i64 = 15;
const TEN_GRACE_S: i64 = 45;
/// A day is packed when nothing of it can come in any more.
const DAY_GRACE_S: i64 = LATE_S + 3600;

/// How long what is kept, in seconds. Shorter intervals outlive the late comers.
const ROUNDS_KEPT: [(i64, i64); 3] = [
    (STEP_S, LATE_S + 900),
    (MINUTE, DAY + 3600),
    (DAY_STEP, 3 * DAY),
];
const FAIRNESS_KEPT: [(i64, i64); 3] = [
    (MINUTE, DAY + 3600),
    (DAY_STEP, 35 * DAY),
    (DAY, DAYS_KEPT * DAY),
];
/// What could not be rolled up is kept so much longer, so that somebody can put right what keeps it; then it goes too.
const ANYWAY_S: i64 = 7 * DAY;
/// Rows forgotten at a time. 10,000 Linodes on 250 hosts bring 25 rounds a second, and 10,000 days a day.
pub const MOST_FORGOTTEN: i64 = 1000;
/// Days of Linodes: the beta, and then some.
pub const DAYS_KEPT: i64 = 400;

type Sums = BTreeMap<LinodeId, Usage>;

impl App {
    /// One batch of rolling up and one of forgetting, of whatever is due. Says how many rows it wrote or forgot: 0 is all
    /// done. What fails keeps nothing else from its turn.
    ///
    /// # Errors
    /// The first failure, once everything else had its turn.
    pub fn roll_usage(&self) -> Result<usize> {
        let now = self.now().utc().timestamp();
        let rolled = self.roll_up(now);
        let forgot = self.forget_usage(now);
        Ok(rolled? + forgot?)
    }

    fn roll_up(&self, now: i64) -> Result<usize> {
        let steps = [
            (STEP_S, MINUTE, MINUTE_GRACE_S),
            (MINUTE, DAY_STEP, TEN_GRACE_S),
            (DAY_STEP, DAY, DAY_GRACE_S),
        ];
        first_done(steps.into_iter().map(|(from, to, grace)| {
            let before = (now - grace).div_euclid(to) * to;
            let open = |conn: &mut Db| store::fairness::usage::oldest_open(conn, from, before);
            match self.db.read(open)? {
                Some(_) => self.db.write(|conn| roll(conn, from, to, before)),
                None => Ok(0),
            }
        }))
    }

    fn forget_usage(&self, now: i64) -> Result<usize> {
        let rounds = ROUNDS_KEPT.into_iter().map(|(step, kept)| {
            let (before, anyway) = (now - kept, now - kept - ANYWAY_S);
            self.forget(
                |conn| store::fairness::usage::any_round_before(conn, step, before),
                |conn| {
                    store::fairness::usage::forget_rounds(
                        conn,
                        step,
                        (before, anyway),
                        MOST_FORGOTTEN,
                    )
                },
            )
        });
        let fairness = FAIRNESS_KEPT.into_iter().map(|(step, kept)| {
            self.forget(
                |conn| store::fairness::any_before(conn, step, now - kept),
                |conn| store::fairness::forget(conn, step, now - kept, MOST_FORGOTTEN),
            )
        });
        let before = now / DAY - DAYS_KEPT;
        let days = std::iter::once_with(|| {
            self.forget(
                |conn| store::fairness::usage::any_day_before(conn, before),
                |conn| store::fairness::usage::forget_days(conn, before, MOST_FORGOTTEN),
            )
        });
        first_done(rounds.chain(fairness).chain(days))
    }

    /// Looks first: who only looks keeps nobody from writing.
    fn forget(
        &self,
        any: impl Fn(&mut Db) -> Result<bool, StoreError>,
        forget: impl Fn(&mut Db) -> Result<usize, StoreError>,
    ) -> Result<usize, StoreError> {
        if !self.db.read(any)? {
            return Ok(0);
        }
        self.db.write(|conn| {
            store::fairness::usage::lock_rolling(conn)?;
            forget(conn)
        })
    }
}

/// Does one after the other until one had something to do; the first failure, if that is all there was.
fn first_done(all: impl Iterator<Item = Result<usize, StoreError>>) -> Result<usize> {
    let mut failed = None;
    for done in all {
        match done {
            Ok(0) => {}
            Ok(rows) => return Ok(rows),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(0), |error| Err(error.into()))
}

fn roll(conn: &mut Db, from: i64, to: i64, before: i64) -> Result<usize, StoreError> {
    store::fairness::usage::lock_rolling(conn)?;
    let Some(oldest) = store::fairness::usage::oldest_open(conn, from, before)? else {
        return Ok(0);
    };
    let slot = oldest.div_euclid(to) * to;
    let window = (slot, slot + to);
    let most = if to == DAY { 1 } else { MOST_HOSTS };
    let hosts = store::fairness::usage::claim_open(conn, from, window, most)?;
    let rounds = store::fairness::usage::rounds(conn, from, &hosts, window)?;
    let rounds = unpacked(conn, from, &rounds)?;
    if to == DAY {
        pack_days(conn, slot, &rounds)?;
    }
    let mut sums: BTreeMap<HostId, Sums> = BTreeMap::new();
    for round in &rounds {
        let of_host = sums.entry(round.host).or_default();
        for (linode, usage) in &round.of {
            *of_host.entry(*linode).or_default() += *usage;
        }
    }
    let spans = spans(&rounds);
    let intervals: Vec<Interval> = sums
        .iter()
        .map(|(host, sums)| {
            let (judged_ms, contended_ms) = spans.get(host).copied().unwrap_or_default();
            Interval {
                judged_ms: small(judged_ms),
                contended_ms: small(contended_ms),
                ..interval(*host, slot, sums)
            }
        })
        .collect();
    store::fairness::set(conn, to, &intervals)?;
    if to != DAY {
        let rows: Vec<Packed> = sums
            .into_iter()
            .map(|(host, sums)| Packed {
                host,
                slot,
                data: store::fairness::pack::pack_round(to, &sums.into_iter().collect::<Vec<_>>()),
            })
            .collect();
        store::fairness::usage::set_rounds(conn, to, &rows)?;
    }
    Ok(rounds.len())
}

/// How long each host's contention was known, and how long there was some, in ms. Guests come and go, so no one of them
/// may have seen all of it.
fn spans(rounds: &[Unpacked]) -> BTreeMap<HostId, (u64, u64)> {
    let mut spans: BTreeMap<HostId, (u64, u64)> = BTreeMap::new();
    for round in rounds {
        let usages = || round.of.iter().map(|(_, usage)| usage);
        let (judged, contended) = spans.entry(round.host).or_default();
        *judged += usages().map(|it| it.judged_ms).max().unwrap_or(0);
        *contended += usages().map(|it| it.contended_ms).max().unwrap_or(0);
    }
    spans
}

/// A round as it was packed.
struct Unpacked {
    host: HostId,
    slot: i64,
    of: Vec<(LinodeId, Usage)>,
}

/// Only of Linodes that there are: a row that was spoilt may say anything, and is logged and left out.
fn unpacked(conn: &mut Db, step: i64, rounds: &[Packed]) -> Result<Vec<Unpacked>, StoreError> {
    let mut all: Vec<Unpacked> = rounds
        .iter()
        .map(|round| Unpacked {
            host: round.host,
            slot: round.slot,
            of: store::fairness::pack::readable(step, round.host, round.slot, &round.data),
        })
        .collect();
    let ids = all.iter().flat_map(|round| &round.of).map(|(id, _)| *id);
    let ids: BTreeSet<LinodeId> = ids.collect();
    let existing = store::fairness::usage::existing(conn, &ids.into_iter().collect::<Vec<_>>())?;
    for round in &mut all {
        let (host, slot) = (round.host, round.slot);
        round.of.retain(|(linode, _)| {
            let exists = existing.contains(linode);
            if !exists {
                tracing::error!(%host, %linode, slot, step, "usage of a Linode that does not exist is left out");
            }
            exists
        });
    }
    Ok(all)
}

/// How a host's guests stood to each other, if they were all there for as long as the one that was there longest.
pub fn interval(host: HostId, slot: i64, sums: &Sums) -> Interval {
    let parts: Vec<Part<LinodeId>> = sums
        .iter()
        .map(|(linode, usage)| Part {
            id: *linode,
            got_ms: usage.got_ms,
            due_ms: usage.due_ms,
        })
        .collect();
    let standing = standing(&parts);
    let most = |of: fn(&Usage) -> u64| small(sums.values().map(of).max().unwrap_or(0));
    let worst = standing.and_then(|it| it.worst);
    Interval {
        host_id: host,
        slot,
        judged_ms: most(|usage| usage.judged_ms),
        contended_ms: most(|usage| usage.contended_ms),
        guests: standing.map_or(0, |it| i64::try_from(it.guests).unwrap_or(0)),
        jain: standing.map_or(1000, |it| thousandths(it.jain).min(1000)),
        worst_id: worst.map(|it| it.id),
        worst_ratio: worst.map_or(1000, |it| thousandths(it.ratio())),
        worst_excess_ms: worst.map_or(0, |it| small(it.got_ms.saturating_sub(it.due_ms))),
        least_id: standing.map(|it| it.least.id),
        least_ratio: standing.map_or(1000, |it| thousandths(it.least.ratio())),
    }
}

fn small(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// At most a thousand times over: beyond that it is all the same.
#[allow(clippy::cast_possible_truncation, reason = "between 0 and a million")]
fn thousandths(ratio: f64) -> i64 {
    (ratio.clamp(0.0, 1000.0) * 1000.0).round() as i64
}

/// Turns a host's intervals of one day into its Linodes' days; what they have from other hosts stays.
fn pack_days(conn: &mut Db, slot: i64, rounds: &[Unpacked]) -> Result<(), StoreError> {
    let day = slot / DAY;
    let mut parts: BTreeMap<LinodeId, BTreeMap<(u8, HostId), Usage>> = BTreeMap::new();
    for round in rounds {
        let index = u8::try_from((round.slot - slot) / DAY_STEP).unwrap_or(u8::MAX);
        for (linode, usage) in &round.of {
            let of_linode = parts.entry(*linode).or_default();
            of_linode.insert((index, round.host), *usage);
        }
    }
    let linodes: Vec<LinodeId> = parts.keys().copied().collect();
    for (linode, data) in store::fairness::usage::days_of(conn, &linodes, day)? {
        let of_linode = parts.entry(linode).or_default();
        for part in store::fairness::pack::readable_day(linode, day, &data) {
            of_linode
                .entry((part.index, part.host))
                .or_insert(part.usage);
        }
    }
    let rows: Vec<(LinodeId, i64, Vec<u8>)> = parts
        .into_iter()
        .map(|(linode, parts)| {
            let parts: Vec<DayPart> = parts
                .into_iter()
                .map(|((index, host), usage)| DayPart { index, host, usage })
                .collect();
            (linode, day, store::fairness::pack::pack_day(&parts))
        })
        .collect();
    store::fairness::usage::set_days(conn, &rows)
}
