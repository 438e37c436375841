//! What guests used, looked at every ten seconds and told to the portal. Differences of counters are made here, between
//! looks at the same run of a guest, so that no restart and no move ever shows as a jump. What the portal could not be told
//! is kept for an hour and no longer: samples are worth less than memory.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::driver::{Counted, Driver};
use super::host::Host;
use super::process::now;
use crate::domain::ids::LinodeId;
use crate::wire::{MOST_ROUNDS, Round, SAMPLE_S, Sample, Samples, Share, Used};

/// Rounds kept while the portal is away: an hour's.
const MOST_KEPT: usize = 360;
/// A longer interval (the agent was stopped, the clock set) is not a sample.
const MOST_MS: i64 = 60_000;
/// Shares are asked of the host once in so many rounds: that may take a program for each guest.
const SHARES_EVERY: u32 = 6;

/// Which interval of [`SAMPLE_S`] a moment is in.
pub fn turn(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(i64::from(SAMPLE_S))
}

/// A guest as it was last looked at.
#[derive(Debug, Clone, PartialEq)]
struct Reading {
    run: String,
    sample: Sample,
    share: Option<Share>,
}

#[derive(Debug, Default)]
pub struct Sampler {
    last: BTreeMap<LinodeId, Reading>,
    kept: VecDeque<Round>,
    looks: u32,
}

impl Sampler {
    /// Looks at every guest that may run here, and keeps what each used since the look before.
    pub fn look(&mut self, host: &Host) {
        let entries = host.ledger.entries();
        let owned = entries
            .iter()
            .filter(|(_, entry)| entry.as_ref().is_ok_and(|entry| entry.marks.owns()));
        let linodes: Vec<LinodeId> = owned.map(|(linode, _)| *linode).collect();
        let readings = self.readings(&*host.driver, &linodes);
        self.note(readings, now());
    }

    /// One look for all guests, and one for what they are given: of all of them now and then, else of those of which it is
    /// not known.
    fn readings(
        &mut self,
        driver: &dyn Driver,
        linodes: &[LinodeId],
    ) -> BTreeMap<LinodeId, Reading> {
        let ask_all = self.looks.is_multiple_of(SHARES_EVERY);
        self.looks = self.looks.wrapping_add(1);
        let counted = driver.samples(linodes);
        let share = |linode: &LinodeId, run: &str| {
            let known = self.last.get(linode).filter(|known| known.run == run);
            known.and_then(|known| known.share).filter(|_| !ask_all)
        };
        let unknown = counted
            .iter()
            .filter(|(linode, it)| share(linode, &it.run).is_none());
        let unknown: Vec<LinodeId> = unknown.map(|(linode, _)| *linode).collect();
        let shares = match unknown.as_slice() {
            [] => BTreeMap::new(),
            some => driver.shares(some),
        };
        let reading = |(linode, Counted { run, sample }): (LinodeId, Counted)| {
            let share = share(&linode, &run).or_else(|| shares.get(&linode).copied());
            (linode, Reading { run, sample, share })
        };
        counted.into_iter().map(reading).collect()
    }

    fn note(&mut self, readings: BTreeMap<LinodeId, Reading>, at: DateTime<Utc>) {
        let guests: Vec<Used> = readings
            .iter()
            .filter_map(|(linode, now)| used(*linode, self.last.get(linode)?, now))
            .collect();
        // One that was missed once is not lost: its next interval is longer.
        let fresh = |reading: &mut Reading| (at - reading.sample.at).num_milliseconds() <= MOST_MS;
        self.last.retain(|_, reading| fresh(reading));
        self.last.extend(readings);
        if guests.is_empty() {
            return;
        }
        self.kept.push_back(Round { at, guests });
        while self.kept.len() > MOST_KEPT {
            self.kept.pop_front();
        }
    }

    /// The oldest rounds, as many as one call carries; `None` if there are none.
    pub fn batch(&self) -> Option<Samples> {
        let rounds: Vec<Round> = self.kept.iter().take(MOST_ROUNDS).cloned().collect();
        (!rounds.is_empty()).then_some(Samples { rounds })
    }

    /// The portal has these, or does not want them.
    pub fn told(&mut self, batch: &Samples) {
        self.kept.drain(..batch.rounds.len().min(self.kept.len()));
    }

