//! What agents say their guests used: checked, judged, packed and put in. One statement a call, however many Linodes.

use std::collections::BTreeMap;

use crate::app::App;
use crate::app::context::Agent;
use crate::app::error::{AppError, Result};
use crate::app::host::report::share_due;
use crate::domain::fairness::judge::{Guest, judge};
use crate::domain::fairness::shares::{Claim, LEAST_WEIGHT, MOST_WEIGHT, Rule};
use crate::domain::fairness::usage::{NO_LEVEL, Usage};
use crate::domain::ids::LinodeId;
use crate::store;
use crate::store::fairness::usage::{Metered, Packed};
use crate::wire::{MOST_ROUNDS, Round, SAMPLE_S, Samples, Share, Used};

/// The step of what comes in, in seconds.
pub const STEP_S: i64 = SAMPLE_S as i64;
/// A round may come this late …
pub const LATE_S: i64 = 3600;
/// … and from a clock that is this much ahead.
const AHEAD_S: i64 = 60;
/// A guest's interval may be this long: agents leave out longer ones.
const MOST_MS: u64 = 60_000;
/// Nobody's disk or network does more than this a second; what says so is cut.
const MOST_BYTES_PER_S: u64 = 100_000_000_000;
const MOST_OPERATIONS_PER_S: u64 = 100_000_000;
/// Counters of CPU time come in steps: so much more than the CPUs can do is still believed.
const SLACK_MS: u64 = 200;

impl App {
    /// Takes in what a host's guests used. Linodes that are not this host's, and rounds too old or from the future, are
    /// left out; figures beyond what can be are cut to that. Answers with the shares that the host is to set.
    pub fn note_samples(&self, agent: &Agent, samples: &Samples) -> Result<Vec<(LinodeId, Share)>> {
        if samples.rounds.len() > MOST_ROUNDS {
            return Err(AppError::invalid(
                "rounds",
                format!("at most {MOST_ROUNDS} in one call"),
            ));
        }
        let now = self.now().utc().timestamp();
        let (metered, rule) = self.db.read(|conn| {
            Ok::<_, AppError>((
                store::fairness::usage::metered_on(conn, agent.host)?,
                store::fairness::weights::rule(conn)?,
            ))
        })?;
        let owned: BTreeMap<LinodeId, Metered> =
            metered.into_iter().map(|it| (it.id, it)).collect();
        let (fresh, odd): (Vec<&Round>, Vec<&Round>) = samples.rounds.iter().partition(|round| {
            let at = round.at.timestamp();
            at > now - LATE_S && at <= now + AHEAD_S
        });
        if let Some(newest) = odd.last() {
            let ahead_s = newest.at.timestamp().saturating_sub(now);
            tracing::warn!(host = %agent.host, rounds = odd.len(), ahead_s, "samples are left out: is the host's clock right?");
        }
        let mut rows = Vec::new();
        let mut shares = Vec::new();
        for round in fresh {
            let known = known(round, &owned);
            shares = wrong_shares(rule, &known);
            let judged = judged(rule, &known);
            if !judged.is_empty() {
                rows.push(Packed {
                    host: agent.host,
                    slot: round.at.timestamp().div_euclid(STEP_S) * STEP_S,
                    data: store::fairness::pack::pack_round(STEP_S, &judged),
                });
            }
        }
        if !rows.is_empty() {
            self.db.write(|conn| {
                store::fairness::usage::add_rounds(conn, STEP_S, &rows)?;
                Ok::<_, AppError>(())
            })?;
        }
        Ok(shares)
    }
}

/// The host's own Linodes in a round, each once, in the order of their ids.
pub(super) fn known<'a>(
    round: &'a Round,
    owned: &'a BTreeMap<LinodeId, Metered>,
) -> Vec<(&'a Metered, &'a Used)> {
    let mut known = BTreeMap::new();
    for used in &round.guests {
        if let Some(metered) = owned.get(&used.linode) {
            known.entry(used.linode).or_insert((metered, used));
        }
    }
    known.into_values().collect()
}

fn claim(of: &Metered) -> Claim {
    Claim {
        ram_mb: of.ram_mb,
        plan_weight: of.plan_weight,
        own_weight: of.own_weight,
    }
}

fn wrong_shares(rule: Rule, known: &[(&Metered, &Used)]) -> Vec<(LinodeId, Share)> {
    known
        .iter()
        .filter_map(|(metered, used)| {
            let due = share_due(rule, claim(metered));
            (used.share? != due).then_some((metered.id, due))
        })
        .collect()
}

/// What each used, with what was due to it.
pub(super) fn judged(rule: Rule, known: &[(&Metered, &Used)]) -> Vec<(LinodeId, Usage)> {
    let mut usages: Vec<(LinodeId, Usage)> = known
        .iter()
        .map(|(metered, used)| (metered.id, believable(rule, metered, used)))
        .collect();
    let guests: Vec<Guest> = usages
        .iter()
        .zip(known)
        .map(|((_, usage), (metered, used))| Guest {
            // Due by what the portal set, not by what the host says it gives: else one that sets nothing would look fair.
            weight: rule.due(claim(metered)).weight,
            got_ms: usage.cpu_ms,
            wait_ms: used.wait_ms.map(|_| usage.wait_ms),
        })
        .collect();
    let ms = usages.iter().map(|(_, usage)| usage.covered_ms).max();
    let judgement = judge(&guests, ms.unwrap_or(0));
    for ((_, usage), due_ms) in usages.iter_mut().zip(judgement.due_ms) {
        if judgement.judged {
            usage.judged_ms = usage.covered_ms;
        } else {
            // Told by some of them only, it is set against no time.
            usage.wait_ms = 0;
        }
        if judgement.contended {
            usage.contended_ms = usage.covered_ms;
            usage.got_ms = usage.cpu_ms;
            usage.due_ms = due_ms;
        }
    }
    usages
}

/// The figures, none beyond what can be. The weight in force is the agent's word, else what is due.
fn believable(rule: Rule, metered: &Metered, used: &Used) -> Usage {
    let ms = used.ms.clamp(1, MOST_MS);
    let cpus = u64::try_from(metered.vcpus).unwrap_or(1).max(1);
    let cpu_limit = ms * cpus + SLACK_MS;
    let cpu_ms = used.cpu_ms.min(cpu_limit);
    let most = |per_s: u64| per_s / 1000 * ms;
    let bytes = |count: u64| count.min(most(MOST_BYTES_PER_S));
    let operations = |count: u64| count.min(most(MOST_OPERATIONS_PER_S));
    let weight = used
        .share
        .map_or_else(|| rule.due(claim(metered)).weight, |share| share.cpu_weight);
    Usage {
        covered_ms: ms,
        cpu_ms,
        // A CPU that runs does not wait.
        wait_ms: used.wait_ms.unwrap_or(0).min(cpu_limit - cpu_ms),
        reads: operations(used.disk_read_ops),
        writes: operations(used.disk_write_ops),
        read_bytes: bytes(used.disk_read_bytes),
        write_bytes: bytes(used.disk_write_bytes),
        net_in_bytes: bytes(used.net_in_bytes),
        net_out_bytes: bytes(used.net_out_bytes),
        weight: weight.clamp(LEAST_WEIGHT, MOST_WEIGHT),
        io_priority: used
            .share
            .map_or(NO_LEVEL, |share| share.io_priority.min(NO_LEVEL)),
        ..Usage::default()
    }
}
