//! A made-up load: counters as guests would have them that compete for the host's CPUs. What each gets is computed from
//! time, wants and weights alone; nobody's processor has to be busy for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::config::LoadConfig;
use crate::agent::driver::Counted;
use crate::agent::process::now;
use crate::domain::fairness::judge::divide;
use crate::domain::ids::LinodeId;
use crate::wire::Sample;

/// The load is dealt out in pieces of this length.
const PIECE_MS: i64 = 1000;
/// A longer pause (the agent was off) is not made up for.
const MOST_MS: i64 = 60_000;

/// A guest that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Taker {
    pub linode: LinodeId,
    /// This very run: another one starts at zero.
    pub run: String,
    pub weight: i64,
    /// CPUs.
    pub wants: f64,
}

#[derive(Debug)]
pub struct Load {
    config: LoadConfig,
    dealt: Mutex<Dealt>,
}

#[derive(Debug, Default)]
struct Dealt {
    upto: Option<DateTime<Utc>>,
    of: BTreeMap<LinodeId, Counters>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Counters {
    run: String,
    cpu_ms: f64,
    wait_ms: f64,
}

impl Load {
    pub fn new(config: LoadConfig) -> Self {
        Self {
            config,
            dealt: Mutex::default(),
        }
    }

    /// CPUs the guest wants now.
    pub fn wants(&self, linode: LinodeId) -> f64 {
        match self.config.guests.get(&linode.to_string()) {
            Some(wants) => *wants,
            None => self.config.wants * wave(linode, now()),
        }
    }

    /// The counters of all guests that run; `takers` says who does.
    pub fn samples(&self, takers: impl FnOnce() -> Vec<Taker>) -> BTreeMap<LinodeId, Counted> {
        let takers = takers();
        let mut dealt = self.dealt.lock().unwrap_or_else(PoisonError::into_inner);
        let at = now();
        let since = dealt.upto.map(|upto| (at - upto).num_milliseconds());
        let known = |taker: &Taker| {
            let counters = dealt.of.get(&taker.linode);
            counters.is_some_and(|counters| counters.run == taker.run)
        };
        if since.is_none_or(|ms| !(0..PIECE_MS).contains(&ms)) || !takers.iter().all(known) {
            deal(&mut dealt, &self.config, &takers, at);
        }
        let upto = dealt.upto.unwrap_or(at);
        let counted = |counters: &Counters| Counted {
            run: counters.run.clone(),
            sample: sample(counters, upto),
        };
        let running = takers.iter();
        running
            .filter_map(|it| Some((it.linode, counted(dealt.of.get(&it.linode)?))))
            .collect()
    }
}

/// Deals out the time since the last dealing.
fn deal(dealt: &mut Dealt, config: &LoadConfig, takers: &[Taker], at: DateTime<Utc>) {
    let since = dealt.upto.map_or(0, |upto| (at - upto).num_milliseconds());
    let ms = since.clamp(0, MOST_MS) as f64;
    dealt
        .of
        .retain(|linode, _| takers.iter().any(|taker| taker.linode == *linode));
    let wants: Vec<f64> = takers.iter().map(|taker| taker.wants * ms).collect();
    let weights: Vec<f64> = takers
        .iter()
        .map(|taker| {
            if config.ignore_weights {
                1.0
            } else {
                taker.weight as f64
            }
        })
        .collect();
    let got = divide(config.cpus * ms, &wants, &weights);
    for ((taker, got), wants) in takers.iter().zip(got).zip(wants) {
        let counters = dealt.of.entry(taker.linode).or_default();
        if counters.run != taker.run {
            *counters = Counters {
                run: taker.run.clone(),
                ..Counters::default()
            };
        }
        counters.cpu_ms += got;
        counters.wait_ms += (wants - got).max(0.0);
    }
    dealt.upto = Some(at);
}

/// The rest follows from the CPU time: a busy guest reads, writes and talks.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds since a start"
)]
fn sample(counters: &Counters, at: DateTime<Utc>) -> Sample {
    let cpu_ms = counters.cpu_ms as u64;
    Sample {
        at,
        cpu_ms,
        disk_read_bytes: cpu_ms * 400,
        disk_write_bytes: cpu_ms * 250,
        disk_read_ops: cpu_ms / 20,
        disk_write_ops: cpu_ms / 40,
        net_in_bytes: cpu_ms * 90,
        net_out_bytes: cpu_ms * 300,
        wait_ms: Some(counters.wait_ms as u64),
    }
}

/// From 0.2 to 1.8, once up and down in half an hour, each Linode at its own time.
fn wave(linode: LinodeId, at: DateTime<Utc>) -> f64 {
    let turn = (at.timestamp() + linode.0 * 397).rem_euclid(1800) as f64 / 1800.0;
    1.0 + 0.8 * (turn * std::f64::consts::TAU).sin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taker(linode: i64, weight: i64) -> Taker {
        Taker {
            linode: LinodeId(linode),
            run: "1:1".into(),
            weight,
            wants: 2.0,
        }
    }

    fn after_ten_seconds(ignore_weights: bool) -> Vec<u64> {
        let config = LoadConfig {
            cpus: 1.0,
            ignore_weights,
            wants: 0.0,
            guests: BTreeMap::new(),
        };
        let takers = [taker(1, 128), taker(2, 256), taker(3, 512)];
        let mut dealt = Dealt::default();
        let start = DateTime::from_timestamp(1000, 0).unwrap();
        deal(&mut dealt, &config, &takers, start);
        for second in 1..=10 {
            deal(
                &mut dealt,
                &config,
                &takers,
                start + chrono::TimeDelta::seconds(second),
            );
        }
        dealt
            .of
            .values()
            .map(|it| it.cpu_ms.round() as u64)
            .collect()
    }

    #[test]
    fn guests_get_by_weight_or_alike() {
        assert_eq!(after_ten_seconds(false), [1429, 2857, 5714]);
        assert_eq!(after_ten_seconds(true), [3333, 3333, 3333]);
    }

    #[test]
    fn a_new_run_starts_at_zero() {
        let config = LoadConfig {
            cpus: 1.0,
            ignore_weights: false,
            wants: 0.0,
            guests: BTreeMap::new(),
        };
        let mut dealt = Dealt::default();
        let at = |s| DateTime::from_timestamp(s, 0).unwrap();
        deal(&mut dealt, &config, &[taker(1, 1)], at(0));
        deal(&mut dealt, &config, &[taker(1, 1)], at(5));
        let other = Taker {
            run: "2:2".into(),
            ..taker(1, 1)
        };
        deal(&mut dealt, &config, &[other], at(6));
        assert_eq!(dealt.of[&LinodeId(1)].cpu_ms, 1000.0);
    }
}