    /// These were given another share: the next look asks for it, so that the portal is not told of the old one again.
    pub fn changed(&mut self, linodes: impl IntoIterator<Item = LinodeId>) {
        for linode in linodes {
            if let Some(reading) = self.last.get_mut(&linode) {
                reading.share = None;
            }
        }
    }

    /// This portal takes no samples: an older one.
    pub fn unwanted(&mut self) {
        self.kept.clear();
    }
}

/// What was used between two looks; `None` if they are of different runs, or too far apart. A counter that went back
/// counts as unchanged.
fn used(linode: LinodeId, before: &Reading, after: &Reading) -> Option<Used> {
    let ms = after.sample.at - before.sample.at;
    let fits =
        ms > TimeDelta::zero() && ms.num_milliseconds() <= MOST_MS && before.run == after.run;
    fits.then_some(())?;
    let more = |of: fn(&Sample) -> u64| of(&after.sample).saturating_sub(of(&before.sample));
    Some(Used {
        linode,
        ms: u64::try_from(ms.num_milliseconds())
            .ok()
            .filter(|ms| *ms > 0)?,
        cpu_ms: more(|it| it.cpu_ms),
        wait_ms: after
            .sample
            .wait_ms
            .zip(before.sample.wait_ms)
            .map(|(after, before)| after.saturating_sub(before)),
        disk_read_bytes: more(|it| it.disk_read_bytes),
        disk_write_bytes: more(|it| it.disk_write_bytes),
        disk_read_ops: more(|it| it.disk_read_ops),
        disk_write_ops: more(|it| it.disk_write_ops),
        net_in_bytes: more(|it| it.net_in_bytes),
        net_out_bytes: more(|it| it.net_out_bytes),
        share: after.share,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn reading(run: &str, seconds: i64, cpu_ms: u64) -> Reading {
        Reading {
            run: run.into(),
            sample: Sample {
                at: at(seconds),
                cpu_ms,
                disk_read_bytes: 10 * cpu_ms,
                disk_write_bytes: 0,
                disk_read_ops: 0,
                disk_write_ops: 0,
                net_in_bytes: 0,
                net_out_bytes: 0,
                wait_ms: Some(cpu_ms / 2),
            },
            share: None,
        }
    }

    fn looks(of: &[Reading]) -> Vec<(u64, u64)> {
        let mut sampler = Sampler::default();
        for reading in of {
            sampler.note([(LinodeId(1), reading.clone())].into(), reading.sample.at);
        }
        let rounds = sampler.batch().map(|it| it.rounds).unwrap_or_default();
        rounds
            .iter()
            .map(|it| (it.guests[0].ms, it.guests[0].cpu_ms))
            .collect()
    }

    #[test]
    fn differences_within_a_run_and_never_below_zero() {
        let three = [
            reading("a", 0, 100),
            reading("a", 10, 150),
            reading("a", 20, 120),
        ];
        assert_eq!(looks(&three), [(10_000, 50), (10_000, 0)]);
        assert_eq!(
            looks(&[reading("a", 0, 100), reading("b", 10, 5_000)]),
            [],
            "another run"
        );
        assert_eq!(
            looks(&[reading("a", 0, 1), reading("a", 100, 2)]),
            [],
            "too long"
        );
        assert_eq!(
            looks(&[reading("a", 50, 1), reading("a", 40, 2)]),
            [],
            "a clock set back"
        );
    }

    #[test]
    fn an_hour_is_kept_and_sent_in_batches() {
        let mut sampler = Sampler::default();
        for n in 0..1000 {
            let reading = reading("a", n * 10, u64::try_from(n).unwrap());
            sampler.note([(LinodeId(1), reading)].into(), at(n * 10));
        }
        assert_eq!(sampler.kept.len(), MOST_KEPT);
        let first = sampler.batch().unwrap();
        assert_eq!(
            (first.rounds.len(), first.rounds[0].at),
            (MOST_ROUNDS, at(6400))
        );
        sampler.told(&first);
        assert_eq!(sampler.batch().unwrap().rounds[0].at, at(6700));
        sampler.unwanted();
        assert!(sampler.batch().is_none());
    }
}
